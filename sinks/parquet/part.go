package parquet

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sennit-io/sennit/schemas/tables"
)

// errPart marks the errors of writing a file, which are not those of a record.
var errPart = errors.New("write file")

// groupRows is how many rows are buffered before they are written.
const groupRows = 64 << 10

// part is a file that is being written.
type part struct {
	table *tables.Table
	path  string // when it is whole
	file  *os.File
	buf   *bufio.Writer
	out   *parquet.GenericWriter[any]
	row   [1]parquet.Row
}

func temporary(name string) string { return "." + name + ".tmp" }

func (p *part) temporary() string {
	dir, name := filepath.Split(p.path)
	return filepath.Join(dir, temporary(name))
}

func newPart(dir string, key partition, generation string) (*part, error) {
	date := time.Unix(key.day*24*60*60, 0).UTC().Format(time.DateOnly)
	p := &part{table: key.table, path: filepath.Join(dir, key.table.Name, tables.Day+"="+date, "part-"+generation+".parquet")}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", errPart, err)
	}
	var err error
	if p.file, err = os.Create(p.temporary()); err != nil {
		return nil, fmt.Errorf("%w: %w", errPart, err)
	}
	p.buf = bufio.NewWriterSize(p.file, 1<<18)
	p.out = parquet.NewGenericWriter[any](p.buf, schemas[key.table], parquet.MaxRowsPerRowGroup(groupRows),
		parquet.Compression(&parquet.Zstd), parquet.CreatedBy("sennit", "", ""))
	return p, nil
}

func (p *part) add(row tables.Row) error {
	p.row[0] = appendRow(p.row[0][:0], p.table, row)
	if _, err := p.out.WriteRows(p.row[:]); err != nil {
		return fmt.Errorf("%w: %w", errPart, err)
	}
	return nil
}

// finish makes the file whole and safe and gives it its name.
func (p *part) finish() error {
	err := p.out.Close()
	if err == nil {
		err = p.buf.Flush()
	}
	if err == nil {
		err = p.file.Sync()
	}
	if err = errors.Join(err, p.file.Close()); err == nil {
		err = os.Rename(p.temporary(), p.path)
	}
	// The folders' names have to be safe as well, they may be new.
	for dir, i := filepath.Dir(p.path), 0; err == nil && i < 3; dir, i = filepath.Dir(dir), i+1 {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errPart, err)
	}
	return nil
}

// discard drops the file; that it may be gone already does not matter.
func (p *part) discard() {
	_ = p.file.Close()
	_ = os.Remove(p.temporary())
}

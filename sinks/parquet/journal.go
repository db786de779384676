package parquet

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sennit-io/sennit/sinks"
)

// journal holds the records of a generation, one a line behind their kind. Its
// first line is the name of the generation.
type journal struct {
	dir        string
	file       *os.File
	generation string
	head       int64 // length of the first line
	kept       int64 // length up to which it counts
	pending    bytes.Buffer
}

func (j *journal) path() string { return filepath.Join(j.dir, ".journal") }

// openJournal opens what is there, or begins a generation.
func openJournal(dir string, now time.Time) (*journal, error) {
	j := &journal{dir: dir}
	f, err := os.OpenFile(j.path(), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return j, j.next(now)
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	first, err := bufio.NewReader(f).ReadString('\n')
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", j.path(), err), f.Close())
	}
	j.file, j.head, j.generation, j.kept = f, int64(len(first)), first[:len(first)-1], info.Size()
	return j, nil
}

// next begins a generation with an empty journal, unless this one is empty. The
// new journal takes the place of the old one whole.
func (j *journal) next(now time.Time) error {
	if j.file != nil && j.empty() {
		return nil
	}
	var random [4]byte
	rand.Read(random[:]) // never fails
	name := now.UTC().Format("20060102T150405") + "-" + hex.EncodeToString(random[:])
	tmp := j.path() + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return fmt.Errorf("begin journal: %w", err)
	}
	_, err = f.WriteString(name + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, j.path())
	}
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("begin journal: %w", err), f.Close())
	}
	old := j.file
	j.file, j.generation, j.head, j.kept = f, name, int64(len(name)+1), int64(len(name)+1)
	j.pending.Reset()
	if old != nil {
		return old.Close()
	}
	return nil
}

// read gives the records, and cuts off what does not read: a write that a kill
// interrupted, which nobody was told was safe.
func (j *journal) read(f func(sinks.Kind, []byte) error) error {
	j.pending.Reset()
	if _, err := j.file.Seek(j.head, io.SeekStart); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	r := bufio.NewReaderSize(io.LimitReader(j.file, j.kept-j.head), 1<<20)
	at := j.head
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		if len(line) < 2 {
			break
		}
		if err := f(sinks.Kind(line[0]), line[1:len(line)-1]); err != nil {
			if errors.Is(err, errPart) {
				return err
			}
			break
		}
		at += int64(len(line))
	}
	j.kept = at
	if err := j.file.Truncate(at); err != nil {
		return fmt.Errorf("cut journal: %w", err)
	}
	_, err := j.file.Seek(at, io.SeekStart)
	return err
}

// add takes a record for the next sync.
func (j *journal) add(kind sinks.Kind, data []byte) {
	j.pending.WriteByte(byte(kind))
	j.pending.Write(data)
	j.pending.WriteByte('\n')
}

// sync writes what was added. It counts only after keep.
func (j *journal) sync() error {
	if j.pending.Len() == 0 {
		return nil
	}
	if _, err := j.file.WriteAt(j.pending.Bytes(), j.kept); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

func (j *journal) keep() {
	j.kept += int64(j.pending.Len())
	j.pending.Reset()
}

func (j *journal) size() int64  { return j.kept - j.head }
func (j *journal) empty() bool  { return j.size()+int64(j.pending.Len()) == 0 }
func (j *journal) close() error { return j.file.Close() }

// syncDir makes the names in a folder safe.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

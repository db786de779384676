// Package record writes recordings as a service does: files of lines that follow one
// another, with a position beside them, so that a killed writer goes on where it was.
package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options say when a file is finished, and what becomes of it then.
type Options struct {
	MaxBytes int64         // before it is packed
	MaxAge   time.Duration // since its first line; 0 for any
	Keep     int           // how many finished files stay, 0 for all
	Pack     string        // "gz", "zst", "" for not
}

// Position says how far a stream was recorded, and what its reader remembers.
type Position struct {
	Created  int64             `json:"stream"` // identity of the stream
	Sequence uint64            `json:"sequence"`
	Sessions map[string][]byte `json:"sessions,omitempty"` // by hex key
}

// Files are the files of one recording in a folder. The one being written is called
// NAME.jsonl.part, which replay passes over, a finished one NAME.jsonl (or .jsonl.gz,
// .jsonl.zst); it gets its name when it is whole. What a crash leaves behind the last
// Sync is cut off on opening, and comes again from the stream. Not for concurrent
// use.
//
// Guarantee: a line that Sync has returned for is in one file, once.
type Files struct {
	dir  string
	opts Options
	at   saved
	file *os.File // nil until there is a line
	out  *bufio.Writer
	open int64 // bytes that no Sync has covered
	// broken: what is written and what the position says may differ, until the next Open.
	broken bool
}

// saved is what is safe.
type saved struct {
	Position
	File  string    `json:"file,omitempty"` // being written, without its suffixes
	Bytes int64     `json:"bytes,omitempty"`
	Began time.Time `json:"began,omitzero"`
}

const (
	positionName = "position"
	part         = ".jsonl.part"
)

var finished = []string{".jsonl", ".jsonl.gz", ".jsonl.zst"}

// Open opens the recording of a folder, or begins one.
func Open(dir string, o Options) (*Files, error) {
	f := &Files{dir: dir, opts: o}
	if err := f.resume(); err != nil {
		return nil, fmt.Errorf("open the recording in %s: %w", dir, err)
	}
	return f, nil
}

func (f *Files) path(name string) string { return filepath.Join(f.dir, name) }

func (f *Files) resume() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	raw, err := os.ReadFile(f.path(positionName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &f.at)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", positionName, err)
	}
	if f.at.File == "" {
		return nil
	}
	for _, suffix := range finished { // it was killed between the name and the position
		if _, err := os.Stat(f.path(f.at.File + suffix)); err == nil {
			err := f.removePart(f.at.File)
			f.at.File, f.at.Bytes, f.at.Began = "", 0, time.Time{}
			return errors.Join(err, f.save())
		}
	}
	name := f.at.File + part
	f.file, err = os.OpenFile(f.path(name), os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is gone: put it back, or delete %s to record anew", name, positionName)
	}
	if err != nil {
		return err
	}
	info, err := f.file.Stat()
	if err == nil && info.Size() < f.at.Bytes {
		err = fmt.Errorf("%s is shorter than what was written to it: move it away and delete %s to record anew", name, positionName)
	}
	if err == nil {
		err = f.file.Truncate(f.at.Bytes)
	}
	if err == nil {
		_, err = f.file.Seek(f.at.Bytes, io.SeekStart)
	}
	if err != nil {
		return errors.Join(err, f.file.Close())
	}
	f.out = bufio.NewWriterSize(f.file, 1<<20)
	return nil
}

func (f *Files) removePart(name string) error {
	if err := os.Remove(f.path(name + part)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// At is what the last Sync was told.
func (f *Files) At() Position { return f.at.Position }

// Unsafe is how many bytes no Sync has covered yet.
func (f *Files) Unsafe() int64 { return f.open }

// Write appends a line with its end. It came with the message of that sequence,
// stored at that time: these name a file that begins with it, so that after a crash
// it gets the same name again.
func (f *Files) Write(line []byte, sequence uint64, stored time.Time) error {
	if f.file == nil {
		f.at.File = fmt.Sprintf("events-%s-%012d", stored.UTC().Format("20060102T150405Z"), sequence)
		f.at.Began = time.Now()
		var err error
		if f.file, err = os.OpenFile(f.path(f.at.File+part), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return fmt.Errorf("record: %w", err)
		}
		if err := f.syncDir(); err != nil {
			return fmt.Errorf("record: %w", err)
		}
		f.out = bufio.NewWriterSize(f.file, 1<<20)
	}
	if _, err := f.out.Write(line); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	f.open += int64(len(line))
	return nil
}

// Sync makes all lines safe, together with the position of the message they end
// with, and finishes a file that is large or old enough.
func (f *Files) Sync(p Position) error {
	f.broken = true
	f.at.Position = p
	if f.file != nil {
		err := f.out.Flush()
		if err == nil {
			err = f.file.Sync()
		}
		if err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	f.at.Bytes += f.open
	f.open = 0
	if err := f.save(); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	f.broken = false
	if f.at.Bytes >= f.opts.MaxBytes || f.Old() {
		return f.finish()
	}
	return nil
}

// Old reports whether the file has the age at which it is finished.
func (f *Files) Old() bool {
	return f.file != nil && f.opts.MaxAge > 0 && time.Since(f.at.Began) >= f.opts.MaxAge
}

// Close finishes the file that is being written. Lines that no Sync has covered are
// left to the next Open, which cuts them off.
func (f *Files) Close() error {
	if f.file != nil && (f.open > 0 || f.broken) {
		return f.file.Close()
	}
	return f.finish()
}

// finish gives the file its name. All its lines are safe.
func (f *Files) finish() error {
	if f.file == nil {
		return nil
	}
	name := f.at.File
	err := f.file.Close()
	f.file, f.out = nil, nil
	if err == nil {
		err = f.name(name)
	}
	if err == nil {
		err = f.syncDir()
	}
	if err == nil { // from here on resume knows that it is whole
		err = f.removePart(name)
	}
	if err == nil {
		f.at.File, f.at.Bytes, f.at.Began = "", 0, time.Time{}
		err = f.save()
	}
	if err == nil {
		err = f.prune()
	}
	if err != nil {
		return fmt.Errorf("finish recording %s: %w", name, err)
	}
	return nil
}

func (f *Files) name(name string) error {
	if f.opts.Pack == "" {
		return os.Rename(f.path(name+part), f.path(name+".jsonl"))
	}
	to := f.path(name + ".jsonl." + f.opts.Pack)
	if err := pack(f.path(name+part), to+".tmp", f.opts.Pack); err != nil {
		return err
	}
	return os.Rename(to+".tmp", to)
}

// prune removes the oldest finished files.
func (f *Files) prune() error {
	if f.opts.Keep <= 0 {
		return nil
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		isOne := func(suffix string) bool { return strings.HasSuffix(e.Name(), suffix) }
		if strings.HasPrefix(e.Name(), "events-") && slices.ContainsFunc(finished, isOne) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names) // by time
	for _, n := range names[:max(0, len(names)-f.opts.Keep)] {
		if err := os.Remove(f.path(n)); err != nil {
			return err
		}
	}
	return nil
}

func (f *Files) save() error {
	b, err := json.Marshal(f.at)
	if err != nil {
		return err
	}
	tmp, err := os.OpenFile(f.path(positionName+".tmp"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), f.path(positionName))
}

func (f *Files) syncDir() error {
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

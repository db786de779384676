// Package ndjson writes results to a file, one JSON object a line, each once.
package ndjson

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Writer appends lines that come from a stream, one or several under a number. What
// the number says was written before is passed over, also after a crash: beside the file,
// NAME.position holds how long the file was and which line was the last when it
// was last made safe; on opening, what is longer is cut off. Not for concurrent
// use.
//
// With a Rotation the file is renamed now and then, behind a whole line, and another
// begun under its name.
//
// Guarantee: a line that Sync has returned for is in the file, or in one of those that
// were renamed and kept, once.
type Writer struct {
	file   *os.File // nil for To
	out    *bufio.Writer
	path   string
	at     position
	rotate Rotation
}

// position is what is safe.
type position struct {
	Stream   int64  `json:"stream"` // identity of the stream that numbers the lines
	Sequence uint64 `json:"sequence"`
	Bytes    int64  `json:"bytes"`
	// Began is when the first line of the file was written, in seconds since the Unix
	// epoch; 0 is not known.
	Began int64 `json:"began,omitempty"`
	// Rotated is the name that the file is about to get.
	Rotated string `json:"rotated,omitempty"`
}

// ErrStream says that a file was written from another stream.
var ErrStream = errors.New("the file was written from another stream: move it away, or give another name")

// To writes lines behind a number to out, as standard output, which remembers nothing:
// what is safe there is not known.
func To(out io.Writer, after uint64) *Writer {
	return &Writer{out: bufio.NewWriterSize(out, 1<<16), at: position{Sequence: after}}
}

// Open opens or makes a file for lines of a stream. A file without a position
// beside it is taken over as it is.
func Open(path string, stream int64, r Rotation) (*Writer, error) {
	w := &Writer{path: path, at: position{Stream: stream}, rotate: r}
	raw, err := os.ReadFile(w.beside())
	fresh := errors.Is(err, os.ErrNotExist)
	switch {
	case fresh:
		if info, err := os.Stat(path); err == nil {
			w.at.Bytes = info.Size()
		}
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	default:
		if err := json.Unmarshal(raw, &w.at); err != nil {
			return nil, fmt.Errorf("open %s: read %s: %w", path, w.beside(), err)
		}
		if w.at.Stream != stream {
			return nil, fmt.Errorf("open %s: %w", path, ErrStream)
		}
	}
	if w.at.Rotated != "" { // it was killed while it rotated
		if err := w.renamed(); err != nil {
			return nil, fmt.Errorf("open results: %w", err)
		}
	}
	if err := w.openFile(); err != nil {
		return nil, fmt.Errorf("open results: %w", err)
	}
	if fresh { // else lines that are written before the first Sync would be taken over too
		if err := w.note(); err != nil {
			return nil, errors.Join(fmt.Errorf("open results: %w", err), w.file.Close())
		}
	}
	return w, nil
}

// openFile opens the file at its position.
func (w *Writer) openFile() (err error) {
	if w.file, err = os.OpenFile(w.path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	info, err := w.file.Stat()
	if err == nil && info.Size() < w.at.Bytes {
		err = fmt.Errorf("%s is shorter than what was written to it: it was cut; delete %s to go on behind its end", w.path, w.beside())
	}
	if err == nil {
		err = w.file.Truncate(w.at.Bytes)
	}
	if err == nil {
		_, err = w.file.Seek(w.at.Bytes, io.SeekStart)
	}
	if err != nil {
		return errors.Join(err, w.file.Close())
	}
	w.out = bufio.NewWriterSize(w.file, 1<<20)
	return nil
}

func (w *Writer) beside() string { return w.path + ".position" }

// Last is the number of the last line that is safe.
func (w *Writer) Last() uint64 { return w.at.Sequence }

// Write appends the lines of a number, which have no line ends, unless they were written
// before.
func (w *Writer) Write(sequence uint64, lines ...[]byte) error {
	if sequence <= w.at.Sequence {
		return nil
	}
	for _, line := range lines {
		if _, err := w.out.Write(line); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
		if err := w.out.WriteByte('\n'); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
		w.at.Bytes += int64(len(line)) + 1
	}
	if w.at.Sequence = sequence; w.at.Began == 0 {
		w.at.Began = time.Now().Unix()
	}
	return nil
}

// Sync makes all lines safe, and rotates the file if it is time to.
func (w *Writer) Sync() error {
	err := w.out.Flush()
	if err == nil && w.file != nil {
		err = w.file.Sync()
	}
	if err == nil && w.file != nil {
		err = w.note()
	}
	if err == nil && w.due() {
		err = w.rotateNow()
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// note makes the position safe.
func (w *Writer) note() error {
	b, err := json.Marshal(w.at)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(w.path), filepath.Base(w.path)+".position-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(b, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), w.beside())
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// Close makes all lines safe and closes the file.
func (w *Writer) Close() error {
	err := w.Sync()
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
	}
	return err
}

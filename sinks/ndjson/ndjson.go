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
)

// Writer appends lines that come from a stream, one or several under a number. What
// the number says was written before is passed over, also after a crash: beside the file,
// NAME.position holds how long the file was and which line was the last when it
// was last made safe; on opening, what is longer is cut off. Not for concurrent
// use.
//
// Guarantee: a line that Sync has returned for is in the file, once.
type Writer struct {
	file *os.File
	out  *bufio.Writer
	path string
	at   position
}

// position is what is safe.
type position struct {
	Stream   int64  `json:"stream"` // identity of the stream that numbers the lines
	Sequence uint64 `json:"sequence"`
	Bytes    int64  `json:"bytes"`
}

// ErrStream says that a file was written from another stream.
var ErrStream = errors.New("the file was written from another stream: move it away, or give another name")

// Open opens or makes a file for lines of a stream. A file without a position
// beside it is taken over as it is.
func Open(path string, stream int64) (*Writer, error) {
	w := &Writer{path: path, at: position{Stream: stream}}
	raw, err := os.ReadFile(w.beside())
	switch {
	case errors.Is(err, os.ErrNotExist):
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
	if w.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("open results: %w", err)
	}
	info, err := w.file.Stat()
	if err == nil && info.Size() < w.at.Bytes {
		err = fmt.Errorf("%s is shorter than what was written to it: it was cut; delete %s to go on behind its end", path, w.beside())
	}
	if err == nil {
		err = w.file.Truncate(w.at.Bytes)
	}
	if err == nil {
		_, err = w.file.Seek(w.at.Bytes, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open results: %w", err), w.file.Close())
	}
	w.out = bufio.NewWriterSize(w.file, 1<<20)
	return w, nil
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
	w.at.Sequence = sequence
	return nil
}

// Sync makes all lines safe.
func (w *Writer) Sync() error {
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	b, err := json.Marshal(w.at)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(w.path), filepath.Base(w.path)+".position-*")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	_, err = tmp.Write(append(b, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), w.beside())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write results: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

// Close makes all lines safe and closes the file.
func (w *Writer) Close() error { return errors.Join(w.Sync(), w.file.Close()) }

package extsort

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/klauspost/compress/s2"
)

const (
	ctxEvery  = 1024      // records between two looks at the context
	fanIn     = 64        // runs merged at a time
	blockSize = 128 << 10 // of the compression; a run being read holds about two
)

// Runs is a growing set of sorted runs on disk. It is what a Sorter spills to,
// for callers who have their records in memory in a form of their own. Not for
// concurrent use.
type Runs struct {
	o       Options
	runs    []run
	spilled int64
	buf     []byte
}

// run is one sorted file. Level counts how often it was merged.
type run struct {
	f     *os.File
	name  string // empty once the file is unlinked
	level int
}

// NewRuns returns an empty set. It must be closed. Options.Memory has no
// meaning here.
func NewRuns(o Options) *Runs { return &Runs{o: o} }

// Len returns the number of runs on disk.
func (r *Runs) Len() int { return len(r.runs) }

// Spilled returns the bytes written to disk so far, compressed, merges of runs
// included.
func (r *Runs) Spilled() int64 { return r.spilled }

// Write adds one run. The records must come in order already.
func (r *Runs) Write(ctx context.Context, records iter.Seq2[[]byte, []byte]) error {
	if err := r.write(ctx, 0, records); err != nil {
		return err
	}
	// Sixty-four runs of one level become one of the next, so that the number
	// of open files stays small however much is sorted.
	for n := len(r.runs); n >= fanIn && r.runs[n-fanIn].level == r.runs[n-1].level; n = len(r.runs) {
		if err := r.compact(ctx, n-fanIn); err != nil {
			return err
		}
	}
	return nil
}

// compact merges the runs from the given one on into one.
func (r *Runs) compact(ctx context.Context, from int) error {
	parts := r.runs[from:]
	m, err := newMerge(parts, r.o.ByPayload)
	if err != nil {
		return err
	}
	var stop error
	err = r.write(ctx, parts[0].level+1, func(yield func(key, payload []byte) bool) {
		stop = m.each(ctx, func(key, payload []byte) error {
			if !yield(key, payload) {
				return errStopped
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	merged := r.runs[len(r.runs)-1]
	if stop != nil {
		return stop
	}
	parts = r.runs[from : len(r.runs)-1]
	for _, p := range parts {
		err = errors.Join(err, p.remove())
	}
	r.runs = append(r.runs[:from], merged)
	return err
}

var errStopped = errors.New("stopped")

func (r *Runs) write(ctx context.Context, level int, records iter.Seq2[[]byte, []byte]) (err error) {
	f, err := os.CreateTemp(r.o.TempDir, "sennit-sort-*")
	if err != nil {
		return fmt.Errorf("create a temporary file for sorting: %w", err)
	}
	run := run{f: f, name: f.Name(), level: level}
	if os.Remove(run.name) == nil {
		run.name = "" // on Unix the open file lives on without a name
	}
	r.runs = append(r.runs, run)

	count := &counter{w: f}
	w := s2.NewWriter(count, s2.WriterConcurrency(1), s2.WriterBlockSize(blockSize))
	n := 0
	for key, payload := range records {
		if n++; n%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r.buf = binary.AppendUvarint(r.buf[:0], uint64(len(key)))
		r.buf = binary.AppendUvarint(r.buf, uint64(len(payload)))
		r.buf = append(r.buf, key...)
		if _, err = w.Write(r.buf); err == nil {
			_, err = w.Write(payload)
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = w.Close()
	}
	r.spilled += count.n
	if err != nil {
		return fmt.Errorf("write a sorted run (make room in the temporary folder, or choose another): %w", err)
	}
	return nil
}

// Each calls f with every record of all runs, in order. The runs stay until
// Close, so Each may be called again. The slices are valid during the call
// only. It stops at the first error of f and returns it as it is.
func (r *Runs) Each(ctx context.Context, f func(key, payload []byte) error) error {
	for len(r.runs) > fanIn { // levels left over: the newest runs are the smallest
		if err := r.compact(ctx, max(0, len(r.runs)-fanIn)); err != nil {
			return err
		}
	}
	m, err := newMerge(r.runs, r.o.ByPayload)
	if err != nil {
		return err
	}
	return m.each(ctx, f)
}

// Close removes the temporary files. It may be called at any time, and twice.
func (r *Runs) Close() error {
	var err error
	for _, run := range r.runs {
		err = errors.Join(err, run.remove())
	}
	r.runs = nil
	return err
}

func (r *run) remove() error {
	err := r.f.Close()
	if r.name != "" {
		err = errors.Join(err, os.Remove(r.name))
	}
	return err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// runReader reads one run from its start.
type runReader struct {
	r     *s2.Reader
	order int
	buf   []byte
	key   []byte
	value []byte
}

func newRunReader(run *run, order int) (*runReader, error) {
	if _, err := run.f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read a sorted run: %w", err)
	}
	s := s2.NewReader(run.f, s2.ReaderMaxBlockSize(blockSize), s2.ReaderAllocBlock(64<<10))
	return &runReader{r: s, order: order}, nil
}

// next reads a record; false without an error is the end.
func (r *runReader) next() (bool, error) {
	nk, err := binary.ReadUvarint(r.r)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	var np uint64
	if err == nil {
		np, err = binary.ReadUvarint(r.r)
	}
	if err == nil {
		if n := int(nk + np); n > cap(r.buf) {
			r.buf = make([]byte, n, n+n/2)
		} else {
			r.buf = r.buf[:n]
		}
		_, err = io.ReadFull(r.r, r.buf)
	}
	if err != nil {
		return false, fmt.Errorf("read a sorted run: %w", err)
	}
	r.key, r.value = r.buf[:nk:nk], r.buf[nk:]
	return true, nil
}

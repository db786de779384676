package extsort

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
)

// DefaultMemory is the memory of a Sorter whose Options name none, in bytes.
const DefaultMemory = 256 << 20

// Options of a Sorter, or of a set of Runs. The zero value is usable.
type Options struct {
	// Memory is how many bytes of records a Sorter keeps before it writes them
	// to disk; 0 means DefaultMemory. Merging needs up to about 20 MiB more.
	Memory int64
	// TempDir is where the runs are written; empty means os.TempDir().
	TempDir string
	// ByPayload orders records of equal keys by their payloads instead of by
	// the order of adding.
	ByPayload bool
}

// Sorter collects records and gives them back in order. Not for concurrent use.
type Sorter struct {
	o      Options
	chunks [][]byte
	free   [][]byte // chunks to fill again after a spill
	index  []entry
	used   int64
	runs   *Runs
}

// entry finds one record in the chunks. The prefix is the first eight bytes of
// the key, so that most comparisons touch no record.
type entry struct {
	prefix     uint64
	chunk, off uint32
	key, value uint32 // lengths
}

const (
	chunkSize = 1 << 20
	entrySize = 24
)

// New returns an empty Sorter. It must be closed.
func New(o Options) *Sorter {
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	return &Sorter{o: o, runs: NewRuns(o)}
}

// Add takes a copy of one record. An error is one of writing to the temporary
// folder or the context's.
func (s *Sorter) Add(ctx context.Context, key, payload []byte) error {
	n := len(key) + len(payload)
	if s.used > 0 && s.used+int64(n)+entrySize > s.o.Memory {
		if err := s.spill(ctx); err != nil {
			return err
		}
	}
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < n {
		s.chunks = append(s.chunks, s.newChunk(n))
		last++
	}
	c := s.chunks[last]
	e := entry{prefix: prefix(key), chunk: uint32(last), off: uint32(len(c)), key: uint32(len(key)), value: uint32(len(payload))}
	s.chunks[last] = append(append(c, key...), payload...)
	s.index = append(s.index, e)
	s.used += int64(n) + entrySize
	return nil
}

func (s *Sorter) newChunk(n int) []byte {
	if n > chunkSize {
		return make([]byte, 0, n)
	}
	if last := len(s.free) - 1; last >= 0 {
		c := s.free[last]
		s.free = s.free[:last]
		return c
	}
	return make([]byte, 0, min(chunkSize, max(n, int(s.o.Memory))))
}

func prefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var p [8]byte
	copy(p[:], key)
	return binary.BigEndian.Uint64(p[:])
}

func (s *Sorter) record(e *entry) (key, payload []byte) {
	b := s.chunks[e.chunk][e.off : e.off+e.key+e.value]
	return b[:e.key:e.key], b[e.key:]
}

func (s *Sorter) sort() {
	slices.SortFunc(s.index, func(a, b entry) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		ka, pa := s.record(&a)
		kb, pb := s.record(&b)
		if c := bytes.Compare(ka, kb); c != 0 {
			return c
		}
		if s.o.ByPayload {
			if c := bytes.Compare(pa, pb); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(a.chunk, b.chunk), cmp.Compare(a.off, b.off))
	})
}

// spill writes what is in memory as one run.
func (s *Sorter) spill(ctx context.Context) error {
	s.sort()
	err := s.runs.Write(ctx, func(yield func(key, payload []byte) bool) {
		for i := range s.index {
			if !yield(s.record(&s.index[i])) {
				return
			}
		}
	})
	for _, c := range s.chunks {
		if cap(c) <= chunkSize {
			s.free = append(s.free, c[:0])
		}
	}
	s.chunks, s.index, s.used = s.chunks[:0], s.index[:0], 0
	return err
}

// Each calls f with every record in order and empties the Sorter. The slices
// are valid during the call only. It stops at the first error of f and returns
// it as it is; other errors are those of reading the runs, or the context's.
func (s *Sorter) Each(ctx context.Context, f func(key, payload []byte) error) error {
	if s.runs.Len() > 0 {
		if len(s.index) > 0 {
			if err := s.spill(ctx); err != nil {
				return err
			}
		}
		s.free = nil
		return s.runs.Each(ctx, f)
	}
	s.sort()
	for i := range s.index {
		if i%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := f(s.record(&s.index[i])); err != nil {
			return err
		}
	}
	s.chunks, s.index, s.used = nil, nil, 0
	return nil
}

// Spilled returns the bytes written to disk so far.
func (s *Sorter) Spilled() int64 { return s.runs.Spilled() }

// Close removes the temporary files. It may be called at any time, and twice.
func (s *Sorter) Close() error {
	s.chunks, s.free, s.index, s.used = nil, nil, nil, 0
	return s.runs.Close()
}

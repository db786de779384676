package hold

import (
	"fmt"
	"math"

	"github.com/sennit-io/sennit/schemas/event"
)

// Ref names an event that an arena holds; the zero value names none.
type Ref struct {
	chunk uint32
	at    uint16
}

// IsZero reports whether nothing is named.
func (r Ref) IsZero() bool { return r == Ref{} }

// Parts returns a reference as two numbers, the first of them 0 only for one that
// names nothing; RefOf puts them together again.
func (r Ref) Parts() (chunk uint32, at uint16) { return r.chunk, r.at }

// RefOf is the reference of Parts.
func RefOf(chunk uint32, at uint16) Ref { return Ref{chunk, at} }

// Arena holds packed events until each is dropped. A chunk goes when the last
// of its events does, so what an arena holds should be dropped about in the order
// in which it came. Not for concurrent use.
type Arena struct {
	budget *Budget
	packer event.Packer
	chunks []chunk  // by number; 0 is none
	free   []uint32 // numbers to be used again
	last   uint32   // the chunk that is filled, 0 for none
	bytes  int64    // of all chunks, spilled ones too
	events int
	cache  [cached]fetched // chunks that were read back, the latest used first
	err    error
}

// chunk is the events that were packed one after the other.
type chunk struct {
	data    []byte // nil when it is spilled, or its number is free
	size    int32  // of the bytes where it is
	events  int32  // not dropped yet
	spilled bool
	n       uint64 // its number in the spill
}

type fetched struct {
	chunk uint32
	data  []byte
}

const (
	chunkMin = 4 << 10
	chunkMax = 64 << 10
	cached   = 4
)

// New returns an empty arena.
func New(b *Budget) *Arena {
	if b == nil {
		b = NewBudget(0, nil)
	}
	return &Arena{budget: b, chunks: make([]chunk, 1)}
}

// Put packs an event.
func (a *Arena) Put(e *event.Event) Ref {
	if a.last != 0 && len(a.packer.Bytes()) > math.MaxUint16 { // filled by one large event
		a.seal()
	}
	if a.last == 0 {
		a.begin()
	}
	c := &a.chunks[a.last]
	room, first := cap(c.data), len(a.packer.Bytes()) == 0
	at := a.packer.Append(e)
	if len(a.packer.Bytes()) > room && !first { // it moved: the event begins the next one
		a.packer.Undo(at)
		a.seal()
		a.begin()
		c = &a.chunks[a.last]
		room = cap(c.data)
		at = a.packer.Append(e)
	}
	c.data = a.packer.Bytes()
	if more := cap(c.data) - room; more != 0 { // one event larger than a chunk
		c.size += int32(more)
		a.count(int64(more))
	}
	c.events++
	a.events++
	return Ref{a.last, uint16(at)}
}

// begin starts a chunk; the first ones of an arena are small.
func (a *Arena) begin() {
	size := min(max(chunkMin, int(a.bytes)), chunkMax)
	if n := len(a.free); n > 0 {
		a.last, a.free = a.free[n-1], a.free[:n-1]
	} else {
		a.chunks = append(a.chunks, chunk{})
		a.last = uint32(len(a.chunks) - 1)
	}
	c := &a.chunks[a.last]
	*c = chunk{data: make([]byte, 0, size), size: int32(size)}
	a.packer.Begin(c.data)
	a.count(int64(size))
}

func (a *Arena) count(bytes int64) {
	a.bytes += bytes
	a.budget.bytes.Add(bytes)
}

// seal ends the chunk that is filled. If the budget is used up it leaves the
// memory: of all chunks it will be wanted last.
func (a *Arena) seal() {
	c := &a.chunks[a.last]
	n := a.last
	a.last = 0
	if c.events == 0 {
		a.release(n)
		return
	}
	b := a.budget
	if b.spill == nil || b.limit == 0 || b.bytes.Load() <= b.limit {
		return
	}
	at, err := b.spill.Put(c.data)
	if err != nil { // the memory has it
		b.refused.Add(1)
		return
	}
	a.count(-int64(c.size))
	c.size, c.data, c.spilled, c.n = int32(len(c.data)), nil, true, at
	a.bytes += int64(c.size)
	b.spilled.Add(int64(c.size))
}

// Get unpacks an event into e, its payload into b. Its strings are the arena's:
// whoever keeps one keeps a chunk in memory. When the event cannot be read back
// e is zero and Err says why.
func (a *Arena) Get(r Ref, e *event.Event, b *event.Batch) {
	if data := a.data(r.chunk); data != nil {
		event.Unpack(data, int(r.at), e, b)
	} else {
		*e = event.Event{}
	}
}

// ID returns the id of an event, zero if it cannot be read back.
func (a *Arena) ID(r Ref) event.ID {
	if data := a.data(r.chunk); data != nil {
		return event.PackedID(data, int(r.at))
	}
	return event.ID{}
}

func (a *Arena) data(n uint32) []byte {
	if c := &a.chunks[n]; !c.spilled {
		return c.data
	}
	return a.fetch(n)
}

// fetch reads a chunk back, and keeps a few of those that were.
func (a *Arena) fetch(n uint32) []byte {
	at := 0
	for at < cached-1 && a.cache[at].chunk != n {
		at++
	}
	f := a.cache[at]
	if f.chunk != n {
		c := &a.chunks[n]
		data, err := a.budget.spill.Get(c.n, make([]byte, 0, c.size))
		if err != nil {
			a.err = fmt.Errorf("read back spilled events: %w", err)
			return nil
		}
		a.budget.fetched.Add(1)
		f = fetched{n, data}
	}
	copy(a.cache[1:at+1], a.cache[:at])
	a.cache[0] = f
	return f.data
}

// Drop ends an event's stay.
func (a *Arena) Drop(r Ref) {
	if r.IsZero() {
		return
	}
	c := &a.chunks[r.chunk]
	c.events--
	a.events--
	if c.events == 0 && r.chunk != a.last {
		a.release(r.chunk)
	}
}

// release gives a chunk's memory back. The bytes are not used again: strings
// may still be cut from them.
func (a *Arena) release(n uint32) {
	c := &a.chunks[n]
	if c.spilled {
		a.budget.spill.Drop(c.n)
		a.budget.spilled.Add(-int64(c.size))
		a.bytes -= int64(c.size)
		for i := range a.cache {
			if a.cache[i].chunk == n {
				a.cache[i] = fetched{}
			}
		}
	} else {
		a.count(-int64(c.size))
	}
	*c = chunk{}
	a.free = append(a.free, n)
}

// Events is how many events are held.
func (a *Arena) Events() int { return a.events }

// Err returns why an event could not be read back, nil if none was lost.
func (a *Arena) Err() error { return a.err }

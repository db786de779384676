package bind

import (
	"math"

	"github.com/sennit-io/sennit/schemas/event"
)

// slab numbers values from 1 on. They do not move; the numbers of those that
// were dropped are used again, and blocks of them are given back.
type slab[T any] struct {
	blocks []*block[T] // nil for one that was given back
	open   []uint32    // blocks that may have room
	gone   []uint32    // of the blocks that are nil
}

const slabBlock = 256

type block[T any] struct {
	items [slabBlock]T
	free  [slabBlock]uint8 // the first room of these places are free
	room  int
}

// add returns the number of a zero value.
func (s *slab[T]) add() (uint32, *T) {
	for len(s.open) > 0 {
		i := s.open[len(s.open)-1]
		b := s.blocks[i]
		if b != nil && b.room > 0 {
			b.room--
			at := b.free[b.room]
			return i*slabBlock + uint32(at) + 1, &b.items[at]
		}
		s.open = s.open[:len(s.open)-1]
	}
	b := &block[T]{room: slabBlock}
	for i := range b.free {
		b.free[i] = uint8(slabBlock - 1 - i)
	}
	i := uint32(len(s.blocks))
	if n := len(s.gone); n > 0 {
		i, s.gone = s.gone[n-1], s.gone[:n-1]
		s.blocks[i] = b
	} else {
		s.blocks = append(s.blocks, b)
	}
	s.open = append(s.open, i)
	return s.add()
}

func (s *slab[T]) at(n uint32) *T { return &s.blocks[(n-1)/slabBlock].items[(n-1)%slabBlock] }

func (s *slab[T]) drop(n uint32) {
	i, at := (n-1)/slabBlock, (n-1)%slabBlock
	b := s.blocks[i]
	var zero T
	b.items[at] = zero
	b.free[b.room] = uint8(at)
	b.room++
	switch {
	case b.room == 1:
		s.open = append(s.open, i)
	case b.room == slabBlock && s.open[len(s.open)-1] != i: // one that is filled stays
		s.blocks[i] = nil
		s.gone = append(s.gone, i)
	}
}

// dues is a queue of numbers due at times that never decrease, in eight bytes
// each.
type dues struct {
	blocks []dueBlock
	head   int // in the first block
}

type dueBlock struct {
	from  event.Time
	items []due
}

type due struct{ after, n uint32 }

func (q *dues) push(at event.Time, n uint32) {
	last := len(q.blocks) - 1
	if last < 0 || len(q.blocks[last].items) == slabBlock || at-q.blocks[last].from > math.MaxUint32 {
		q.blocks = append(q.blocks, dueBlock{from: at})
		last++
	}
	b := &q.blocks[last]
	b.items = append(b.items, due{uint32(at - b.from), n})
}

// due lowers *at to the time of the first number, if that is earlier.
func (q *dues) due(at *event.Time) bool {
	if len(q.blocks) == 0 {
		return false
	}
	b := &q.blocks[0]
	if first := b.from + event.Time(b.items[q.head].after); first < *at {
		*at = first
		return true
	}
	return false
}

func (q *dues) pop() uint32 {
	b := &q.blocks[0]
	n := b.items[q.head].n
	if q.head++; q.head == len(b.items) {
		q.blocks[0], q.head = dueBlock{}, 0
		q.blocks = q.blocks[1:]
	}
	return n
}

package bind

import "math/bits"

// slab numbers values from 1 on. They do not move; the numbers of those that
// were dropped are used again, and blocks of them are given back.
type slab[T any] struct {
	blocks []*[slabBlock]T // nil for one that was given back
	taken  []uint64        // of each block: a bit for each place in use
	open   []uint32        // blocks that may have room
	gone   []uint32        // of the blocks that are nil
}

// slabBlock sockets and the allocator's eight bytes are 4 KiB.
const (
	slabBlock = 46
	slabFull  = 1<<slabBlock - 1
)

// add returns the number of a zero value.
func (s *slab[T]) add() (uint32, *T) {
	for len(s.open) > 0 {
		i := s.open[len(s.open)-1]
		if b := s.blocks[i]; b != nil && s.taken[i] != slabFull {
			at := bits.TrailingZeros64(^s.taken[i])
			s.taken[i] |= 1 << at
			return i*slabBlock + uint32(at) + 1, &b[at]
		}
		s.open = s.open[:len(s.open)-1]
	}
	i := uint32(len(s.blocks))
	if n := len(s.gone); n > 0 {
		i, s.gone = s.gone[n-1], s.gone[:n-1]
		s.blocks[i] = new([slabBlock]T)
	} else {
		s.blocks, s.taken = append(s.blocks, new([slabBlock]T)), append(s.taken, 0)
	}
	s.open = append(s.open, i)
	return s.add()
}

func (s *slab[T]) at(n uint32) *T { return &s.blocks[(n-1)/slabBlock][(n-1)%slabBlock] }

func (s *slab[T]) drop(n uint32) {
	i, at := (n-1)/slabBlock, (n-1)%slabBlock
	var zero T
	s.blocks[i][at] = zero
	if s.taken[i] == slabFull {
		s.open = append(s.open, i)
	}
	s.taken[i] &^= 1 << at
	if s.taken[i] == 0 && s.open[len(s.open)-1] != i { // one that is filled stays
		s.blocks[i] = nil
		s.gone = append(s.gone, i)
	}
}

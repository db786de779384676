package bind

import "github.com/sennit-io/sennit/schemas/event"

// fifo is a queue of things due at times that never decrease. It is a list of
// blocks, so that nothing is copied as it grows; emptied ones are used again.
type fifo[T any] struct {
	blocks [][]timed[T]
	head   int // in the first block
	spare  [][]timed[T]
}

type timed[T any] struct {
	at event.Time
	v  T
}

const (
	fifoBlock = 128
	fifoSpare = 32 // so many empty blocks are kept
)

func (f *fifo[T]) push(at event.Time, v T) {
	last := len(f.blocks) - 1
	if last < 0 || len(f.blocks[last]) == fifoBlock {
		var b []timed[T] // the first one grows
		if n := len(f.spare); n > 0 {
			b, f.spare = f.spare[n-1], f.spare[:n-1]
		} else if last >= 0 {
			b = make([]timed[T], 0, fifoBlock)
		}
		f.blocks = append(f.blocks, b)
		last++
	}
	f.blocks[last] = append(f.blocks[last], timed[T]{at, v})
}

// due lowers *at to the time of the first item, if that is earlier.
func (f *fifo[T]) due(at *event.Time) bool {
	if len(f.blocks) == 0 || f.blocks[0][f.head].at >= *at {
		return false
	}
	*at = f.blocks[0][f.head].at
	return true
}

func (f *fifo[T]) pop() T {
	b := f.blocks[0]
	v := b[f.head].v
	b[f.head] = timed[T]{}
	if f.head++; f.head == len(b) {
		if len(f.spare) < fifoSpare {
			f.spare = append(f.spare, b[:0])
		}
		f.blocks[0], f.head = nil, 0
		f.blocks = f.blocks[1:]
	}
	return v
}

package bind

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/sennit-io/sennit/schemas/event"
)

// TestSlabIsAMap holds a slab to a map while values come and go in any order.
func TestSlabIsAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var s slab[int]
	want := map[uint32]int{}
	for step, most := range []int{10, 3000, 0, 700, 0} {
		for range 20_000 {
			if grow := len(want) < most; grow != (rnd.IntN(8) == 0) {
				n, v := s.add()
				if _, there := want[n]; n == 0 || there || *v != 0 {
					t.Fatalf("step %d: the new number %d is in use (%t) or not zero: %d", step, n, there, *v)
				}
				*v = rnd.Int()
				want[n] = *v
			} else {
				for n := range want {
					if got := *s.at(n); got != want[n] {
						t.Fatalf("step %d: %d holds %d, want %d", step, n, got, want[n])
					}
					s.drop(n)
					delete(want, n)
					break
				}
			}
		}
		for n, v := range want {
			if got := *s.at(n); got != v {
				t.Fatalf("step %d: %d holds %d, want %d", step, n, got, v)
			}
		}
	}
	if len(s.taken) != len(s.blocks) {
		t.Errorf("%d blocks, bits of %d", len(s.blocks), len(s.taken))
	}
	blocks := 0
	for _, b := range s.blocks {
		if b != nil {
			blocks++
		}
	}
	if most := 2 + 20*len(want)/slabBlock; blocks > most {
		t.Errorf("%d blocks for %d values, want at most %d", blocks, len(want), most)
	}
}

// TestWaitsAreAQueue holds waits to a list, over gaps that do not fit into a
// place, and over the end of the numbers of places.
func TestWaitsAreAQueue(t *testing.T) {
	f := func(popped uint32) {
		t.Helper()
		rnd := rand.New(rand.NewPCG(1, 2))
		q := waits{popped: popped}
		type item struct {
			place, what uint32
			due         event.Time
		}
		var want []item
		at := event.Time(0)
		for i := range uint32(50_000) {
			at = at.Add(time.Duration(rnd.IntN(1000)))
			if rnd.IntN(100) == 0 {
				at = at.Add(time.Duration(rnd.Int64N(math.MaxUint32 * 3)))
			}
			want = append(want, item{q.push(at, wait{what: i}), i, at})
			some := want[rnd.IntN(len(want))]
			if w, due := q.at(some.place); w.what != some.what || due != some.due {
				t.Fatalf("place %d has %d, due at %d, want %d at %d", some.place, w.what, due, some.what, some.due)
			}
			for len(want) > 0 && (rnd.IntN(3) == 0 || i%10_000 == 9_999) {
				first := event.Never
				if !q.due(&first) || first != want[0].due {
					t.Fatalf("due at %d, want %d", first, want[0].due)
				}
				place, w, due := q.pop()
				if got := (item{place, w.what, due}); got != want[0] {
					t.Fatalf("popped %v, want %v", got, want[0])
				}
				want = want[1:]
			}
		}
		if first := event.Never; q.due(&first) {
			t.Errorf("something is due at %d in an empty queue", first)
		}
	}
	f(0)
	f(placeMask/waitsBlock - 3)
	f(math.MaxUint32 - 3)
}

// TestAWaitIsSmall is what ten million events that nobody claims are budgeted with.
func TestAWaitIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(wait{}); size > 20 {
		t.Errorf("a place in the queue takes %d bytes, want at most 20", size)
	}
}

// TestFifoIsAQueue holds a fifo to a list, growing and shrinking.
func TestFifoIsAQueue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var q fifo[uint32]
	var want []timed[uint32]
	for i := range uint32(100_000) {
		at := event.Time(i / 3)
		q.push(at, i)
		want = append(want, timed[uint32]{at, i})
		for len(want) > 0 && (rnd.IntN(2) == 0 || i%20_000 == 19_999) {
			first := event.Never
			if !q.due(&first) || first != want[0].at {
				t.Fatalf("due at %d, want %d", first, want[0].at)
			}
			if got := q.pop(); got != want[0].v {
				t.Fatalf("popped %d, want %d", got, want[0].v)
			}
			want = want[1:]
		}
	}
	if first := event.Never; q.due(&first) || len(q.spare) > fifoSpare {
		t.Errorf("an empty queue is due at %d and keeps %d blocks", first, len(q.spare))
	}
}

package bind

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

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

// TestDuesAreAQueue holds dues to a fifo, over gaps that do not fit into an item.
func TestDuesAreAQueue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var q dues
	var want fifo[uint32]
	at := event.Time(0)
	for i := range uint32(50_000) {
		switch rnd.IntN(100) {
		case 0:
			at = at.Add(time.Duration(rnd.Int64N(math.MaxUint32 * 3)))
		default:
			at = at.Add(time.Duration(rnd.IntN(1000)))
		}
		if i%10_000 == 9_999 {
			at = at.Add(15 * time.Minute)
		}
		q.push(at, i)
		want.push(at, i)
		for rnd.IntN(3) == 0 || i > 49_990 {
			a, b := event.Never, event.Never
			if x, y := q.due(&a), want.due(&b); x != y || a != b {
				t.Fatalf("due at %d (%t), want %d (%t)", a, x, b, y)
			} else if !x {
				break
			}
			if got, want := q.pop(), want.pop(); got != want {
				t.Fatalf("popped %d, want %d", got, want)
			}
		}
	}
}

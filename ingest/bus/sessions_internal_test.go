package bus

import (
	"math/rand/v2"
	"testing"
)

// However far a window slides, it holds what came of the last 1,024 and counts what did
// not.
func TestWindowSlides(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var w window
	came := map[uint64]bool{}
	lost, want := uint64(0), uint64(0)
	next := uint64(1) // what is missing before it is in want
	for _, by := range []uint64{1, 1, 2, 63, 64, 65, 127, 128, 640, 1023, 1, 1024, 5, 1025, 1, 5000, 1} {
		for range 3 {
			high := w.high + by
			lost += w.slide(high)
			w.bits[0] |= 1
			came[high] = true
			for range 100 { // some come late
				if i := rng.Uint64N(min(span, high)); !w.has(i) {
					w.bits[i/64] |= 1 << (i % 64)
					came[high-i] = true
				}
			}
			for ; next+span <= high; next++ {
				if !came[next] {
					want++
				}
			}
			for i := range min(span, high) {
				if w.has(i) != came[high-i] {
					t.Fatalf("slid by %d to %d: %d is said to have come: %v", by, high, high-i, w.has(i))
				}
			}
			if lost != want {
				t.Fatalf("slid by %d to %d: %d are missing, want %d", by, high, lost, want)
			}
		}
	}
}

package replay

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
)

// Merging runs of any number and length is a stable sort.
func TestMergerIsStable(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 500 {
		m := merger{order: OrderArrival}
		var bounds []int
		for range rng.IntN(20) {
			run := make([]entry, 1+rng.IntN(9))
			for i := range run {
				run[i] = entry{key: event.Time(rng.IntN(12))}
			}
			stableByKey(run)
			m.index = append(m.index, run...)
			bounds = append(bounds, len(m.index))
		}
		for i := range m.index {
			m.index[i].event = uint32(i)
		}
		want := slices.Clone(m.index)
		stableByKey(want)
		if got := m.sort(bounds); !slices.Equal(got, want) {
			t.Fatalf("runs up to %v:\n%v\nwant %v", bounds, got, want)
		}
	}
}

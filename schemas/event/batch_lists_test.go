package event

import (
	"slices"
	"testing"
)

func TestBatchListsStayApart(t *testing.T) {
	var b Batch
	var kept, want [][]uint16
	for round := range 3 {
		b.Reset()
		kept, want = kept[:0], want[:0]
		for n := range 400 {
			v := make([]uint16, n)
			for i := range v {
				v[i] = uint16(n*7 + i + round)
			}
			got := b.CopyPorts(v)
			if n == 0 && got != nil {
				t.Fatalf("the copy of nothing is %v, want nil", got)
			}
			kept, want = append(kept, got), append(want, v)
			if n > 0 {
				_ = append(got, 65535) // must move, not overwrite a neighbour
			}
		}
		for i := range want {
			if !slices.Equal(kept[i], want[i]) {
				t.Fatalf("round %d: list %d is %v, want %v", round, i, kept[i], want[i])
			}
		}
	}
	small := []uint16{1, 2, 3}
	if n := testing.AllocsPerRun(100, func() { b.Reset(); b.CopyPorts(small) }); n != 0 {
		t.Errorf("%v allocations a list in a warm batch, want 0", n)
	}
}

package link

import (
	"math"
	"math/bits"
	"slices"
)

// What an owner says of its call's sizes (tokens) and what the call shows
// (bytes) grow together, nobody knows how; so the logarithm of their ratio is
// learnt for each octave of the owner's size.
const (
	sizes       = 2
	sizeOctaves = 20
	sizeFine    = 16 // cells to the octave of the ratio
	sizeCells   = 128
	sizeMiddle  = sizeFine // cells for ratios below one
)

// sizeModel is how much likelier a pair of sizes is for a match than for any
// pair that could be one.
type sizeModel struct {
	ratio [sizeOctaves][sizeCells]float64
	known bool
}

// sizeCell is where a pair of sizes is counted; -1 if one is unknown.
func sizeCell(owner, call uint64) int {
	if owner == 0 || call == 0 {
		return -1
	}
	octave := min(bits.Len64(owner)-1, sizeOctaves-1)
	cell := sizeMiddle + int(math.Floor(sizeFine*math.Log2(float64(call)/float64(owner))))
	return octave*sizeCells + min(max(cell, 0), sizeCells-1)
}

// believe reads the counts of matches and, after them, those of strangers.
func (m *sizeModel) believe(c []uint32) {
	const n = sizeOctaves * sizeCells
	m.known = slices.ContainsFunc(c[:n], func(n uint32) bool { return n != 0 })
	if !m.known {
		return
	}
	for o := range sizeOctaves {
		matches, pairs := spread(c[o*sizeCells:][:sizeCells], certain), spread(c[n+o*sizeCells:][:sizeCells], 1)
		var sumOfMatches, sumOfPairs float64
		for i := range sizeCells {
			sumOfMatches += matches[i]
			sumOfPairs += pairs[i]
		}
		for i := range m.ratio[o] {
			// Shrunk towards what any pair shows: few matches say little.
			of := (pairs[i] + 0.05) / (sumOfPairs + 0.05*sizeCells)
			m.ratio[o][i] = (matches[i] + 4*of) / (sumOfMatches + 4) / of
		}
	}
}

// spread smooths counts over their neighbours.
func spread(counts []uint32, unit float64) (d [sizeCells]float64) {
	for i, n := range counts {
		if n == 0 {
			continue
		}
		d[max(i-1, 0)] += float64(n) / unit / 4
		d[i] += float64(n) / unit / 2
		d[min(i+1, sizeCells-1)] += float64(n) / unit / 4
	}
	return d
}

// strangers is how many other calls each pair's owner is compared with.
const strangers = 4

// countStrangers counts the sizes of owners against those of calls that are not
// theirs, taken from all over the window: what a pair shows that is no match.
func (s *solver) countStrangers() {
	if len(s.sizes) == 0 {
		return
	}
	n := len(s.calls)
	for i := range s.pairs {
		p := &s.pairs[i]
		o := s.owners[p.owner]
		for k := range sizes {
			if p.size[k] < 0 {
				continue
			}
			counts := s.sizes.sizesOf(p.edge)[(2*k+1)*sizeOctaves*sizeCells:]
			for m := range strangers {
				c := &s.calls[(int(p.call)+(m+1)*n/(strangers+1))%n]
				if cell := sizeCell(o.Sizes[k], c.Sizes[k]); cell >= 0 && s.edgeOf(&o, c) == p.edge {
					counts[cell]++
				}
			}
		}
	}
}

// weigh is the factor for a pair of sizes.
func (m *sizeModel) weigh(cell int) float64 {
	if cell < 0 || !m.known {
		return 1
	}
	return m.ratio[cell/sizeCells][cell%sizeCells]
}

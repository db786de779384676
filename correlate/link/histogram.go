package link

import "math"

// A histogram has sixteen cells to the octave over 32 octaves of 1 + the gap in
// units of the clock.
const (
	perOctave = 16
	cells     = 32 * perOctave
)

// certain is what an observation without doubt counts. Counts are integers, so
// that their sum does not depend on the order of its terms.
const certain = 1 << 10

// cellOf is the cell of x: the exponent and the first four bits of the mantissa.
func cellOf(x float64) uint16 {
	i := int(math.Float64bits(x)>>48) - 0x3ff0
	return uint16(min(max(i, 0), cells-1))
}

// Requests under way together share the load, so their gaps are not
// independent: a density per unit of time prefers one short and one long gap to
// two middling ones too often. The measure that does best in between of time
// and its logarithm is the square root of the cell's width.
var rootWidth = func() (w [cells]float64) {
	for i := range w {
		w[i] = math.Sqrt(math.Ldexp(1, i/perOctave))
	}
	return w
}()

// density is a smoothed histogram, per square root of the clock's unit.
type density [cells]float64

// Smoothing: three runs of a mean over 2 reach + 1 cells, about a bell of 8.5
// cells or a third of an e-fold; and unknown observations spread over all
// cells, so that a gap never seen is unlikely and not impossible.
const (
	reach   = 8
	unknown = 150.0
)

// learn makes d the density of counts, times by.
func (d *density) learn(counts []uint32, by float64) {
	var a, b density
	total := 0.0
	for i, n := range counts {
		a[i] = float64(n) / certain
		total += a[i]
	}
	if total > 0 {
		smooth(&b, &a)
		smooth(&a, &b)
		smooth(&b, &a)
	}
	by /= total + unknown
	for i := range d {
		d[i] = (b[i] + unknown/cells) * by / rootWidth[i]
	}
}

// smooth sets each cell of to to the mean of those around it; beyond the ends
// the histogram is mirrored.
func smooth(to, from *density) {
	sum := 0.0
	for i := range reach {
		sum += 2 * from[i]
	}
	sum += from[reach]
	for i := range to {
		to[i] = max(sum, 0) / (2*reach + 1)
		in, out := i+1+reach, i-reach
		if in >= cells {
			in = 2*cells - 1 - in
		}
		if out < 0 {
			out = -out - 1
		}
		sum += from[in] - from[out]
	}
}

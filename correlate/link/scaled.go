package link

import "math"

// scaled is a positive number beyond the range of float64: v × 2^(256 e), with v
// within 2^±256. It is what a logarithm would be for, at a fifth of the cost.
type scaled struct {
	v float64
	e int32
}

const (
	scaleUp   = 0x1p256
	scaleDown = 0x1p-256
)

// times returns a × w.
func (a scaled) times(w float64) scaled {
	a.v *= w
	if a.v > scaleUp {
		return scaled{a.v * scaleDown, a.e + 1}
	}
	if a.v < scaleDown {
		return scaled{a.v * scaleUp, a.e - 1}
	}
	return a
}

// over returns a / b, which must be within the range of float64 or too small.
func (a scaled) over(b scaled) float64 {
	if a.e == b.e {
		return a.v / b.v
	}
	return math.Ldexp(a.v/b.v, 256*int(a.e-b.e))
}

// less reports whether a < b.
func (a scaled) less(b scaled) bool {
	if a.e == b.e {
		return a.v < b.v
	}
	return a.over(b) < 1
}

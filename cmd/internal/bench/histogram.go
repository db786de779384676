package bench

import (
	"math/bits"
	"time"
)

// histogram counts durations, each within 1.6 %. Not for concurrent use.
type histogram struct {
	counts [64 * steps]uint64
	n      uint64
	max    time.Duration
}

const steps = 64 // of each power of two

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[slot(uint64(d))]++
	h.n++
	h.max = max(h.max, d)
}

func slot(v uint64) int {
	if v < steps {
		return int(v)
	}
	shift := bits.Len64(v) - 7
	return (shift+1)*steps + int(v>>shift) - steps
}

// quantile returns the least duration that is at least as long as a share q of
// those counted.
func (h *histogram) quantile(q float64) time.Duration {
	want, seen := uint64(q*float64(h.n)), uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= want {
			return min(h.max, upper(i))
		}
	}
	return h.max
}

// upper is the largest value of a slot.
func upper(i int) time.Duration {
	if i < steps {
		return time.Duration(i)
	}
	shift := i/steps - 1
	return time.Duration((uint64(i%steps+steps+1) << shift) - 1)
}

// Latency is a histogram in few numbers.
type Latency struct {
	N   uint64  `json:"n"`
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func (h *histogram) latency() Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	return Latency{h.n, ms(h.quantile(0.5)), ms(h.quantile(0.99)), ms(h.max)}
}

package simulate

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/sennit-io/sennit/schemas/event"
)

// Durations of the simulation, in nanoseconds.
const (
	us = int64(1000)
	ms = 1000 * us
	s1 = 1000 * ms
)

// rng draws everything that is left to chance, from one seed.
type rng struct{ r *rand.Rand }

func newRNG(seed uint64, stream uint64) rng { return rng{rand.New(rand.NewPCG(seed, stream))} }

func (g rng) chance(p float64) bool      { return p > 0 && g.r.Float64() < p }
func (g rng) intn(n int) int             { return g.r.IntN(n) }
func (g rng) between(lo, hi int64) int64 { return lo + g.r.Int64N(hi-lo+1) }

// exp draws from an exponential distribution with the given mean.
func (g rng) exp(mean int64) int64 {
	return int64(min(g.r.ExpFloat64(), 20) * float64(mean))
}

// lognormal draws a duration around median with the given spread (sigma of the
// logarithm), the shape of service times.
func (g rng) lognormal(median int64, sigma float64) int64 {
	return int64(float64(median) * math.Exp(min(g.r.NormFloat64()*sigma, 4)))
}

func (g rng) fill(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, g.r.Uint64())
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], g.r.Uint64())
		copy(b, last[:])
	}
}

func (g rng) traceID() (id event.TraceID) { g.fill(id[:]); id[15] |= 1; return id }
func (g rng) spanID() (id event.SpanID)   { g.fill(id[:]); id[7] |= 1; return id }

// uuid draws a random (version 4) UUID.
func (g rng) uuid() (id event.ID) {
	g.fill(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

const hexDigits = "0123456789abcdef"

func appendHex(b []byte, v []byte) []byte {
	for _, c := range v {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}

// appendUUID writes the canonical form with dashes.
func appendUUID(b []byte, id event.ID) []byte {
	b = append(appendHex(b, id[0:4]), '-')
	b = append(appendHex(b, id[4:6]), '-')
	b = append(appendHex(b, id[6:8]), '-')
	b = append(appendHex(b, id[8:10]), '-')
	return appendHex(b, id[10:16])
}

package link

import (
	"math"
	"slices"
)

// What the start of a call may follow.
const (
	afterStart = iota // of the request
	afterEnd          // the last one among its calls
	afterCall         // the start of its call before
	triggers
)

// The first call of a request to a callee behaves unlike its further ones: two
// heads. How many more follow is told apart up to levels.
const (
	heads  = 2
	levels = 4
)

// An edge is one class of owners calling one peer; counts of it lie one after
// the other.
const (
	atHead   = 0                             // heads × triggers × cells
	atChosen = atHead + heads*triggers*cells // heads × triggers: followed this
	atOffer  = atChosen + heads*triggers     // heads × triggers: could have
	atTail   = atOffer + heads*triggers      // cells: the last call to end is of this edge
	atMore   = atTail + cells                // levels × (one more, no more)
	atOrder  = atMore + 2*levels             // (kept, overtaken), whole numbers
	perEdge  = atOrder + 2
)

// Where anybody knows sizes, counts of these are kept beside: 2 sizes × octaves ×
// cells, of matches, and, whole numbers, of strangers.
const perSizes = sizes * sizeOctaves * sizeCells * 2

type edgeKey struct {
	class, peer uint32
	none        bool // owners without a call
}

// edges numbers the edges in order of their first appearance.
type edges struct {
	ids map[edgeKey]int32
}

// maxEdges bounds the model of one workload; what comes after shares the last.
const maxEdges = 256

func (e *edges) id(k edgeKey) int32 {
	if id, ok := e.ids[k]; ok {
		return id
	}
	if len(e.ids) == maxEdges {
		return maxEdges - 1
	}
	if e.ids == nil {
		e.ids = map[edgeKey]int32{}
	}
	id := int32(len(e.ids))
	e.ids[k] = id
	return id
}

// tally holds the counts of all edges.
type tally []uint32

func (t tally) of(edge int32) []uint32 {
	return t[int(edge)*perEdge : int(edge+1)*perEdge]
}

// sizesOf returns an edge's counts of sizes, nil where nobody knows any.
func (t tally) sizesOf(edge int32) []uint32 {
	if len(t) == 0 {
		return nil
	}
	return t[int(edge)*perSizes : int(edge+1)*perSizes]
}

// cleared returns a tally of n zeros, in t's memory if it fits.
func (t tally) cleared(n int) tally {
	t = slices.Grow(t[:0], n)[:n]
	clear(t)
	return t
}

// packed is a tally without its zeros.
type packed []struct {
	at int32
	n  uint32
}

func (t tally) pack() packed {
	var p packed
	for i, n := range t {
		if n != 0 {
			p = append(p, struct {
				at int32
				n  uint32
			}{int32(i), n})
		}
	}
	return p
}

// since takes the counts of the epochs before out of the tally, and returns them
// with what is left as the newest, at most history.
func (t tally) since(past []packed) []packed {
	for _, p := range past {
		for _, c := range p {
			t[c.at] -= c.n
		}
	}
	if len(past) == history {
		past = append(past[:0], past[1:]...)
	}
	return append(past, t.pack())
}

func (p packed) addTo(t tally) {
	for _, c := range p {
		t[c.at] += c.n
	}
}

// edgeModel is what is believed of an edge.
type edgeModel struct {
	// head[i][k] is the density of the gap after trigger k, times how often it is
	// that one; offered[i][set] makes up for the triggers that are not there.
	head    [heads][triggers]density
	mix     [heads][triggers]float64
	offered [heads][1 << triggers]float64
	tail    density
	// more[n] is what one more call after n does to the weight.
	more [levels + 1]float64
	// order is the logarithm of how much rarer it is that one request overtakes
	// another in making this call than that it does not.
	order float64
	size  *[sizes]sizeModel // made when somebody knows sizes
	sized bool
	scale float64 // what makes weights relative to a call of nobody
}

// believe derives the model of an edge from its counts. by scales the heads to
// what a call of nobody weighs.
func (m *edgeModel) believe(c, ofSizes []uint32, by float64) {
	for i := range heads {
		for k := range triggers {
			at := i*triggers + k
			m.mix[i][k] = (count(c[atChosen+at]) + 0.1) / (count(c[atOffer+at]) + 0.3)
			m.head[i][k].learn(c[atHead+at*cells:][:cells], m.mix[i][k]*by)
		}
		m.offer(i)
	}
	m.tail.learn(c[atTail:][:cells], 1)
	var p [levels + 1]float64
	for n := range levels {
		yes, no := count(c[atMore+2*n]), count(c[atMore+2*n+1])
		p[n] = min(max((yes+0.05)/(yes+no+0.1), 1e-4), 0.9995)
	}
	p[levels] = p[levels-1]
	m.setMore(p)
	m.overtake(c)
	if m.sized = ofSizes != nil; !m.sized {
		return
	}
	if m.size == nil {
		m.size = new([sizes]sizeModel)
	}
	for i := range m.size {
		m.size[i].believe(ofSizes[i*sizeOctaves*sizeCells*2:])
	}
}

// empty is the counts of nothing.
var empty [perEdge]uint32

// guess is the model of an edge of which nothing is known but that so many
// calls of it were made by so many owners: gaps of any length are equally likely
// on a logarithmic scale.
func (m *edgeModel) guess(calls, owners int, by float64) {
	m.believe(empty[:], nil, by)
	for i := range heads {
		for k := range triggers {
			m.mix[i][k] = 1.0 / triggers
			m.head[i][k].learn(empty[:cells], m.mix[i][k]*by)
		}
		m.offer(i)
	}
	var p [levels + 1]float64
	p[0] = min(0.98, float64(calls)/float64(max(owners, 1)))
	for n := 1; n <= levels; n++ {
		p[n] = min(max(1-float64(owners)/float64(max(calls, 1)), 0.02), 0.95)
	}
	m.setMore(p)
}

// overtake learns the order, for calls that follow the request's start.
func (m *edgeModel) overtake(c []uint32) {
	m.order = 0
	if m.mix[0][afterStart] >= 0.5 {
		m.order = math.Log((float64(c[atOrder]) + expectKept*orderUnit) / (float64(c[atOrder+1]) + expectOvertaken*orderUnit))
	}
}

func (m *edgeModel) offer(i int) {
	for set := 1; set < 1<<triggers; set++ {
		sum := 0.0
		for k := range triggers {
			if set>>k&1 != 0 {
				sum += m.mix[i][k]
			}
		}
		m.offered[i][set] = 1 / sum
	}
}

// setMore turns the chance that one more call follows n of them into the factor
// that taking it brings: the chances of the whole row telescope.
func (m *edgeModel) setMore(p [levels + 1]float64) {
	m.more[0] = p[0] / (1 - p[0]) * (1 - p[1])
	for n := 1; n < levels; n++ {
		m.more[n] = p[n] * (1 - p[n+1]) / (1 - p[n])
	}
	m.more[levels] = p[levels]
}

func count(n uint32) float64 { return float64(n) / certain }

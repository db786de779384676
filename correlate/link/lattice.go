package link

import (
	"math"
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
)

// lattice holds the ways in which one owner may have made its possible calls: a
// path from node 0 takes a call with every step, in order of start, and may end
// at any node.
type lattice struct {
	owner *owner
	nodes []node
	steps []step
	width int // nodes for one last call
	// After infer: the posterior of taking each step, of ending at each node.
	taken, ended []float64
}

// node is what matters of the calls taken so far. Ways that differ in nothing
// else meet in one node.
type node struct {
	last   int32      // the pair taken last, -1 at the beginning
	counts uint64     // calls by peer, four bits each; peers modulo 16
	latest int32      // the call that ended, or will end, last
	ended  event.Time // the last end before last began, of the best way here
	best   scaled     // weight of the best way here
	finish float64    // weight of ending here, in units of the owner's best way
	gap    uint16     // cell of the gap to the owner's end
	fore   float64    // sum over the ways to here
	aft    float64    // sum over the ways from here
}

// step takes one more call.
type step struct {
	from, to int32
	pair     int32
	weight   float64 // in units of the best ways to both its ends
	alone    float64 // in units of a call of nobody
	inBest   float64 // weight in units of the call's best step, too
	set      uint8   // triggers there are
	head     uint8
	more     uint8
	gap      [triggers]uint16
}

// negligible is how much worse than the best a way is left out.
const negligible = 1e-7

// No more than so many nodes are kept for one last call, and no more than so many
// before it are gone on from; fewer where an owner has very many calls to choose
// from, which tells it little about each.
const (
	nodesPerCall    = 48
	predecessors    = 256
	nodesAltogether = 512
	stepsAltogether = 4096
)

// build lists the ways of an owner.
func (s *solver) build(l *lattice, o *owner) {
	l.owner = o
	l.nodes = append(l.nodes[:0], node{last: -1, latest: -1, ended: math.MinInt64, best: scaled{v: 1}})
	l.steps = l.steps[:0]
	best := scaled{v: 1}
	l.width = min(nodesPerCall, max(nodesAltogether/max(1, len(o.pairs)), 4))
	reach := min(predecessors, max(stepsAltogether/max(1, len(o.pairs)), 16))
	for i := range o.pairs {
		p := &o.pairs[i]
		c := &s.calls[p.call]
		first := len(l.nodes)
		from, until := max(0, first-reach), first
		if o.Single { // nothing goes on from a call
			from, until = 0, 1
		}
		for ; from < until; from++ {
			n := &l.nodes[from]
			slot := 4 * uint(c.peer&15)
			had := uint8(n.counts >> slot & 15)
			st := step{from: int32(from), pair: o.first + int32(i)}
			st.weight = s.weigh(&st, o, n, p, c, had)
			st.alone = st.weight
			reached := n.best.times(st.weight)
			if reached.less(best.times(negligible)) {
				continue
			}
			if best.less(reached) {
				best = reached
			}
			to := l.node(first, n, o.first+int32(i), slot, c, s)
			if to < 0 {
				continue
			}
			st.to = to
			if t := &l.nodes[to]; t.best.less(reached) {
				t.best, t.ended = reached, s.lastEnd(&l.nodes[from], c.Start)
			}
			l.steps = append(l.steps, st)
		}
	}
	s.close(l)
}

// node returns the node after taking pair from n, -1 when there are too many.
func (l *lattice) node(first int, n *node, pair int32, slot uint, c *call, s *solver) int32 {
	latest := n.latest
	if latest < 0 || c.End > s.calls[latest].End {
		latest = s.pairs[pair].call
	}
	counts := n.counts
	if counts>>slot&15 < 15 { // beyond, one more or less tells nothing
		counts += 1 << slot
	}
	for j := first; j < len(l.nodes); j++ {
		if l.nodes[j].counts == counts && l.nodes[j].latest == latest {
			return int32(j)
		}
	}
	if len(l.nodes)-first >= l.width {
		return -1
	}
	l.nodes = append(l.nodes, node{last: pair, counts: counts, latest: latest, best: scaled{v: 1, e: math.MinInt32 / 512}})
	return int32(len(l.nodes) - 1)
}

// lastEnd is the last end among a node's calls that is not after t, MinInt64 if
// none.
func (s *solver) lastEnd(n *node, t event.Time) event.Time {
	if n.last < 0 {
		return math.MinInt64
	}
	if e := s.calls[n.latest].End; e <= t+s.slack {
		return e
	}
	if e := s.calls[s.pairs[n.last].call].End; e <= t+s.slack {
		return e
	}
	return n.ended
}

// cell is the cell of a gap.
func (s *solver) cell(gap event.Time) uint16 {
	return cellOf(1 + float64(max(gap, 0))*s.unit)
}

// weigh is what taking a call after n does to the weight.
func (s *solver) weigh(st *step, o *owner, n *node, p *pair, c *call, had uint8) float64 {
	m := &s.models[p.edge]
	st.head, st.more, st.set = min(had, heads-1), min(had, levels), 1
	head := &m.head[st.head]
	st.gap[afterStart] = s.cell(c.Start - o.Start)
	sum := head[afterStart][st.gap[afterStart]]
	if n.last >= 0 {
		if e := s.lastEnd(n, c.Start); e != math.MinInt64 {
			st.set |= 1 << afterEnd
			st.gap[afterEnd] = s.cell(c.Start - e)
			sum += head[afterEnd][st.gap[afterEnd]]
		}
		st.set |= 1 << afterCall
		st.gap[afterCall] = s.cell(c.Start - s.calls[s.pairs[n.last].call].Start)
		sum += head[afterCall][st.gap[afterCall]]
	}
	w := sum * m.offered[st.head][st.set] * p.overtaking
	if s.soft {
		w = math.Sqrt(w)
	}
	return w * p.weight * m.more[st.more]
}

// close weighs the ends and scales everything to the owner's best way, so that
// no product of many factors leaves the range of numbers.
func (s *solver) close(l *lattice) {
	o := l.owner
	best := scaled{v: 1, e: math.MinInt32 / 512}
	for i := range l.nodes {
		n := &l.nodes[i]
		edge, from := o.none, o.Start
		if n.latest >= 0 {
			c := &s.calls[n.latest]
			edge, from = s.edgeOf(o, c), c.End
		}
		n.gap = s.cell(o.End - from)
		n.finish = s.models[edge].tail[n.gap]
		if s.soft {
			n.finish = math.Sqrt(n.finish)
		}
		if b := n.best.times(n.finish); best.less(b) {
			best = b
		}
	}
	for i := range l.nodes {
		n := &l.nodes[i]
		n.finish *= n.best.over(best)
	}
	for i := range l.steps {
		st := &l.steps[i]
		st.weight *= l.nodes[st.from].best.over(l.nodes[st.to].best)
	}
	l.taken = slices.Grow(l.taken[:0], len(l.steps))[:len(l.steps)]
	l.ended = slices.Grow(l.ended[:0], len(l.nodes))[:len(l.nodes)]
}

// learn adds a lattice's posteriors to the counts.
func (s *solver) learn(l *lattice) {
	o := l.owner
	for i := range l.steps {
		w := uint32(l.taken[i]*certain + 0.5)
		st := &l.steps[i]
		p := &s.pairs[st.pair]
		if w == 0 || !s.calls[p.call].own {
			continue
		}
		c, m := s.tally.of(p.edge), &s.models[p.edge]
		head := &m.head[st.head]
		sum := 0.0
		var share [triggers]float64
		for k := range triggers {
			if st.set>>k&1 != 0 {
				g := st.gap[k]
				share[k] = head[k][g] / rootWidth[g]
				sum += share[k]
			}
		}
		for k := range triggers {
			if st.set>>k&1 != 0 {
				at := int(st.head)*triggers + k
				n := uint32(float64(w)*share[k]/sum + 0.5)
				c[atHead+at*cells+int(st.gap[k])] += n
				c[atChosen+at] += n
				c[atOffer+at] += w
			}
		}
		if st.more < levels {
			c[atMore+2*int(st.more)] += w
		}
		for k, cell := range p.size {
			if cell >= 0 {
				s.sizes.sizesOf(p.edge)[k*2*sizeOctaves*sizeCells+int(cell)] += w
			}
		}
	}
	if !o.end {
		return
	}
	for i := range l.nodes {
		w := uint32(l.ended[i]*certain + 0.5)
		if w == 0 {
			continue
		}
		n := &l.nodes[i]
		edge := o.none
		if n.latest >= 0 {
			edge = s.edgeOf(o, &s.calls[n.latest])
		}
		s.tally.of(edge)[atTail+int(n.gap)] += w
		for _, e := range s.classes[o.class] {
			had := min(int(n.counts>>(4*uint(e.peer&15))&15), levels-1)
			s.tally.of(e.edge)[atMore+2*had+1] += w
		}
	}
}

// soften turns weights into their square roots.
func (l *lattice) soften() {
	for i := range l.steps {
		l.steps[i].weight = math.Sqrt(l.steps[i].weight)
	}
	for i := range l.nodes {
		l.nodes[i].finish = math.Sqrt(l.nodes[i].finish)
	}
}

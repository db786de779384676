package link

import (
	"math"

	"github.com/sennit-io/sennit/schemas/event"
)

// rounds of expectation and maximisation within an epoch, on at most about
// sample owners of it.
const (
	rounds = 4
	sample = 1024
)

// owner, call and pair are what solve works on; indices stand for pointers.
type owner struct {
	*Owner
	class       int32 // dense
	none        int32 // edge of its class without a call
	pairs       []pair
	first       int32 // pairs[0] in solver.pairs
	begins, end bool  // it began, it ended in the epoch
}

type call struct {
	*Call
	peer   int32 // dense
	own    bool  // began in the epoch
	pairs  []int32
	best   float64 // the weight of its best step in any lattice
	likely int32   // the pair of the likeliest sharing out, -1 for none
	kept   float64 // share of the owners that it is tried with
}

// pair is a call and an owner that could have made it.
type pair struct {
	owner, call int32
	edge        int32
	size        [sizes]int16
	known       bool    // the pair is exact
	looked      bool    // its component was inferred
	weight      float64 // of the evidence but for the gaps
	p           float64 // posterior
	belief
}

// solver links the items of one epoch. It keeps its memory for the next.
type solver struct {
	unit    float64 // 1 / the clock's unit, per nanosecond
	slack   event.Time
	owners  []owner
	calls   []call
	pairs   []pair
	byCall  []int32
	members []int32 // owners, component by component
	comps   []int32 // where each component begins in members, and the end
	models  []edgeModel
	tally   tally
	sizes   tally         // of sizes, empty where nobody knows any
	table   []int32       // class, peer → edge, -1 for none
	classes [][]classEdge // class → its edges
	peers   int32
	soft    bool // weights count with their square root
	budget  int  // steps that may still be inferred
	lattice []lattice
	joint   joint
	scratch
}

// classEdge is an edge of a class and its peer.
type classEdge struct{ edge, peer int32 }

type scratch struct {
	active, up, at []int32
	found          []pair
	sure           []int32
	given          map[uint64]int
}

// solve decides the calls that began in [from, until) among all that is given,
// in order of start, and hands the epoch's counts to l.
func (s *solver) solve(owners []Owner, calls []Call, from, until event.Time, l *Linker, found []Match) []Match {
	s.read(owners, calls, from, until, l)
	s.candidates(l)
	s.components()
	s.model(l)
	s.soft, s.budget = false, maxEpoch
	if s.steps(s.members) > hopeless*maxEpoch {
		s.restart(l)
		s.giveUp(s.members)
		s.remember(l)
		return s.matches(l, found)
	}
	for r := range rounds {
		s.restart(l)
		stride := int32(1 + len(s.members)/(sample>>(rounds-1-r)))
		for c := int32(0); c < int32(len(s.comps)-1); c += stride {
			s.infer(c, true)
		}
		s.believe()
		s.thin()
		if r > 0 {
			s.overtaking()
		}
	}
	for c := range int32(len(s.comps) - 1) {
		if !s.certain(c) && !s.looked(c) {
			s.infer(c, false)
		}
	}
	s.thin()
	s.overtaking()
	s.soft = true
	for c := range int32(len(s.comps) - 1) {
		if !s.certain(c) {
			s.infer(c, false)
		}
	}
	s.remember(l)
	return s.matches(l, found)
}

// read takes the items in and finds the unit of their clocks.
func (s *solver) read(owners []Owner, calls []Call, from, until event.Time, l *Linker) {
	const ms = event.Time(1e6)
	cut := func(a, b event.Time) bool { return a%ms == 0 && b%ms == 0 }
	coarseOwners, coarseCalls := true, true
	s.owners, s.calls = s.owners[:0], s.calls[:0]
	peers, classes := map[uint32]int32{}, map[uint32]int32{}
	for i := range owners {
		o := &owners[i]
		coarseOwners = coarseOwners && cut(o.Start, o.End)
		s.owners = append(s.owners, owner{
			Owner: o, class: dense(classes, o.Class), none: l.edges.id(edgeKey{class: o.Class, none: true}),
			begins: o.Start >= from && o.Start < until, end: o.End >= from && o.End < until,
		})
	}
	for i := range calls {
		c := &calls[i]
		coarseCalls = coarseCalls && cut(c.Start, c.End)
		if c.Owner == 0 {
			c.Owner = l.known[c.ID]
		}
		s.calls = append(s.calls, call{Call: c, peer: dense(peers, c.Peer), own: c.Start >= from && c.Start < until, likely: -1})
	}
	s.peers = int32(len(peers))
	s.table = resize(s.table, len(classes)*len(peers))
	for i := range s.table {
		s.table[i] = -1
	}
	s.classes = make([][]classEdge, len(classes))
	s.unit, s.slack = 1e-3, 0
	if coarseOwners || coarseCalls {
		s.unit = 1e-6
		if coarseOwners != coarseCalls {
			s.slack = ms // a clock that is cut is behind by up to its unit
		}
	}
}

// dense numbers keys in order of their first appearance.
func dense(ids map[uint32]int32, key uint32) int32 {
	id, ok := ids[key]
	if !ok {
		id = int32(len(ids))
		ids[key] = id
	}
	return id
}

// edge returns the edge of a pair, new if there was none.
func (s *solver) edge(l *Linker, o *owner, c *call) int32 {
	at := &s.table[o.class*s.peers+c.peer]
	if *at < 0 {
		*at = l.edges.id(edgeKey{class: o.Class, peer: c.Peer})
		s.classes[o.class] = append(s.classes[o.class], classEdge{*at, c.peer})
	}
	return *at
}

// edgeOf returns the edge of a pair that was a candidate.
func (s *solver) edgeOf(o *owner, c *call) int32 { return s.table[o.class*s.peers+c.peer] }

// model gives every edge of the epoch a model to begin with.
func (s *solver) model(l *Linker) {
	n := len(l.edges.ids)
	if len(s.models) < n {
		s.models = append(s.models, make([]edgeModel, n-len(s.models))...)
	}
	s.tally = s.tally.cleared(n * perEdge)
	s.sizes = s.sizes[:0]
	if l.sized {
		s.sizes = s.sizes.cleared(n * perSizes)
	}
	s.recall(l)
	callsOf, ownersOf := make([]int, n), make([]int, n)
	for i := range s.owners {
		ownersOf[s.owners[i].none]++
	}
	for i := range s.calls {
		seen := [2]int32{-1, -1}
		for _, at := range s.calls[i].pairs {
			if e := s.pairs[at].edge; e != seen[0] && e != seen[1] {
				callsOf[e]++
				seen[1], seen[0] = seen[0], e
			}
		}
	}
	span := float64(Epoch)
	if len(s.calls) > 0 {
		span = max(span, float64(s.calls[len(s.calls)-1].Start-s.calls[0].Start))
	}
	for k, e := range l.edges.ids {
		m := &s.models[e]
		// What a call of nobody weighs: calls at the rate there is, in the measure of
		// the densities, one in 1 / nobody.
		m.scale = 1 / (math.Sqrt(float64(max(callsOf[e], 1))/(span*s.unit)) * nobody)
		c := s.tally.of(e)
		if k.none || count(c[atMore])+count(c[atMore+1]) >= 20 {
			m.believe(c, s.sizes.sizesOf(e), m.scale)
			continue
		}
		class := l.edges.ids[edgeKey{class: k.class, none: true}]
		m.guess(callsOf[e], ownersOf[class], m.scale)
	}
}

// nobody is how likely it is, before looking at gaps, that a call belongs to no
// owner here.
const nobody = 1e-3

// restart sets the counts to those of the epochs before.
func (s *solver) restart(l *Linker) {
	clear(s.tally)
	clear(s.sizes)
	s.recall(l)
	s.countStrangers()
}

// recall adds the counts of the epochs before.
func (s *solver) recall(l *Linker) {
	for _, p := range l.past {
		p.addTo(s.tally)
	}
	for _, p := range l.pastSizes {
		p.addTo(s.sizes)
	}
}

func (s *solver) believe() {
	for e := range len(s.tally) / perEdge {
		s.models[e].believe(s.tally.of(int32(e)), s.sizes.sizesOf(int32(e)), s.models[e].scale)
	}
}

// remember keeps the epoch's own counts for the epochs to come.
func (s *solver) remember(l *Linker) {
	l.past = s.tally.since(l.past)
	if l.sized {
		l.pastSizes = s.sizes.since(l.pastSizes)
	}
}

// matches reports the decisions and keeps those whose owner is still under way.
func (s *solver) matches(l *Linker, found []Match) []Match {
	for i := range s.calls {
		c := &s.calls[i]
		if !c.own || c.Owner != 0 {
			continue
		}
		m := Match{Call: c.ID}
		for _, at := range c.pairs {
			p := &s.pairs[at]
			if p.p >= 0.0005 || at == c.likely || len(c.pairs) == 1 {
				m.Candidates = append(m.Candidates, Candidate{s.owners[p.owner].ID, math.Round(min(p.p, 1)*c.kept*1000) / 1000})
			}
		}
		if c.likely >= 0 {
			m.Owner = s.owners[s.pairs[c.likely].owner].ID
		}
		byConfidence(m.Candidates, m.Owner)
		if len(m.Candidates) > 0 {
			m.Owner, m.Confidence = m.Candidates[0].Owner, m.Candidates[0].Confidence
		}
		if m.Owner != 0 {
			l.known[c.ID] = m.Owner
		}
		found = append(found, m)
	}
	return found
}

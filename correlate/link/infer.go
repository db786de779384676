package link

import (
	"cmp"
	"math"
	"slices"
)

// infer finds the posteriors of a component, and adds them to the counts if
// learn is set.
func (s *solver) infer(comp int32, learn bool) {
	members := s.members[s.comps[comp]:s.comps[comp+1]]
	for len(s.lattice) < len(members) {
		s.lattice = append(s.lattice, lattice{})
	}
	ls := s.lattice[:len(members)]
	if s.steps(members) > min(s.budget, maxComponent) {
		s.giveUp(members)
		return
	}
	for k, at := range members {
		o := &s.owners[at]
		for i := range o.pairs {
			s.appraise(&o.pairs[i])
		}
		s.build(&ls[k], o)
	}
	if !s.joint.solve(s, ls) {
		for k := range ls {
			s.budget -= len(ls[k].steps)
		}
		s.propagate(ls)
	}
	for _, at := range members {
		for i := range s.owners[at].pairs {
			s.owners[at].pairs[i].looked = true
		}
	}
	if learn {
		for k := range ls {
			s.learn(&ls[k])
		}
	}
}

// Bounds of what is inferred in an epoch, in steps of lattices, and at once. Where
// so many requests are under way that more would be needed, times say next to
// nothing: it is given up.
const (
	maxEpoch     = 8 << 20
	maxComponent = 1 << 20
	// hopeless is how many times as much an epoch is not even begun with.
	hopeless = 2
)

// steps is how many steps the lattices of owners may have, at most.
func (s *solver) steps(members []int32) (n int) {
	for _, at := range members {
		k := len(s.owners[at].pairs)
		if s.owners[at].Single {
			n += k
		} else {
			n += min(k*(k+1)/2, stepsAltogether+predecessors)
		}
	}
	return n
}

// giveUp lets all owners of a call be as likely as nobody.
func (s *solver) giveUp(members []int32) {
	for _, at := range members {
		pairs := s.owners[at].pairs
		for i := range pairs {
			p := &pairs[i]
			p.p, p.looked = 1/float64(len(s.calls[p.call].pairs)+1), true
			if p.known {
				p.p = 1
			}
		}
	}
}

// appraise weighs what speaks for a pair beside its times.
func (s *solver) appraise(p *pair) {
	p.weight = 1
	m := &s.models[p.edge]
	if m.sized {
		for i, cell := range p.size {
			p.weight *= m.size[i].weigh(int(cell))
		}
	}
	if p.known {
		p.weight = certainly
	}
	if p.overtaking == 0 {
		p.overtaking = 1
	}
}

// certainly is the weight of an exact pair: no gap speaks against it.
const certainly = 1e30

// belief is what an owner and a call tell each other about their pair.
type belief struct {
	message    float64 // to the owner: what taking the call weighs for all others
	odds       float64 // from the owner
	overtaking float64 // factor for the requests that the pair would overtake, 0 for 1
}

const (
	messages  = 10   // rounds, at most
	agreement = 1e-2 // of the message
)

// propagate lets the owners and calls of a component exchange beliefs until they
// agree.
func (s *solver) propagate(ls []lattice) {
	if !s.soft {
		for k := range ls {
			ls[k].soften()
		}
	}
	for k := range ls {
		o := ls[k].owner
		for i := range o.pairs {
			p := &o.pairs[i]
			p.message = 1
			// To begin with, all owners of a call are equally likely.
			p.odds = 1 / float64(len(s.calls[p.call].pairs))
		}
	}
	for round := range messages {
		change := 0.0
		for k := range ls {
			change = max(change, s.hear(&ls[k], round))
			s.consider(&ls[k])
		}
		if change < agreement {
			break
		}
	}
	for k := range ls {
		s.conclude(&ls[k])
	}
	s.share(ls)
	if !s.soft {
		for k := range ls {
			o := ls[k].owner
			for i := range o.pairs {
				o.pairs[i].p *= o.pairs[i].p // the weights were softened
			}
		}
	}
}

// hear takes in what the other owners of its calls say, and returns how much that
// changed.
func (s *solver) hear(l *lattice, round int) (change float64) {
	o := l.owner
	for i := range o.pairs {
		p := &o.pairs[i]
		sum := 1.0
		for _, at := range s.calls[p.call].pairs {
			sum += s.pairs[at].odds
		}
		m := 1 / max(sum-p.odds, 1)
		if round >= 3 {
			m = math.Sqrt(m * p.message) // damped, or it may swing
		}
		change = max(change, math.Abs(m-p.message)/m)
		p.message = m
	}
	return change
}

// consider runs forward and backward over a lattice and tells the calls the odds
// that this owner made them.
func (s *solver) consider(l *lattice) {
	for i := range l.nodes {
		n := &l.nodes[i]
		n.fore, n.aft = 0, n.finish
	}
	l.nodes[0].fore = 1
	for i := range l.steps {
		st := &l.steps[i]
		l.nodes[st.to].fore += l.nodes[st.from].fore * st.weight * s.pairs[st.pair].message
	}
	o := l.owner
	for i := range o.pairs {
		o.pairs[i].p = 0
	}
	for i := len(l.steps) - 1; i >= 0; i-- {
		st := &l.steps[i]
		p := &s.pairs[st.pair]
		through := st.weight * l.nodes[st.to].aft
		p.p += l.nodes[st.from].fore * through
		l.nodes[st.from].aft += through * p.message
	}
	all := l.nodes[0].aft
	for i := range o.pairs {
		p := &o.pairs[i]
		p.odds = p.p / max(all-p.p*p.message, 1e-12*all)
	}
}

// conclude turns beliefs into posteriors.
func (s *solver) conclude(l *lattice) {
	s.consider(l)
	all := l.nodes[0].aft
	for i := range l.steps {
		st := &l.steps[i]
		l.taken[i] = l.nodes[st.from].fore * st.weight * s.pairs[st.pair].message * l.nodes[st.to].aft / all
	}
	for i := range l.nodes {
		l.ended[i] = l.nodes[i].fore * l.nodes[i].finish / all
	}
}

// share makes posteriors of the odds and gives each call out, the surest pairs
// first, never one more to an owner than it is likely to have.
func (s *solver) share(ls []lattice) {
	s.sure = s.sure[:0]
	for k := range ls {
		o := ls[k].owner
		for i := range o.pairs {
			at := o.first + int32(i)
			p := &s.pairs[at]
			sum := 1.0
			for _, other := range s.calls[p.call].pairs {
				sum += s.pairs[other].odds
			}
			p.p = p.odds / sum
			s.calls[p.call].likely = -1
			s.sure = append(s.sure, at)
		}
	}
	slices.SortFunc(s.sure, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.pairs[b].p, s.pairs[a].p), cmp.Compare(a, b))
	})
	if s.given == nil {
		s.given = map[uint64]int{}
	}
	clear(s.given)
	for _, spare := range []bool{false, true} { // a call whose owners all have one goes to the likeliest
		for _, at := range s.sure {
			p := &s.pairs[at]
			c := &s.calls[p.call]
			if c.likely >= 0 {
				continue
			}
			key := uint64(p.owner)<<32 | uint64(uint32(c.peer))
			had := s.given[key]
			if !spare && had > 0 && (s.owners[p.owner].Single || s.models[p.edge].more[min(had, levels)] < rarely) {
				continue
			}
			c.likely = at
			s.given[key]++
		}
	}
}

// rarely is the factor below which one more call to a callee is an exception.
const rarely = 0.05

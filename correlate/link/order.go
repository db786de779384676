package link

import "math"

// Many services take their requests first come, first served: of two requests
// under way, the earlier makes its call earlier. How strictly they do is learnt
// for each edge from all pairs, as far as they are believed, and weighs in where
// two sharings-out differ by who overtakes whom.
const (
	neighbours = 8  // later calls that a call is compared with
	orderUnit  = 64 // counts of a pair beyond doubt
	// Before anything is seen, order is the rule: as if so many had kept it and
	// been overtaken. Most protocols and queues serve what came first.
	expectKept, expectOvertaken = 10, 2
	// overtakes discounts the weight of an overtaking, which the gaps show too.
	overtakes = 0.8
)

// overtaking counts who overtook whom, and gives every pair the weight of those
// it would overtake or be overtaken by.
func (s *solver) overtaking() {
	s.countOvertaking()
	for i := range s.pairs {
		s.pairs[i].overtaking = 0
	}
	s.compare(func(x, y int32, kept bool) {
		if kept {
			return
		}
		a, b := &s.pairs[x], &s.pairs[y]
		if m := &s.models[a.edge]; m.order != 0 {
			a.overtaking += b.p * m.order
		}
		if m := &s.models[b.edge]; m.order != 0 {
			b.overtaking += a.p * m.order
		}
	})
	for i := range s.pairs {
		s.pairs[i].overtaking = math.Exp(-overtakes * s.pairs[i].overtaking)
	}
}

func (s *solver) countOvertaking() {
	s.compare(func(x, y int32, kept bool) {
		a, b := &s.pairs[x], &s.pairs[y]
		if a.edge != b.edge {
			return
		}
		w := uint32(a.p*b.p*orderUnit + 0.5)
		c := s.tally.of(a.edge)
		if kept {
			c[atOrder] += w
		} else {
			c[atOrder+1] += w
		}
	})
	for e := range len(s.tally) / perEdge {
		s.models[e].overtake(s.tally.of(int32(e)))
	}
}

// compare calls f for every two pairs of near calls to one peer that could have
// been the other way round, and says whether the earlier owner has the earlier
// call.
func (s *solver) compare(f func(x, y int32, kept bool)) {
	byPeer := make([][]int32, s.peers)
	for i := range s.calls {
		c := &s.calls[i]
		before := byPeer[c.peer]
		for _, at := range before[max(0, len(before)-neighbours):] {
			if e := &s.calls[at]; e.Start < c.Start {
				s.compareCalls(e, c, f)
			}
		}
		byPeer[c.peer] = append(before, int32(i))
	}
}

func (s *solver) compareCalls(a, b *call, f func(x, y int32, kept bool)) {
	for _, x := range a.pairs {
		o := s.owners[s.pairs[x].owner].Owner
		if o.End+s.slack < b.End {
			continue
		}
		for _, y := range b.pairs {
			q := s.owners[s.pairs[y].owner].Owner
			if q.Start > a.Start || q.End+s.slack < a.End || o.Start == q.Start {
				continue
			}
			f(x, y, o.Start < q.Start)
		}
	}
}

package link

import (
	"cmp"
	"slices"
)

// maxOwners bounds the owners that one call is tried with, maxPairs those of all
// calls together; those that began last stay, and the others' share of the
// confidence is nobody's.
const (
	maxOwners = 256
	maxPairs  = 1 << 19
)

// candidates finds for every call the owners that were under way from its start
// to its end.
func (s *solver) candidates(l *Linker) {
	s.active, s.found = s.active[:0], s.found[:0]
	most := min(maxOwners, max(8, maxPairs/max(1, len(s.calls))))
	next := 0
	for i := range s.calls {
		c := &s.calls[i]
		for next < len(s.owners) && s.owners[next].Start <= c.Start {
			s.active = append(s.active, int32(next))
			next++
		}
		kept := s.active[:0]
		from := len(s.found)
		for _, at := range s.active {
			o := &s.owners[at]
			if o.End+s.slack < c.Start || o.Start.Add(l.cfg.Horizon) < c.Start {
				continue
			}
			kept = append(kept, at)
			if o.End+s.slack >= c.End && s.compatible(o, c) {
				p := pair{owner: at, call: int32(i), edge: s.edge(l, o, c), known: c.Owner != 0}
				for k := range p.size {
					p.size[k] = int16(sizeCell(o.Sizes[k], c.Sizes[k]))
				}
				s.found = append(s.found, p)
			}
		}
		s.active = kept
		c.kept = 1
		if n := len(s.found) - from; n > most {
			s.found = append(s.found[:from], s.found[from+n-most:]...)
			c.kept = float64(most) / float64(n)
		}
	}
	s.arrange()
}

// compatible reports whether what is known for sure allows the pair.
func (s *solver) compatible(o *owner, c *call) bool {
	if c.Owner != 0 {
		return c.Owner == o.ID
	}
	for i, l := range o.Labels {
		if l != 0 && c.Labels[i] != 0 && l != c.Labels[i] {
			return false
		}
	}
	return true
}

// arrange orders the pairs by owner, and by call within, and indexes them by
// call.
func (s *solver) arrange() {
	s.at = resize(s.at, len(s.owners)+1)
	for i := range s.found {
		s.at[s.found[i].owner+1]++
	}
	for i := range s.owners {
		s.at[i+1] += s.at[i]
	}
	s.pairs = slices.Grow(s.pairs[:0], len(s.found))[:len(s.found)]
	s.byCall = slices.Grow(s.byCall[:0], len(s.found))[:0]
	for i := range s.owners {
		s.owners[i].first = s.at[i]
		s.owners[i].pairs = s.pairs[s.at[i]:s.at[i+1]]
	}
	for i, j := 0, 0; i < len(s.found); i = j {
		from := len(s.byCall)
		for ; j < len(s.found) && s.found[j].call == s.found[i].call; j++ {
			o := s.found[j].owner
			s.pairs[s.at[o]] = s.found[j]
			s.byCall = append(s.byCall, s.at[o])
			s.at[o]++
		}
		s.calls[s.found[i].call].pairs = s.byCall[from:len(s.byCall):len(s.byCall)]
	}
}

// thin drops the pairs that inference found to be out of the question, which
// breaks components up.
func (s *solver) thin() {
	s.found = s.found[:0]
	for i := range s.calls {
		for _, at := range s.calls[i].pairs {
			if p := &s.pairs[at]; !p.looked || p.p >= impossible || p.known {
				s.found = append(s.found, *p)
			}
		}
		s.calls[i].pairs, s.calls[i].likely = nil, -1
	}
	s.arrange()
	s.components()
}

// impossible is the posterior below which a pair is forgotten, before weights
// are softened.
const impossible = 1e-7

// certain reports whether all pairs of a component are known, so that there is
// nothing to infer.
func (s *solver) certain(comp int32) bool {
	members := s.members[s.comps[comp]:s.comps[comp+1]]
	for _, at := range members {
		for i := range s.owners[at].pairs {
			if !s.owners[at].pairs[i].known {
				return false
			}
		}
	}
	for _, at := range members {
		for i := range s.owners[at].pairs {
			s.owners[at].pairs[i].p = 1
		}
	}
	return true
}

// looked reports whether a component has been inferred.
func (s *solver) looked(comp int32) bool {
	for _, at := range s.members[s.comps[comp]:s.comps[comp+1]] {
		for i := range s.owners[at].pairs {
			if !s.owners[at].pairs[i].looked {
				return false
			}
		}
	}
	return true
}

// components groups the owners that have a call in common, in order of start.
func (s *solver) components() {
	s.up = resize(s.up, len(s.owners))
	for i := range s.up {
		s.up[i] = int32(i)
	}
	for i := range s.calls {
		at := s.calls[i].pairs
		for _, p := range at[min(1, len(at)):] {
			a, b := s.root(s.pairs[at[0]].owner), s.root(s.pairs[p].owner)
			s.up[max(a, b)] = min(a, b)
		}
	}
	s.at = resize(s.at, len(s.owners)+1)
	for i := range s.owners {
		s.at[s.root(int32(i))+1]++
	}
	s.comps = s.comps[:0]
	for i := range s.owners {
		if s.at[i+1] > 0 {
			s.comps = append(s.comps, s.at[i])
		}
		s.at[i+1] += s.at[i]
	}
	s.comps = append(s.comps, int32(len(s.owners)))
	s.members = resize(s.members, len(s.owners))
	for i := range s.owners {
		r := s.root(int32(i))
		s.members[s.at[r]] = int32(i)
		s.at[r]++
	}
}

func (s *solver) root(i int32) int32 {
	for s.up[i] != i {
		s.up[i] = s.up[s.up[i]]
		i = s.up[i]
	}
	return i
}

// resize returns a slice of n zeros, in b's memory if it fits.
func resize(b []int32, n int) []int32 {
	b = slices.Grow(b[:0], n)[:n]
	clear(b)
	return b
}

// byConfidence orders candidates, the decided one first.
func byConfidence(cs []Candidate, decided uint64) {
	slices.SortFunc(cs, func(a, b Candidate) int {
		if (a.Owner == decided) != (b.Owner == decided) {
			if a.Owner == decided {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(a.Owner, b.Owner))
	})
}

package link

import (
	"math/bits"
	"slices"
)

// joint shares out the calls of a component in all ways at once.
type joint struct {
	paths   []path
	of      []int32 // owner → its first path, and the end
	steps   []int32 // of the paths, one after the other
	states  []state
	level   []int32 // owner → the first state before it, and the end
	moves   []move
	moved   []int32 // owner → its first move, and the end
	merged  map[uint64]int32
	heads   []int32 // node → its first step out, in next
	next    []int32
	current []int32
	renamed []int32
	lost    []loss
	slots   map[int32]uint8 // call → its bit, while an owner of it is to come
}

// loss is what it costs that nobody took a call.
type loss struct {
	call   uint64
	weight float64
}

// path is one way for one owner.
type path struct {
	calls  uint64 // bits of the calls taken
	weight float64
	first  int32 // its steps in joint.steps
	end    int32
	node   int32 // it ends at
	p      float64
}

// state is what is given away of the calls that an owner to come could have.
type state struct {
	calls uint64
	fore  float64
	aft   float64
	best  float64
	from  int32 // the move of the best way here
}

// move adds an owner's path to a state.
type move struct {
	from, to, path int32
	weight         float64
}

// Weights are in units of each call's best step, so that a state that has not
// given a call away yet is as good as one that gave it to its best owner, until
// nobody is left to take it. Beyond these bounds a component is left to propagate.
const (
	maxPaths  = 256
	maxStates = 1024
	maxMoves  = 20000 // for one owner
)

// solve finds the posteriors of a component; false if it is too big.
func (j *joint) solve(s *solver, ls []lattice) bool {
	if j.merged == nil {
		j.merged, j.slots = map[uint64]int32{}, map[int32]uint8{}
	}
	clear(j.slots)
	j.paths, j.steps, j.moves = j.paths[:0], j.steps[:0], j.moves[:0]
	j.of, j.level, j.moved = append(j.of[:0], 0), append(j.level[:0], 0), append(j.moved[:0], 0)
	j.states = append(j.states[:0], state{fore: 1, best: 1, from: -1})
	s.best(ls)
	free := ^uint64(0)
	for k := range ls {
		l := &ls[k]
		past := uint64(0)
		j.lost = j.lost[:0]
		for i := range l.owner.pairs {
			at := l.owner.first + int32(i)
			c := s.pairs[at].call
			if _, ok := j.slots[c]; !ok {
				if free == 0 {
					return false
				}
				bit := uint8(bits.TrailingZeros64(free))
				j.slots[c] = bit
				free &^= 1 << bit
			}
			if of := s.calls[c].pairs; of[len(of)-1] == at {
				past |= 1 << j.slots[c]
				j.lost = append(j.lost, loss{1 << j.slots[c], 1 / s.calls[c].best})
			}
		}
		if !j.enumerate(s, l) || !j.add(past) {
			return false
		}
		free |= past
		for i := range l.owner.pairs {
			c := l.owner.pairs[i].call
			if past>>j.slots[c]&1 != 0 {
				delete(j.slots, c)
			}
		}
	}
	j.back()
	j.report(s, ls)
	return true
}

// best finds the best step of every call.
func (s *solver) best(ls []lattice) {
	for k := range ls {
		for i := range ls[k].owner.pairs {
			s.calls[ls[k].owner.pairs[i].call].best = 1
		}
	}
	for k := range ls {
		for i := range ls[k].steps {
			st := &ls[k].steps[i]
			c := &s.calls[s.pairs[st.pair].call]
			c.best = max(c.best, st.alone)
		}
	}
}

// enumerate lists the paths of a lattice that are worth a thought.
func (j *joint) enumerate(s *solver, l *lattice) bool {
	// The best completion from each node, steps out of each node.
	for i := range l.nodes {
		l.nodes[i].aft = l.nodes[i].finish
	}
	j.heads = resize(j.heads, len(l.nodes))
	j.next = resize(j.next, len(l.steps))
	for i := len(l.steps) - 1; i >= 0; i-- {
		st := &l.steps[i]
		st.inBest = st.weight / s.calls[s.pairs[st.pair].call].best
		l.nodes[st.from].aft = max(l.nodes[st.from].aft, st.inBest*l.nodes[st.to].aft)
		j.next[i] = j.heads[st.from]
		j.heads[st.from] = int32(i) + 1
	}
	j.current = j.current[:0]
	if !j.extend(s, l, 0, 1, 0, l.nodes[0].aft*negligible) {
		return false
	}
	j.of = append(j.of, int32(len(j.paths)))
	return true
}

func (j *joint) extend(s *solver, l *lattice, at int32, weight float64, calls uint64, least float64) bool {
	n := &l.nodes[at]
	if w := weight * n.finish; w >= least {
		if len(j.paths)-int(j.of[len(j.of)-1]) == maxPaths {
			return false
		}
		first := int32(len(j.steps))
		j.steps = append(j.steps, j.current...)
		j.paths = append(j.paths, path{calls: calls, weight: w, first: first, end: int32(len(j.steps)), node: at})
	}
	for i := j.heads[at]; i != 0; i = j.next[i-1] {
		st := &l.steps[i-1]
		w := weight * st.inBest
		if w*l.nodes[st.to].aft < least {
			continue
		}
		j.current = append(j.current, i-1)
		if !j.extend(s, l, st.to, w, calls|1<<j.slots[s.pairs[st.pair].call], least) {
			return false
		}
		j.current = j.current[:len(j.current)-1]
	}
	return true
}

// add moves every state on by the last owner's paths; past are the calls that no
// owner to come could have.
func (j *joint) add(past uint64) bool {
	before := j.states[j.level[len(j.level)-1]:]
	from := j.level[len(j.level)-1]
	first := int32(len(j.states))
	paths := j.paths[j.of[len(j.of)-2]:]
	clear(j.merged)
	most := 0.0
	for i := range before {
		b := before[i]
		for k := range paths {
			p := &paths[k]
			if b.calls&p.calls != 0 {
				continue
			}
			calls, weight := b.calls|p.calls, p.weight
			for _, c := range j.lost {
				if calls&c.call == 0 {
					weight *= c.weight
				}
			}
			calls &^= past
			to, ok := j.find(calls, first)
			if !ok {
				to = int32(len(j.states))
				j.states = append(j.states, state{calls: calls, from: -1})
				if len(j.states)-int(first) > smallLevel {
					j.merged[calls] = to
				}
			}
			t := &j.states[to]
			t.fore += b.fore * weight
			if w := b.best * weight; w > t.best || t.from < 0 {
				t.best, t.from = w, int32(len(j.moves))
			}
			most = max(most, t.fore)
			j.moves = append(j.moves, move{from + int32(i), to, j.of[len(j.of)-2] + int32(k), weight})
		}
	}
	if len(j.moves)-int(j.moved[len(j.moved)-1]) > maxMoves || most == 0 {
		return false
	}
	j.prune(first, most)
	j.level = append(j.level, first)
	j.moved = append(j.moved, int32(len(j.moves)))
	return len(j.states)-int(first) <= maxStates
}

// prune drops the unlikely of the states from first on, and scales the others.
func (j *joint) prune(first int32, most float64) {
	j.renamed = resize(j.renamed, len(j.states)-int(first))
	kept := first
	for i := range j.renamed {
		t := j.states[int(first)+i]
		j.renamed[i] = -1
		if t.fore < most*negligible {
			continue
		}
		t.fore /= most
		t.best /= most
		j.states[kept] = t
		j.renamed[i] = kept
		kept++
	}
	j.states = j.states[:kept]
	from := int(j.moved[len(j.moved)-1])
	moves := j.moves[:from]
	for i := from; i < len(j.moves); i++ {
		m := j.moves[i]
		to := j.renamed[m.to-first]
		if to < 0 {
			continue
		}
		t := &j.states[to]
		if t.from == int32(i) {
			t.from = int32(len(moves))
		}
		m.to, m.weight = to, m.weight/most
		moves = append(moves, m)
	}
	j.moves = moves
}

// smallLevel is the number of states up to which looking through them beats a
// map.
const smallLevel = 12

func (j *joint) find(calls uint64, first int32) (int32, bool) {
	for i := first; i < min(int32(len(j.states)), first+smallLevel); i++ {
		if j.states[i].calls == calls {
			return i, true
		}
	}
	if int32(len(j.states))-first <= smallLevel {
		return 0, false
	}
	at, ok := j.merged[calls]
	return at, ok
}

// back runs backward over the states and sums up each path's share.
func (j *joint) back() {
	all := 0.0
	for i := j.level[len(j.level)-1]; i < int32(len(j.states)); i++ {
		j.states[i].aft = 1
		all += j.states[i].fore
	}
	for i := len(j.moves) - 1; i >= 0; i-- {
		m := &j.moves[i]
		through := m.weight * j.states[m.to].aft
		j.states[m.from].aft += through
		j.paths[m.path].p += j.states[m.from].fore * through / all
	}
}

// report hands the posteriors to the lattices, the pairs and the calls.
func (j *joint) report(s *solver, ls []lattice) {
	for k := range ls {
		l := &ls[k]
		clear(l.taken)
		clear(l.ended)
		for i := range l.owner.pairs {
			l.owner.pairs[i].p = 0
			s.calls[l.owner.pairs[i].call].likely = -1
		}
		for i := j.of[k]; i < j.of[k+1]; i++ {
			p := &j.paths[i]
			l.ended[p.node] += p.p
			for _, st := range j.steps[p.first:p.end] {
				l.taken[st] += p.p
				s.pairs[l.steps[st].pair].p += p.p
			}
		}
	}
	last := slices.MaxFunc(j.states[j.level[len(j.level)-1]:], func(a, b state) int {
		switch {
		case a.best < b.best:
			return -1
		case a.best > b.best:
			return 1
		}
		return 0
	})
	for k, from := len(ls)-1, last.from; k >= 0; k-- {
		m := &j.moves[from]
		p := &j.paths[m.path]
		for _, st := range j.steps[p.first:p.end] {
			pair := ls[k].steps[st].pair
			s.calls[s.pairs[pair].call].likely = pair
		}
		from = j.states[m.from].from
	}
}

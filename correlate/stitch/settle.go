package stitch

import (
	"cmp"
	"slices"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// tree is a root of the forest with what hangs below it.
type tree struct {
	node  int32
	rank  rank
	end   event.Time
	entry *entry // the one it already is, nil if new
	stray bool   // no request of its own: looks for one
	into  int    // tree it was adopted by, -1
}

// settle looks at a group at a point of event time: which requests are in it,
// which of them can close, which closed ones have news.
func (s *Stitcher) settle(g *group, now event.Time) {
	g.looked = true
	if !g.news && !g.waiting && !slices.ContainsFunc(g.entries, (*entry).unsettled) && len(g.entries) > 0 {
		s.prune(g, now) // nothing to say: it only gets older
		s.reschedule(g, nil, now)
		return
	}
	rows, links, pooled := s.pool(g)
	if len(rows) == 0 { // links without an event: the event was late or lost
		if g.news = false; len(g.entries) == 0 {
			s.retire(g, now)
		} else {
			s.reschedule(g, nil, now)
		}
		return
	}
	f := s.forest
	f.build(rows, links)
	trees := s.trees(pooled)
	s.adoptStrays(trees)
	s.gather(trees)
	s.open(g, trees, now)
	s.publish(g, trees, now)
	s.distribute(g, trees, rows, pooled)
	g.merged, g.news = false, false
	s.prune(g, now)
	s.reschedule(g, trees, now)
}

// pool gathers the rows that belong into one forest: all that is in no entry,
// and that of the entries it may concern. A constant trace id can have
// thousands of entries: of many, only those near the new rows are taken.
func (s *Stitcher) pool(g *group) (rows []correlate.Row, links []correlate.Link, entries []*entry) {
	u := &s.scratch
	u.held, entries = append(u.held[:0], g.active...), s.pooled[:0]
	many := g.crowded() && !g.merged
	from, to := event.Never, event.Time(0)
	if many {
		s.unpack(g)
		for i := range u.events {
			e := &u.events[i]
			from, to = min(from, startOf(e).Add(-skew)), max(to, e.Time.Add(skew))
		}
	}
	s.partial = false
	for _, e := range g.entries {
		if many && !e.unsettled() && (e.start > to || e.end < from) {
			s.partial = true
			continue
		}
		u.held = append(u.held, e.rows...)
		entries = append(entries, e)
	}
	s.unpack(g)
	u.sort()
	rows = u.rows
	links = g.links
	if many && len(rows) > 0 {
		links = s.links[:0]
		for _, l := range g.links {
			if l.Time >= rows[0].Event.Time && l.Time <= rows[len(rows)-1].Event.Time {
				links = append(links, l)
			}
		}
		s.links = links
	}
	s.pooled = entries
	return rows, links, entries
}

// crowded reports whether the trace id serves many requests.
func (g *group) crowded() bool { return len(g.entries) > 8 }

// unsettled reports whether some of the entry's rows wait for a settling point.
func (e *entry) unsettled() bool { return e.open > 0 }

// trees lists the roots, those of known entries among them.
func (s *Stitcher) trees(pooled []*entry) []tree {
	f := s.forest
	s.roots = s.roots[:0]
	s.treeOf = s.treeOf[:0]
	for n := range f.nodes {
		s.treeOf = append(s.treeOf, none)
		nd := &f.nodes[n]
		if nd.fold != none || nd.parent != none {
			continue
		}
		s.treeOf[n] = int32(len(s.roots))
		r := f.rankOf(int32(n))
		s.roots = append(s.roots, tree{node: int32(n), rank: r, end: nd.end, stray: r == rankOther, into: -1})
	}
	for n := range f.nodes {
		if nd := &f.nodes[n]; nd.fold == none {
			s.treeOf[n] = s.treeOf[nd.root]
		}
	}
	clear(s.rootOf)
	for _, e := range pooled {
		s.rootOf[e.root] = e
	}
	for i := range f.rows {
		e := s.rootOf[f.rows[i].Event.ID]
		if e == nil || f.rows[i].Copy {
			continue
		}
		t := &s.roots[s.treeOf[f.top(f.of[i])]]
		switch {
		case t.entry == nil:
			t.entry, t.stray = e, false
		case t.entry != e: // two published ones are one: the outermost stays, else the first
			if cmp.Or(cmp.Compare(e.rank, t.entry.rank), cmp.Compare(e.closed, t.entry.closed), cmp.Compare(e.start, t.entry.start)) < 0 {
				t.entry, e = e, t.entry
			}
			s.merged = append(s.merged, merger{e, t.entry})
		}
	}
	return s.roots
}

// merger is a published entry that turned out to be part of another.
type merger struct{ loser, winner *entry }

// contains reports whether one of the node's own rows is the event.
func (f *forest) contains(n int32, id event.ID) bool {
	if f.nodes[n].fold != none {
		return false
	}
	for i := f.nodes[n].first; i != none; i = f.next[i] {
		if f.rows[i].Event.ID == id {
			return true
		}
	}
	return false
}

// adoptStrays finds the request of what has no parent and is none itself. The
// trace id names it if it has one request, and that was under way; each build
// asks anew, so a second request that comes to light takes the answer back.
// Among several, time alone is no proof: then it is in doubt. Where there is no
// request at all, the evidence makes one without a root.
func (s *Stitcher) adoptStrays(trees []tree) {
	f := s.forest
	var whole []int
	for i := range trees {
		if !trees[i].stray {
			whole = append(whole, i)
		}
	}
	s.doubts = s.doubts[:0]
	if len(whole) == 0 && s.partial {
		return // theirs may be an entry that is not here
	}
	if len(whole) == 0 || s.ablate.TraceIsRequest {
		first := 0
		if len(whole) > 0 {
			first = whole[0]
		} else {
			for i := range trees {
				if s.firstOf(trees, i, first) {
					first = i
				}
			}
			trees[first].stray = false
		}
		for i := range trees {
			if i != first {
				trees[i].into, trees[i].stray = first, false
			}
		}
		return
	}
	for i := range trees {
		t := &trees[i]
		if !t.stray {
			continue
		}
		nd := &f.nodes[t.node]
		var during, before []int
		for _, w := range whole {
			r := &f.nodes[trees[w].node]
			if r.start.Add(-skew) <= nd.start {
				before = append(before, w)
				if nd.start <= r.end.Add(skew) {
					during = append(during, w)
				}
			}
		}
		if len(whole) == 1 && len(during) == 1 && !s.partial {
			t.into, t.stray = whole[0], false
			continue
		}
		candidates := whole
		if len(during) > 0 {
			candidates = during
		} else if len(before) > 0 {
			candidates = before
		}
		s.doubts = append(s.doubts, doubt{i, slices.Clone(candidates[max(0, len(candidates)-8):])})
	}
}

// doubt is a stray tree with the trees it may belong to.
type doubt struct {
	tree       int
	candidates []int
}

// firstOf reports whether tree i is a better beginning of a request without
// root than tree j: a call made, then the earliest.
func (s *Stitcher) firstOf(trees []tree, i, j int) bool {
	a, b := &s.forest.nodes[trees[i].node], &s.forest.nodes[trees[j].node]
	known := func(t tree) int {
		if t.entry != nil {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(known(trees[i]), known(trees[j])), cmp.Compare(a.kind, b.kind), cmp.Compare(a.start, b.start)) < 0
}

// open makes entries of the trees whose request can close now, in the order of
// their ends.
func (s *Stitcher) open(g *group, trees []tree, now event.Time) {
	f := s.forest
	var due []int
	for i := range trees {
		t := &trees[i]
		if t.stray || t.into >= 0 {
			continue
		}
		nd := &f.nodes[t.node]
		if t.entry != nil {
			t.entry.rooted = t.entry.rooted || t.rank != rankOther
			continue
		}
		closing := t.end.Add(s.cfg.Lateness)
		if t.rank == rankOther {
			closing = min(g.last.Add(s.cfg.Silence), nd.start.Add(s.cfg.Longest))
		}
		if closing <= now {
			due = append(due, i)
		}
	}
	slices.SortFunc(due, func(i, j int) int {
		a, b := &f.nodes[trees[i].node], &f.nodes[trees[j].node]
		x, y := f.rows[a.first].Event.ID, f.rows[b.first].Event.ID
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), slices.Compare(x[:], y[:]))
	})
	for _, i := range due {
		e := &entry{rooted: trees[i].rank != rankOther, closed: now}
		trees[i].entry = e
		g.entries = append(g.entries, e)
	}
	for i := range trees {
		t := &trees[i]
		if e := t.entry; e != nil {
			nd := &f.nodes[t.node]
			e.root, e.rank, e.start, e.end = f.rows[nd.first].Event.ID, t.rank, nd.start, nd.end
		}
	}
}

// distribute moves the rows to the entries of their trees, and what belongs to
// none back among the active.
func (s *Stitcher) distribute(g *group, trees []tree, rows []correlate.Row, pooled []*entry) {
	f := s.forest
	for _, e := range pooled {
		e.rows, e.open = e.rows[:0], 0
	}
	g.active = g.active[:0]
	if len(trees) > 0 && len(g.entries) == 1 && cap(g.entries[0].rows) < len(rows) {
		g.entries[0].rows = make([]held, 0, len(rows))
	}
	for i := range rows {
		h := s.scratch.held[i]
		if rows[i].Counted {
			h.flags |= rowCounted
		}
		t := s.treeOf[f.top(f.of[i])]
		if into := trees[t].into; into >= 0 {
			t = int32(into)
		}
		if e := trees[t].entry; e != nil {
			if len(e.rows) >= maxRows { // something that outlives its request without end
				if e.dropped++; !rows[i].Counted {
					s.settleFate(&rows[i], correlate.Dropped)
				}
				s.arena.Drop(h.ref)
				continue
			}
			if e.rows = append(e.rows, h); !h.counted() {
				e.open++
			}
		} else {
			g.active = append(g.active, h)
		}
	}
}

// prune drops the entries, doubts and links whose retention is over: a trace id
// that is used for ever must not grow for ever.
func (s *Stitcher) prune(g *group, now event.Time) {
	oldest := now.Add(-s.cfg.Retention)
	for i := 0; i < len(g.entries); {
		e := g.entries[i]
		if e.closed > oldest || len(g.entries) == 1 || e.unsettled() {
			i++
			continue
		}
		s.dropAll(e.rows)
		g.entries = slices.Delete(g.entries, i, i+1)
	}
	if len(g.entries) <= 1 && (len(g.numbers) == 0 || len(g.numbers) == 1 && g.numbers[0].last == 1) {
		return // it goes as a whole
	}
	g.active = slices.DeleteFunc(g.active, func(h held) bool {
		if h.time > oldest.Add(-s.cfg.Longest) {
			return false
		}
		s.settleHeld(g, &h, correlate.Ambiguous)
		s.arena.Drop(h.ref)
		return true
	})
	g.doubts = slices.DeleteFunc(g.doubts, func(d doubtful) bool { return d.time < oldest.Add(-s.cfg.Longest) })
	g.links = slices.DeleteFunc(g.links, func(l correlate.Link) bool { return l.Time < oldest.Add(-s.cfg.Longest) })
}

// reschedule says when the group must be looked at again.
func (s *Stitcher) reschedule(g *group, trees []tree, now event.Time) {
	retire := event.Time(0)
	g.waiting = false
	for i := range trees {
		t := &trees[i]
		if t.stray || t.into >= 0 || t.entry != nil {
			continue
		}
		nd := &s.forest.nodes[t.node]
		closing := t.end.Add(s.cfg.Lateness)
		if t.rank == rankOther {
			closing = min(g.last.Add(s.cfg.Silence), nd.start.Add(s.cfg.Longest))
		}
		g.waiting = true
		s.schedule(g, now+1, closing)
	}
	for _, e := range g.entries {
		retire = max(retire, e.closed.Add(s.cfg.Retention))
		if !e.unsettled() {
			continue
		}
		if i := slices.IndexFunc(e.rows, func(h held) bool { return !h.counted() }); i >= 0 {
			s.schedule(g, now+1, max(e.next, e.rows[i].time.Add(s.cfg.Lateness)))
		}
	}
	if len(g.entries) == 0 {
		if g.wake == event.Never && len(g.active) > 0 {
			s.schedule(g, now+1, now.Add(s.cfg.Silence))
		} else if len(g.active) == 0 {
			s.retire(g, now)
		}
		return
	}
	switch {
	case retire > now:
		s.schedule(g, now+1, retire)
	case g.wake == event.Never:
		s.retire(g, now)
	} // else another request is in flight: it goes when that one does
}

package stitch

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
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
	rows, entries = append(s.rows[:0], g.active...), s.pooled[:0]
	many := g.crowded() && !g.merged
	from, to := event.Never, event.Time(0)
	if many {
		for _, r := range g.active {
			from, to = min(from, startOf(r.Event).Add(-skew)), max(to, r.Event.Time.Add(skew))
		}
	}
	s.partial = false
	for _, e := range g.entries {
		if many && !e.unsettled() && (e.start > to || e.end < from) {
			s.partial = true
			continue
		}
		rows = append(rows, e.rows...)
		entries = append(entries, e)
	}
	byOrder := func(a, b correlate.Row) int {
		if c := event.Compare(a.Event, b.Event); c != 0 || a.Copy == b.Copy {
			return c
		} else if a.Copy {
			return 1
		}
		return -1
	}
	if !slices.IsSortedFunc(rows, byOrder) {
		slices.SortFunc(rows, byOrder)
	}
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
	s.rows, s.pooled = rows, entries
	return rows, links, entries
}

// crowded reports whether the trace id serves many requests.
func (g *group) crowded() bool { return len(g.entries) > 8 }

// unsettled reports whether some of the entry's rows wait for a settling point.
func (e *entry) unsettled() bool {
	return slices.ContainsFunc(e.rows, func(r correlate.Row) bool { return !r.Counted })
}

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
		case t.entry != e: // two published ones are one: the first stays
			if e.closed < t.entry.closed || e.closed == t.entry.closed && e.start < t.entry.start {
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
		e.rows = e.rows[:0]
	}
	g.active = g.active[:0]
	if len(trees) > 0 && len(g.entries) == 1 && cap(g.entries[0].rows) < len(rows) {
		g.entries[0].rows = make([]correlate.Row, 0, len(rows))
	}
	for i := range rows {
		t := s.treeOf[f.top(f.of[i])]
		if into := trees[t].into; into >= 0 {
			t = int32(into)
		}
		if e := trees[t].entry; e != nil {
			if len(e.rows) >= maxRows { // something that outlives its request without end
				if e.dropped++; !rows[i].Counted {
					s.settleFate(&rows[i], correlate.Dropped)
				}
				continue
			}
			e.rows = append(e.rows, rows[i])
		} else {
			g.active = append(g.active, rows[i])
		}
	}
}

// publish makes the timelines of the entries that may be published now and
// have something to say.
func (s *Stitcher) publish(g *group, trees []tree, now event.Time) {
	f := s.forest
	for i := range trees { // ids first: entries name each other
		if e := trees[i].entry; e != nil && now >= e.next {
			s.name(g, e, i)
		}
	}
	for _, m := range s.merged {
		s.supersede(m.loser, m.winner.id)
		g.entries = slices.DeleteFunc(g.entries, func(e *entry) bool { return e == m.loser })
	}
	s.merged = s.merged[:0]
	for i := range trees {
		e := trees[i].entry
		if e == nil || now < e.next {
			continue
		}
		cut := now - event.Time(s.cfg.Lateness)
		if e.closed == now {
			cut = e.end.Add(s.cfg.Settle)
		}
		if !e.rooted {
			cut = now
		}
		e.next = now.Add(time.Minute << min(e.revision, 6))
		f.cut = cut
		t := s.maker.make(f, g, e, s.members(trees, i, cut))
		s.addDoubts(t, trees, i)
		s.count(i)
		print := printOf(t)
		if e.revision > 0 && print == e.print {
			continue
		}
		e.print = print
		e.revision++
		t.Revision = e.revision
		if e.revision == 1 {
			s.out.Closed++
		} else {
			s.out.Revised++
		}
		s.out.Timelines = append(s.out.Timelines, t)
	}
}

// members lists the nodes of a tree and of those it adopted that are known at
// the cut.
func (s *Stitcher) members(trees []tree, tree int, cut event.Time) []int32 {
	f := s.forest
	s.nodes = s.nodes[:0]
	for _, n := range s.nodesOf(tree) {
		nd := &f.nodes[n]
		nd.shown = (nd.kind != nodeLog || nd.parent == none) &&
			(f.rows[nd.first].Event.Time <= cut || n == trees[tree].node)
		if nd.shown {
			s.nodes = append(s.nodes, n)
		}
	}
	return s.nodes
}

// gather lists the nodes of each tree, those of the trees it adopted among them.
func (s *Stitcher) gather(trees []tree) {
	f := s.forest
	s.from = append(s.from[:0], make([]int32, len(trees)+1)...)
	owner := func(n int) int32 {
		t := s.treeOf[n]
		if into := trees[t].into; into >= 0 {
			t = int32(into)
		}
		return t
	}
	for n := range f.nodes {
		if f.nodes[n].fold == none {
			s.from[owner(n)+1]++
		}
	}
	for t := range trees {
		s.from[t+1] += s.from[t]
	}
	s.list = append(s.list[:0], make([]int32, s.from[len(trees)])...)
	fill := append(s.fill[:0], s.from...)
	for n := range f.nodes {
		if f.nodes[n].fold == none {
			t := owner(n)
			s.list[fill[t]] = int32(n)
			fill[t]++
		}
	}
	s.fill = fill
}

// nodesOf returns the nodes of a tree, in canonical order.
func (s *Stitcher) nodesOf(tree int) []int32 { return s.list[s.from[tree]:s.from[tree+1]] }

// count settles the fate of the events that the tree's timeline shows; logs
// live with the step of their span.
func (s *Stitcher) count(tree int) {
	f := s.forest
	for _, n := range s.nodesOf(tree) {
		nd := &f.nodes[n]
		if nd.shown || nd.kind == nodeLog && nd.parent != none && f.nodes[nd.parent].shown {
			for i := nd.first; i != none; i = f.next[i] {
				if !f.hidden(i, nd) {
					s.countRow(i)
				}
			}
		}
	}
}

func (s *Stitcher) countRow(i int32) {
	r := &s.forest.rows[i]
	if r.Counted {
		return
	}
	r.Counted = true
	if r.Copy {
		return
	}
	if s.forest.duplicate[i] && !s.ablate.NoDedupe {
		s.settleFate(r, correlate.Duplicate)
		return
	}
	s.out.Fates[correlate.Joined]++
	s.out.Joins[r.Method]++
}

// name gives the entry its timeline id: its best trace id, with a number if it
// is not the first request of it. A published id that is no longer the best is
// superseded.
func (s *Stitcher) name(g *group, e *entry, tree int) {
	f := s.forest
	best, bestRank, bestStart := correlate.Key{}, rankOther+1, event.Never
	for _, n := range s.nodesOf(tree) {
		nd := &f.nodes[n]
		for j := nd.first; j != none; j = f.next[j] {
			r := rankRow(&f.rows[j])
			if r > bestRank {
				continue
			}
			key, start := f.rows[j].Key, startOf(f.rows[j].Event)
			if r < bestRank || start < bestStart || start == bestStart && key.Compare(best) < 0 {
				best, bestRank, bestStart = key, r, start
			}
		}
	}
	if e.id != "" && e.key == best {
		return
	}
	old := e.id
	last := g.number(best)
	*last = max(*last, s.graves.stones[best].number) + 1
	e.key, e.id = best, best.String()
	if *last > 1 {
		e.id += "-" + strconv.Itoa(*last)
	}
	if old != "" {
		s.supersede(&entry{id: old, revision: e.revision, start: e.start, end: e.end}, e.id)
		e.revision, e.print = 0, 0
	}
}

// rankRow is how much a row's key counts in naming the request.
func rankRow(r *correlate.Row) rank {
	if r.Key.Local {
		return rankOther + 1 // any trace id is better
	}
	switch p := r.Event.Payload.(type) {
	case *event.EdgeRequest:
		return rankEdge
	case *event.Span:
		if p.Kind == event.SpanKindServer {
			return rankServer
		}
		return rankSpan
	case *event.Exchange:
		if p.Role == event.RoleServer {
			return rankIngress
		}
	}
	return rankOther
}

// supersede publishes the last revision of a timeline that is part of another.
func (s *Stitcher) supersede(e *entry, by string) {
	if e.id == "" || e.id == by {
		return
	}
	s.out.Superseded++
	s.out.Timelines = append(s.out.Timelines, &timeline.Timeline{
		ID: e.id, SupersededBy: by, Revision: e.revision + 1, State: timeline.Closed, Start: e.start, End: e.end,
	})
}

// maxDoubts bounds the list of a timeline's ambiguous events; all are counted.
const maxDoubts = 1000

// addDoubts lists the events that may belong to this timeline or another.
func (s *Stitcher) addDoubts(t *timeline.Timeline, trees []tree, i int) {
	f := s.forest
	for _, d := range s.doubts {
		if !slices.Contains(d.candidates, i) || len(t.Ambiguous) >= maxDoubts {
			continue
		}
		var among []timeline.Candidate
		for _, c := range d.candidates {
			if e := trees[c].entry; e != nil && e.id != "" {
				among = append(among, timeline.Candidate{TimelineID: e.id, Confidence: round3(1 / float64(len(d.candidates)))})
			}
		}
		for _, n := range s.nodesOf(d.tree) {
			for j := f.nodes[n].first; j != none; j = f.next[j] {
				t.Ambiguous = append(t.Ambiguous, timeline.Ambiguous{EventID: f.rows[j].Event.ID.String(), Candidates: among})
			}
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
		g.entries = slices.Delete(g.entries, i, i+1)
	}
	if len(g.entries) <= 1 && (len(g.numbers) == 0 || len(g.numbers) == 1 && g.numbers[0].last == 1) {
		return // it goes as a whole
	}
	g.active = slices.DeleteFunc(g.active, func(r correlate.Row) bool {
		if r.Event.Time > oldest.Add(-s.cfg.Longest) {
			return false
		}
		s.settleFate(&r, correlate.Ambiguous)
		return true
	})
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
		if i := slices.IndexFunc(e.rows, func(r correlate.Row) bool { return !r.Counted }); i >= 0 {
			s.schedule(g, now+1, max(e.next, e.rows[i].Event.Time.Add(s.cfg.Lateness)))
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

// printOf sums up what a timeline says, to see whether a revision is one. It
// means nothing to another process.
func printOf(t *timeline.Timeline) uint64 {
	h := uint64(len(t.Completeness.Gaps))<<32 | uint64(len(t.Alerts))
	mix := func(s string) { h = (h^maphash.String(printSeed, s))*0x9e3779b97f4a7c15 + 1 }
	mix(t.ID)
	for _, r := range t.Related {
		mix(r)
	}
	for i := range t.Steps {
		st := &t.Steps[i]
		mix(st.ID)
		mix(st.ParentID)
		mix(string(st.Status))
		mix(st.Join.Method)
		for _, id := range st.EventIDs {
			mix(id)
		}
	}
	for _, a := range t.Ambiguous {
		mix(a.EventID)
	}
	return h
}

var printSeed = maphash.MakeSeed()

func round3(v float64) float64 { return float64(int64(v*1000+0.5)) / 1000 }

package stitch

import (
	"hash/maphash"
	"slices"
	"strconv"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

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
		s.addDoubts(g, t, trees, i)
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
func (s *Stitcher) addDoubts(g *group, t *timeline.Timeline, trees []tree, i int) {
	f := s.forest
	for _, d := range g.doubts {
		at := d.start
		if len(g.entries) > 1 && (at < t.Start.Add(-skew) || at > t.End.Add(skew)) || len(t.Ambiguous) >= maxDoubts {
			continue
		}
		t.Ambiguous = append(t.Ambiguous, timeline.Ambiguous{EventID: d.id.String(), Candidates: correlate.Named(d.candidates)})
	}
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

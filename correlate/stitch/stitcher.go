package stitch

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/bind"
	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Stitcher assembles the timelines of one shard's groups. Not for concurrent
// use.
type Stitcher struct {
	cfg     window.Config
	dir     *bind.Directory
	ablate  bind.Ablation
	groups  map[correlate.Key]*group
	wakes   wakes
	graves  *Graves
	forest  *forest
	maker   maker
	free    []*group // forgotten ones, for reuse
	arena   *hold.Arena
	scratch scratch // of settle, as are the next ones
	links   []correlate.Link
	pooled  []*entry
	rootOf  map[event.ID]*entry
	roots   []tree
	treeOf  []int32 // node → its tree
	from    []int32 // tree → where its nodes begin in list
	list    []int32
	fill    []int32
	partial bool // the pool lacks entries of the group
	nodes   []int32
	doubts  []doubt
	merged  []merger
	out     *Out
}

// Out is what one step of stitch decided. The receiver empties it with Reset.
type Out struct {
	Timelines  []*timeline.Timeline
	Unmatched  []correlate.Unmatched
	Gone       [][]correlate.Key // keys of groups that were forgotten
	Fates      [correlate.Fates]uint64
	Joins      [correlate.Methods]uint64
	Closed     uint64
	Revised    uint64
	Superseded uint64
	buried     []tombstone
}

// Reset empties the lists and counters for reuse.
func (o *Out) Reset() {
	clear(o.Timelines)
	clear(o.Unmatched)
	*o = Out{Timelines: o.Timelines[:0], Unmatched: o.Unmatched[:0], Gone: o.Gone[:0], buried: o.buried[:0]}
}

// New returns an empty stitcher. The shards of one engine share dir, graves and
// budget.
func New(cfg window.Config, dir *bind.Directory, graves *Graves, budget *hold.Budget, ablate bind.Ablation) *Stitcher {
	s := &Stitcher{
		cfg: cfg, dir: dir, graves: graves, arena: hold.New(budget), ablate: ablate,
		groups: make(map[correlate.Key]*group), forest: newForest(), rootOf: make(map[event.ID]*entry),
	}
	s.forest.inside = func(a netip.Addr, t event.Time) bool { return dir.Pod(a, t) != nil }
	s.maker.dir = dir
	return s
}

// Add takes rows and links in; rep is the representative of their keys.
func (s *Stitcher) Add(rep correlate.Key, r correlate.Row, now event.Time, out *Out) {
	g := s.group(rep)
	if r.Late && s.holds(g, r.Event.ID) {
		out.Fates[correlate.Duplicate]++
		out.Unmatched = append(out.Unmatched, correlate.Unmatched{Event: r.Event, Fate: correlate.Duplicate})
		return
	}
	if len(g.active) >= maxRows {
		out.Fates[correlate.Dropped]++
		out.Unmatched = append(out.Unmatched, correlate.Unmatched{Event: r.Event, Fate: correlate.Dropped})
		return
	}
	if r.Late && len(g.active) == 0 && len(g.entries) == 0 {
		if t, ok := s.graves.stones[r.Key]; ok && r.Event.Time <= t.last.Add(s.cfg.Longest) {
			out.Fates[correlate.Late]++
			out.Unmatched = append(out.Unmatched, correlate.Unmatched{Event: r.Event, Fate: correlate.Late})
			s.drop(g)
			return
		}
	}
	g.take(&r)
	g.active = append(g.active, s.hold(g, &r))
	due := max(now, s.dueOf(r))
	switch {
	case g.looked:
		s.schedule(g, now, due)
	case r.Event.Kind == event.KindEdgeRequest:
		// What it caused cannot close before it. Rows come in any order, so the
		// first look is at the first edge's end whatever came before.
		if g.edge == 0 || due < g.edge {
			g.edge = due
			s.wakeAt(g, due)
		}
	case g.edge == 0:
		s.schedule(g, now, due)
	}
}

// Link takes a relation in.
func (s *Stitcher) Link(rep correlate.Key, l correlate.Link, now event.Time) {
	g := s.group(rep)
	g.links = append(g.links, l)
	g.news = true
	if g.looked || g.edge == 0 {
		s.schedule(g, now, now.Add(s.cfg.Silence))
	}
}

// Alias takes in that two keys of the group are one request.
func (s *Stitcher) Alias(rep correlate.Key, a correlate.Alias, now event.Time) {
	g := s.group(rep)
	if slices.ContainsFunc(g.aliases, func(b correlate.Alias) bool {
		return b.A == a.A && b.B == a.B && (b.Inferred == nil || a.Inferred != nil)
	}) {
		return
	}
	g.aliases = append(g.aliases, a)
	g.news = true
	if g.looked || g.edge == 0 {
		s.schedule(g, now, now.Add(s.cfg.Silence))
	}
}

// Doubt takes in that an event may belong to the group, if there is one.
func (s *Stitcher) Doubt(rep correlate.Key, d correlate.Doubt, now event.Time) {
	g := s.groups[rep]
	if g == nil || len(g.doubts) >= maxDoubts {
		return
	}
	g.doubts = append(g.doubts, doubtful{d.Event.ID, d.Event.Time, startOf(d.Event), d.Candidates})
	g.news = true
	if g.looked {
		s.schedule(g, now, now.Add(s.cfg.Settle))
	}
}

// maxRows bounds the undecided evidence under one trace id, which anybody can
// choose.
const maxRows = 4 * MaxSteps

// Detach takes a group out, nil if there is none: it moves to another shard.
func (s *Stitcher) Detach(rep correlate.Key) *Group {
	g := s.groups[rep]
	if g == nil {
		return nil
	}
	s.drop(g)
	return &Group{g, s.arena}
}

// Group is a group on the move.
type Group struct {
	g     *group
	arena *hold.Arena
}

// Absorb makes the group part of the one of rep.
func (s *Stitcher) Absorb(rep correlate.Key, moved *Group, now event.Time) {
	g := s.group(rep)
	wake := min(g.wake, moved.g.wake)
	if moved.arena != s.arena {
		s.move(moved.g.active, moved.arena)
		for _, e := range moved.g.entries {
			s.move(e.rows, moved.arena)
		}
	}
	g.absorb(moved.g)
	s.schedule(g, now, max(now, min(wake, now.Add(s.cfg.Settle))))
}

func (s *Stitcher) group(rep correlate.Key) *group {
	g := s.groups[rep]
	if g == nil {
		if n := len(s.free); n > 0 {
			g, s.free = s.free[n-1], s.free[:n-1]
			g.reset()
		} else {
			g = &group{}
		}
		g.rep, g.wake, g.heapAt = rep, event.Never, -1
		s.groups[rep] = g
	}
	return g
}

// dueOf is when a group that got the row should be looked at: when its request
// can close, if the row may be its root.
func (s *Stitcher) dueOf(r correlate.Row) event.Time {
	switch p := r.Event.Payload.(type) {
	case *event.EdgeRequest:
		return r.Event.Time.Add(s.cfg.Lateness)
	case *event.Span:
		if p.ParentID.IsZero() || p.Kind == event.SpanKindServer || p.Kind == event.SpanKindConsumer {
			return r.Event.Time.Add(s.cfg.Lateness)
		}
	case *event.Exchange:
		if p.Role == event.RoleServer {
			return r.Event.Time.Add(s.cfg.Lateness)
		}
	}
	return r.Event.Time.Add(s.cfg.Silence)
}

// schedule makes sure that the group is looked at by at.
func (s *Stitcher) schedule(g *group, now, at event.Time) {
	at = max(at, now)
	if step := event.Time(crowdStep); g.crowded() && at < event.Never-step {
		at += step - at%step // many requests close in one go
	}
	if at < g.wake {
		s.wakeAt(g, at)
	}
}

// wakeAt sets the time of the next look.
func (s *Stitcher) wakeAt(g *group, at event.Time) {
	g.wake = at
	if g.heapAt < 0 {
		heap.Push(&s.wakes, g)
	} else {
		heap.Fix(&s.wakes, g.heapAt)
	}
}

// crowdStep is the grid on which a trace id that serves many requests is looked
// at: each look costs what all of them in flight have.
const crowdStep = 10 * time.Second

func (s *Stitcher) drop(g *group) {
	delete(s.groups, g.rep)
	if g.heapAt >= 0 {
		heap.Remove(&s.wakes, g.heapAt)
	}
}

// Next returns when the first group wants to be looked at.
func (s *Stitcher) Next() event.Time {
	if len(s.wakes) == 0 {
		return event.Never
	}
	return s.wakes[0].wake
}

// Err returns why an event could not be read back, nil if none was lost.
func (s *Stitcher) Err() error { return s.arena.Err() }

// Open counts the groups that have no closed request yet.
func (s *Stitcher) Open() uint64 {
	n := uint64(0)
	for _, g := range s.groups {
		if len(g.entries) == 0 {
			n++
		}
	}
	return n
}

// Advance looks at every group that is due before end, in order of time.
func (s *Stitcher) Advance(end event.Time, out *Out) {
	s.out = out
	for len(s.wakes) > 0 && s.wakes[0].wake < end {
		g := heap.Pop(&s.wakes).(*group)
		at := g.wake
		g.wake = event.Never
		s.settle(g, at)
	}
	s.out = nil
}

// retire forgets a group whose retention is over.
func (s *Stitcher) retire(g *group, now event.Time) {
	for i := range g.active {
		s.settleHeld(g, &g.active[i], correlate.Ambiguous)
	}
	s.dropAll(g.active)
	for _, e := range g.entries {
		s.dropAll(e.rows)
	}
	for _, n := range g.numbers {
		s.out.buried = append(s.out.buried, tombstone{key: n.key, number: n.last, last: g.last})
	}
	s.out.Gone = append(s.out.Gone, g.keys)
	s.drop(g)
	if len(g.entries) <= 1 && cap(g.active) <= 256 && len(s.free) < 4096 {
		s.free = append(s.free, g)
	}
}

// settleFate counts an event that is no part of any entry.
func (s *Stitcher) settleFate(r *correlate.Row, fate correlate.Fate) {
	if r.Copy || r.Counted && fate == correlate.Ambiguous {
		return
	}
	s.out.Fates[fate]++
	s.out.Unmatched = append(s.out.Unmatched, correlate.Unmatched{Event: r.Event.Clone(), Fate: fate})
}

// settleHeld does so with a row that is not unpacked.
func (s *Stitcher) settleHeld(g *group, h *held, fate correlate.Fate) {
	s.scratch.batch.Reset()
	var e event.Event
	r := s.row(g, h, &e, &s.scratch.batch)
	s.settleFate(&r, fate)
}

// holds reports whether the group has the event already.
func (s *Stitcher) holds(g *group, id event.ID) bool {
	has := func(rows []held) bool {
		return slices.ContainsFunc(rows, func(h held) bool { return s.arena.ID(h.ref) == id })
	}
	return has(g.active) || slices.ContainsFunc(g.entries, func(e *entry) bool { return has(e.rows) })
}

// wakes is a heap of groups by the time they want to be looked at.
type wakes []*group

func (w wakes) Len() int { return len(w) }
func (w wakes) Less(i, j int) bool {
	if w[i].wake != w[j].wake {
		return w[i].wake < w[j].wake
	}
	return w[i].rep.Compare(w[j].rep) < 0
}
func (w wakes) Swap(i, j int) { w[i], w[j] = w[j], w[i]; w[i].heapAt, w[j].heapAt = i, j }
func (w *wakes) Push(x any) {
	g := x.(*group)
	g.heapAt = len(*w)
	*w = append(*w, g)
}

func (w *wakes) Pop() any {
	old := *w
	g := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	g.heapAt = -1
	return g
}

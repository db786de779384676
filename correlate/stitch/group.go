package stitch

import (
	"cmp"
	"slices"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// Limits of one timeline. What goes beyond is counted in Truncated.
const (
	MaxSteps    = 10_000
	MaxTraceIDs = 64
	MaxBytes    = 8 << 20 // of the names, attributes and event ids of its steps
)

// group is all evidence under one trace id, or under several that are one
// request.
type group struct {
	rep     correlate.Key
	keys    []correlate.Key
	active  []held // in no entry yet
	links   []correlate.Link
	aliases []correlate.Alias // that brought its keys together
	doubts  []doubtful        // that name it
	entries []*entry
	numbers []numbered // the trace ids that have named a request
	merged  bool       // another group came in since the last build
	news    bool       // rows, links or a group came since the last build
	waiting bool       // some request in it cannot close yet
	looked  bool       // it has been settled before
	edge    event.Time // when the first of its edge requests can close, before that
	first   event.Time
	last    event.Time
	wake    event.Time
	heapAt  int
}

// numbered is a trace id and the number of its last request.
type numbered struct {
	key  correlate.Key
	last int
}

// number returns the number of the key's last request in the group.
func (g *group) number(k correlate.Key) *int {
	for i := range g.numbers {
		if g.numbers[i].key == k {
			return &g.numbers[i].last
		}
	}
	g.numbers = append(g.numbers, numbered{key: k})
	return &g.numbers[len(g.numbers)-1].last
}

// entry is one request of a group.
type entry struct {
	key        correlate.Key // its best trace id
	id         string        // timeline id, empty until published
	root       event.ID      // primary event of the root step
	rank       rank
	rooted     bool // its root has ended; else it was closed by silence
	start, end event.Time
	rows       []held
	open       int // rows that wait for a settling point
	revision   uint32
	next       event.Time // no revision before
	print      uint64     // of what was last published
	closed     event.Time // when it was first closed
	dropped    uint32     // rows beyond maxRows
	clients    clients
}

// rank is how good a root is: the outermost view of a request wins.
type rank uint8

const (
	rankEdge rank = iota
	rankServer
	rankIngress
	rankSpan
	rankOther
)

// take takes note of a row that comes in.
func (g *group) take(r *correlate.Row) {
	start := startOf(r.Event)
	if g.first == 0 || start < g.first {
		g.first = start
	}
	g.last = max(g.last, r.Event.Time)
	g.news = true
}

// keyAt returns the place of a key in the group's list.
func (g *group) keyAt(k correlate.Key) uint32 {
	at := slices.Index(g.keys, k)
	if at < 0 {
		at = len(g.keys)
		g.keys = append(g.keys, k)
	}
	return uint32(at)
}

// reset empties a forgotten group for reuse, keeping its lists' room. The keys
// were handed out.
func (g *group) reset() {
	rows := g.active
	if len(g.entries) > 0 && cap(g.entries[0].rows) > cap(rows) {
		rows = g.entries[0].rows
	}
	clear(rows[:cap(rows)])
	*g = group{active: rows[:0], links: g.links[:0], aliases: g.aliases[:0], doubts: g.doubts[:0], entries: g.entries[:0], numbers: g.numbers[:0]}
}

// absorb takes over the rows and entries of another group.
func (g *group) absorb(o *group) {
	places := make([]uint32, len(o.keys))
	for i, k := range o.keys {
		places[i] = g.keyAt(k)
	}
	for i := range o.active {
		o.active[i].key = places[o.active[i].key]
	}
	for _, e := range o.entries {
		for i := range e.rows {
			e.rows[i].key = places[e.rows[i].key]
		}
	}
	g.active = append(g.active, o.active...)
	g.links = append(g.links, o.links...)
	g.aliases = append(g.aliases, o.aliases...)
	g.doubts = append(g.doubts, o.doubts...)
	g.merged, g.news = true, true
	g.looked = g.looked || o.looked
	if g.edge == 0 || o.edge != 0 && o.edge < g.edge {
		g.edge = o.edge
	}
	if g.first == 0 || o.first != 0 && o.first < g.first {
		g.first = o.first
	}
	g.last = max(g.last, o.last)
	for _, n := range o.numbers {
		last := g.number(n.key)
		*last = max(*last, n.last)
	}
	g.entries = append(g.entries, o.entries...)
	slices.SortFunc(g.entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.closed, b.closed), cmp.Compare(a.start, b.start), slices.Compare(a.root[:], b.root[:]))
	})
}

// startOf is when an event began.
func startOf(e *event.Event) event.Time {
	var t event.Time
	switch p := e.Payload.(type) {
	case *event.Span:
		t = p.Start
	case *event.Exchange:
		t = p.Start
	case *event.EdgeRequest:
		t = p.Start
	case *event.HTTPFlow:
		t = e.Time - event.Time(p.LatencyNS)
	}
	if t == 0 || t > e.Time {
		return e.Time
	}
	return t
}

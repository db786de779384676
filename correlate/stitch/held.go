package stitch

import (
	"slices"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/schemas/event"
)

// held is a row as a group keeps it: its event is packed until the group is
// looked at.
type held struct {
	ref    hold.Ref
	time   event.Time
	conn   *correlate.Conn
	more   *more  // nil for most
	key    uint32 // its place in the group's keys
	method correlate.Method
	flags  rowFlags
}

// more is what few rows have.
type more struct {
	span     event.SpanID
	inferred *correlate.Inference
}

type rowFlags uint8

const (
	rowCopy rowFlags = 1 << iota
	rowLate
	rowCounted
)

func (h *held) counted() bool { return h.flags&rowCounted != 0 }

// hold packs a row of the group's.
func (s *Stitcher) hold(g *group, r *correlate.Row) held {
	h := held{ref: s.arena.Put(r.Event), time: r.Event.Time, conn: r.Conn, key: g.keyAt(r.Key), method: r.Method}
	if !r.Span.IsZero() || r.Inferred != nil {
		h.more = &more{r.Span, r.Inferred}
	}
	if r.Copy {
		h.flags |= rowCopy
	}
	if r.Late {
		h.flags |= rowLate
	}
	if r.Counted {
		h.flags |= rowCounted
	}
	return h
}

// row unpacks a row of the group's into e and b.
func (s *Stitcher) row(g *group, h *held, e *event.Event, b *event.Batch) correlate.Row {
	s.arena.Get(h.ref, e, b)
	r := correlate.Row{
		Key: g.keys[h.key], Event: e, Method: h.method, Conn: h.conn,
		Copy: h.flags&rowCopy != 0, Late: h.flags&rowLate != 0, Counted: h.counted(),
	}
	if h.more != nil {
		r.Span, r.Inferred = h.more.span, h.more.inferred
	}
	return r
}

// scratch is where the rows of the group that is looked at are unpacked.
type scratch struct {
	held   []held
	rows   []correlate.Row
	events []event.Event
	batch  event.Batch
	order  []int32
	// What the rows were before they were put in order.
	heldWas []held
	rowsWas []correlate.Row
}

// keepRows is how many rows the scratch has room for between groups.
const keepRows = 4096

// unpack unpacks the rows listed in held.
func (s *Stitcher) unpack(g *group) {
	u := &s.scratch
	if cap(u.events) > keepRows && len(u.held) <= keepRows {
		u.events, u.batch, u.rows = nil, event.Batch{}, nil
		u.rowsWas, u.heldWas = nil, nil
	}
	u.batch.Reset()
	u.events = slices.Grow(u.events[:0], len(u.held))[:len(u.held)]
	u.rows = slices.Grow(u.rows[:0], len(u.held))[:len(u.held)]
	for i := range u.held {
		u.rows[i] = s.row(g, &u.held[i], &u.events[i], &u.batch)
	}
}

// sort puts the rows into canonical order, copies last.
func (u *scratch) sort() {
	byOrder := func(a, b *correlate.Row) int {
		if c := event.Compare(a.Event, b.Event); c != 0 || a.Copy == b.Copy {
			return c
		} else if a.Copy {
			return 1
		}
		return -1
	}
	sorted := true
	for i := 1; i < len(u.rows) && sorted; i++ {
		sorted = byOrder(&u.rows[i-1], &u.rows[i]) <= 0
	}
	if sorted {
		return
	}
	u.order = u.order[:0]
	for i := range u.rows {
		u.order = append(u.order, int32(i))
	}
	slices.SortFunc(u.order, func(i, j int32) int { return byOrder(&u.rows[i], &u.rows[j]) })
	u.rowsWas, u.rows = u.rows, slices.Grow(u.rowsWas[:0], len(u.rows))[:len(u.rows)]
	u.heldWas, u.held = u.held, slices.Grow(u.heldWas[:0], len(u.held))[:len(u.held)]
	for i, from := range u.order {
		u.rows[i], u.held[i] = u.rowsWas[from], u.heldWas[from]
	}
}

// dropAll ends the stay of rows.
func (s *Stitcher) dropAll(rows []held) {
	for i := range rows {
		s.arena.Drop(rows[i].ref)
	}
}

// move packs the rows of a group that comes from another shard anew.
func (s *Stitcher) move(rows []held, from *hold.Arena) {
	var e event.Event
	for i := range rows {
		s.scratch.batch.Reset()
		from.Get(rows[i].ref, &e, &s.scratch.batch)
		from.Drop(rows[i].ref)
		rows[i].ref = s.arena.Put(&e)
	}
}

// doubtful is a doubt as a group keeps it.
type doubtful struct {
	id          event.ID
	time, start event.Time
	candidates  []correlate.Candidate
}

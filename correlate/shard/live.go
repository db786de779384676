package shard

import (
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/bind"
	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/correlate/stitch"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// live is the view of open requests: whatever names a trace is shown under it
// from the first event on, at most once a second, long before the watermark
// lets bind decide. Nothing here ever reaches canonical state.
type live struct {
	cfg      window.Config
	every    time.Duration // 0: each second, and at once
	preview  *stitch.Preview
	open     map[correlate.Key]*glimpse
	touched  []correlate.Key
	closed   map[string]event.Time // timelines that have a canonical revision
	lastShow event.Time
	arena    *hold.Arena // the events of all glimpses
	// The request that is being shown.
	rows   []correlate.Row
	events []event.Event
	batch  event.Batch
}

// glimpse is what has come in of one trace.
type glimpse struct {
	refs    []hold.Ref
	update  uint32
	touched bool
	last    event.Time
	since   event.Time // seen first, or shown last, by the engine's clock
}

// maxGlimpse bounds the events a live view holds; the canonical one has all.
const maxGlimpse = 2_000

func newLive(cfg Config, dir *bind.Directory, b *hold.Budget) *live {
	return &live{
		arena: hold.New(b),
		cfg:   cfg.Window, every: cfg.LiveEvery, preview: stitch.NewPreview(dir),
		open: make(map[correlate.Key]*glimpse), closed: make(map[string]event.Time),
	}
}

// observe takes in an event that names its trace.
func (l *live) observe(e *event.Event) {
	var id event.TraceID
	switch p := e.Payload.(type) {
	case *event.Span:
		id = p.TraceID
	case *event.Exchange:
		id = p.Trace.TraceID
	case *event.EdgeRequest:
		id = p.Trace.TraceID
	case *event.HTTPFlow:
		id = p.Trace.TraceID
	case *event.Process:
		id = p.Trace.TraceID
	}
	if id.IsZero() {
		return
	}
	key := correlate.TraceKey(id)
	g := l.open[key]
	if g == nil {
		g = &glimpse{}
		l.open[key] = g
	}
	if len(g.refs) < maxGlimpse {
		g.refs = append(g.refs, l.arena.Put(e))
	}
	g.last = max(g.last, e.Time)
	if !g.touched {
		g.touched = true
		l.touched = append(l.touched, key)
	}
}

// due takes out of what was touched what is to be shown now, in order of the keys. What
// is closed is not looked at again.
func (l *live) due(now event.Time) (due []correlate.Key) {
	later := l.touched[:0]
	for _, key := range l.touched {
		g := l.open[key]
		switch {
		case g == nil:
		case g.since == 0 && l.every > 0:
			g.since = now
			later = append(later, key)
		case now.Sub(g.since) < l.every:
			later = append(later, key)
		default:
			g.since = now
			due = append(due, key)
		}
	}
	l.touched = later
	slices.SortFunc(due, correlate.Key.Compare)
	return due
}

// show hands out the open requests that changed, at most once a second.
func (l *live) show(out Output, now event.Time) {
	if now.Sub(l.lastShow) < max(time.Second, l.every/6) && l.lastShow != 0 {
		return
	}
	l.lastShow = now
	for _, key := range l.due(now) {
		g := l.open[key]
		g.touched = false
		if _, done := l.closed[key.String()]; done {
			continue
		}
		g.update++
		l.unpack(key, g)
		if l.arena.Err() != nil {
			return
		}
		out.Timeline(l.preview.Make(key, l.rows, g.update))
	}
	for key, g := range l.open {
		if now.Sub(g.last) > l.cfg.Longest {
			l.forget(key)
		}
	}
	for id, at := range l.closed {
		if now.Sub(at) > l.cfg.Retention {
			delete(l.closed, id)
		}
	}
}

// unpack makes rows of what has come in of a trace, in the order in which it came.
func (l *live) unpack(key correlate.Key, g *glimpse) {
	l.batch.Reset()
	l.events = slices.Grow(l.events[:0], len(g.refs))[:len(g.refs)]
	l.rows = slices.Grow(l.rows[:0], len(g.refs))[:len(g.refs)]
	for i, ref := range g.refs {
		l.arena.Get(ref, &l.events[i], &l.batch)
		l.rows[i] = correlate.Row{Key: key, Event: &l.events[i], Method: correlate.TraceContext}
	}
}

// forget ends a glimpse, if there is one.
func (l *live) forget(key correlate.Key) {
	g := l.open[key]
	if g == nil {
		return
	}
	for _, ref := range g.refs {
		l.arena.Drop(ref)
	}
	delete(l.open, key)
}

// close ends the live view of a request that has been closed.
func (l *live) close(t *timeline.Timeline) {
	for _, id := range append(t.TraceIDs, t.TraceID) {
		var trace event.TraceID
		if trace.UnmarshalText([]byte(id)) == nil {
			l.forget(correlate.TraceKey(trace))
			l.closed[id] = t.End
		}
	}
}

package live

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// showing shows requests that are still open to the sinks that want to see them, each
// at most once in a while, as it is then. It lives in memory, past the bus: what is
// lost of it, by a kill or a sink that is away, the next look or the closed timeline
// makes good. What was shown and will not close, because it is part of another request
// or nothing more came of it, is taken back: that is told until every sink has it.
type showing struct {
	every time.Duration
	log   *slog.Logger

	mu      sync.Mutex
	changed map[string]*timeline.Timeline // open and not shown yet, by id
	shown   map[string]glance             // what was shown last, by id
	gone    map[string]*timeline.Timeline // shown and to be taken back, by id
	missed  uint64                        // for want of room
}

const (
	// showEvery is how often an open request is shown.
	showEvery = time.Minute
	// mostOpen bounds the open requests that are kept for the next look.
	mostOpen = 10_000
	// mostShown bounds those that are remembered: of more, some are taken back until
	// they are shown again.
	mostShown = 10 * mostOpen
)

// glance is what was shown of an open request.
type glance struct {
	update     uint32
	start, end event.Time
	news       time.Time // when it last changed
}

// newShowing makes one if a sink wants one.
func newShowing(to []fanout.Config, log *slog.Logger) *showing {
	if !slices.ContainsFunc(to, func(c fanout.Config) bool { return c.Open }) {
		return nil
	}
	return &showing{every: showEvery, log: log, changed: map[string]*timeline.Timeline{}, shown: map[string]glance{}, gone: map[string]*timeline.Timeline{}}
}

// take takes a revision; 0 is the view of an open request. It keeps what it is given.
func (w *showing) take(t *timeline.Timeline) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.Revision == 0 {
		if _, ok := w.changed[t.ID]; !ok && len(w.changed) >= mostOpen {
			w.missed++
			return
		}
		w.changed[t.ID] = t
		delete(w.gone, t.ID)
		return
	}
	for _, id := range append([]string{t.ID}, t.TraceIDs...) {
		delete(w.changed, id)
		g, shown := w.shown[id]
		if delete(w.shown, id); shown && id != t.ID {
			w.takeBack(id, g, t.ID) // it was shown under an id that was found to be of this request
		}
	}
}

// takeBack says that what was shown is none: another request has it, or, where by is its
// own id, none does.
func (w *showing) takeBack(id string, g glance, by string) {
	w.gone[id] = &timeline.Timeline{ID: id, SupersededBy: by, Update: g.update + 1, State: timeline.Open, Start: g.start, End: g.end}
}

// look gives what there is to show, and what of it is taken back.
func (w *showing) look() (list []sinks.Record, back map[string]*timeline.Timeline) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for id, t := range w.changed {
		list = append(list, sinks.Record{Kind: sinks.Timeline, ID: id, Data: t.AppendJSON(nil)})
		w.shown[id] = glance{t.Update, t.Start, t.End, now}
		delete(w.changed, id)
	}
	for id, g := range w.shown {
		if now.Sub(g.news) > abandoned || len(w.shown) > mostShown {
			delete(w.shown, id)
			w.takeBack(id, g, id)
		}
	}
	for id, t := range w.gone {
		list = append(list, sinks.Record{Kind: sinks.Timeline, ID: id, Data: t.AppendJSON(nil)})
	}
	if w.missed > 0 {
		w.log.Warn("there are too many open requests to show", "missed", w.missed)
		w.missed = 0
	}
	return list, maps.Clone(w.gone)
}

// told forgets what every sink knows to be taken back.
func (w *showing) told(back map[string]*timeline.Timeline) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, t := range back {
		if w.gone[id] == t {
			delete(w.gone, id)
		}
	}
}

// abandoned is when nothing more comes of an open request of which nothing was heard:
// the engine closes what is silent long before.
var abandoned = window.Default().Longest + window.Default().Lateness

// run shows what there is, until ctx ends.
func (w *showing) run(ctx context.Context, lanes []*lane) error {
	if w == nil {
		return nil
	}
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		list, back := w.look()
		all := true
		for _, l := range lanes {
			if !l.Open || len(list) == 0 {
				continue
			}
			for part := range slices.Chunk(list, l.BatchCount) {
				if err := l.Show(ctx, part); err != nil && ctx.Err() == nil {
					all = false
					w.log.Warn("open requests were not shown", "sink", l.Name, "requests", len(part), "error", err)
				}
			}
		}
		if all {
			w.told(back)
		}
	}
}

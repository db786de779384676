package live

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// showing shows requests that are still open to the sinks that want to see them, each
// at most once in a while, as it is then. It lives in memory, past the bus: what is
// lost of it, by a kill or a sink that is away, the next look or the closed timeline
// makes good.
type showing struct {
	every time.Duration
	log   *slog.Logger

	mu      sync.Mutex
	changed map[string]*timeline.Timeline // open and not shown yet, by id
	shown   map[string]uint32             // the update that was shown last, by id
	missed  uint64                        // for want of room
}

const (
	// showEvery is how often an open request is shown.
	showEvery = time.Minute
	// mostOpen bounds the open requests that are kept for the next look.
	mostOpen = 10_000
)

// newShowing makes one if a sink wants one.
func newShowing(to []fanout.Config, log *slog.Logger) *showing {
	if !slices.ContainsFunc(to, func(c fanout.Config) bool { return c.Open }) {
		return nil
	}
	return &showing{every: showEvery, log: log, changed: map[string]*timeline.Timeline{}, shown: map[string]uint32{}}
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
		return
	}
	for _, id := range append([]string{t.ID}, t.TraceIDs...) {
		delete(w.changed, id)
		update, shown := w.shown[id]
		if delete(w.shown, id); shown && id != t.ID {
			// It was shown under an id that was found to be of this request.
			w.changed[id] = &timeline.Timeline{ID: id, SupersededBy: t.ID, Update: update + 1, State: timeline.Open, Start: t.Start, End: t.End}
		}
	}
}

// look gives what there is to show.
func (w *showing) look() (list []sinks.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, t := range w.changed {
		list = append(list, sinks.Record{Kind: sinks.Timeline, ID: id, Data: t.AppendJSON(nil)})
		if t.SupersededBy == "" {
			w.shown[id] = t.Update
		}
		delete(w.changed, id)
	}
	for id := range w.shown { // what never closes is forgotten some time
		if len(w.shown) <= 10*mostOpen {
			break
		}
		delete(w.shown, id)
	}
	if w.missed > 0 {
		w.log.Warn("there are too many open requests to show", "missed", w.missed)
		w.missed = 0
	}
	return list
}

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
		list := w.look()
		for _, l := range lanes {
			if !l.Open || len(list) == 0 {
				continue
			}
			for part := range slices.Chunk(list, l.BatchCount) {
				if err := l.Show(ctx, part); err != nil && ctx.Err() == nil {
					w.log.Warn("open requests were not shown", "sink", l.Name, "requests", len(part), "error", err)
				}
			}
		}
	}
}

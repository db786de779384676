package window

import (
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
)

// Tracker computes the watermark: the event time before which everything has
// come in. A sender is one source of one node. One that sends heartbeats
// (clock events) states its own watermark; any other is taken to be at most
// Config.Lateness out of order. What a tenant writes (spans) advances nothing:
// for those the caller's now counts.
type Tracker struct {
	cfg     Config
	senders map[sender]*progress
	now     event.Time // the newest now the caller gave
	newest  event.Time // newest event time of a trusted source
	mark    event.Time
	scratch []event.Time
}

type sender struct {
	node   string
	source event.Source
}

type progress struct {
	mark event.Time // stated watermark, 0 without heartbeats
	seen event.Time // now at its last sign of life
	idle bool       // said so itself
}

// NewTracker returns a tracker that has seen nothing.
func NewTracker(cfg Config) *Tracker {
	return &Tracker{cfg: cfg, senders: make(map[sender]*progress)}
}

// Tick takes note of the caller's clock: time passes also when nothing comes.
func (t *Tracker) Tick(now event.Time) { t.now = max(t.now, now) }

// Observe takes note of one event. now is the caller's clock, zero if it has
// none.
func (t *Tracker) Observe(e *event.Event, now event.Time) {
	t.now = max(t.now, now)
	if t.cfg.InOrder {
		t.newest = max(t.newest, e.Time)
		return
	}
	if clock, ok := e.Payload.(*event.Clock); ok {
		p := t.sender(sender{e.Node, clock.Of})
		p.mark = max(p.mark, clock.Watermark)
		p.idle = clock.Idle
		p.seen = t.now
		return
	}
	if p, ok := t.senders[sender{e.Node, e.Source}]; ok {
		p.seen, p.idle = t.now, false
	}
	if e.Source != event.SourceOTLP {
		seen := e.Time
		if e.Observed != 0 && seen > e.Observed.Add(t.cfg.Ahead) {
			seen = e.Observed
		}
		if t.now != 0 && seen > t.now.Add(t.cfg.Ahead) {
			seen = t.now
		}
		t.newest = max(t.newest, seen)
	}
}

func (t *Tracker) sender(s sender) *progress {
	p := t.senders[s]
	if p == nil {
		p = &progress{}
		t.senders[s] = p
	}
	return p
}

// Advance returns the watermark. It never goes back.
func (t *Tracker) Advance() event.Time {
	if t.cfg.InOrder {
		t.mark = max(t.mark, t.newest)
		return t.mark
	}
	clock := t.newest
	if t.now != 0 {
		clock = t.now // a clock beats what events claim
	}
	if clock == 0 {
		return t.mark
	}
	mark := clock - event.Time(t.cfg.Lateness)
	t.scratch = t.scratch[:0]
	for _, p := range t.senders {
		silent := t.now != 0 && t.now.Sub(p.seen) > t.cfg.Idle
		if p.mark != 0 && !p.idle && !silent {
			t.scratch = append(t.scratch, p.mark)
		}
	}
	if len(t.scratch) > 0 {
		slices.Sort(t.scratch)
		median := t.scratch[len(t.scratch)/2]
		for _, m := range t.scratch {
			if median.Sub(m) <= t.cfg.Lag { // the first that does not lag is the least
				mark = min(mark, m)
				break
			}
		}
	}
	t.mark = max(t.mark, mark)
	return t.mark
}

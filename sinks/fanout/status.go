package fanout

import (
	"sync/atomic"
	"time"
)

// counters are what a lane counts; they are read while it works.
type counters struct {
	delivered, retried, dead, ignored, backlog atomic.Uint64
	shown, unshown                             atomic.Uint64
	last                                       atomic.Int64 // delivery, nanoseconds
	lastError                                  atomic.Pointer[failure]
}

type failure struct {
	text string
	at   time.Time
}

func (c *counters) failed(err error) { c.lastError.Store(&failure{err.Error(), time.Now()}) }

// Status is how a lane stands.
type Status struct {
	Name      string `json:"name"`
	Delivered uint64 `json:"delivered"`        // records that the sink has
	Retried   uint64 `json:"retried"`          // times that one is tried again
	Dead      uint64 `json:"dead"`             // records that cannot be delivered
	Ignored   uint64 `json:"ignored"`          // records that the sink does not want
	Backlog   uint64 `json:"backlog"`          // records that wait, as of a moment ago
	Shown     uint64 `json:"shown,omitzero"`   // views of open timelines that the sink took
	Unshown   uint64 `json:"unshown,omitzero"` // those that it did not
	// LastDelivery and LastError are zero and empty where there was none.
	LastDelivery time.Time `json:"last_delivery,omitzero"`
	LastError    string    `json:"last_error,omitempty"`
	FailedAt     time.Time `json:"failed_at,omitzero"`
}

// Status tells how the lane stands, since it was made.
func (l *Lane) Status() Status {
	s := Status{
		Name: l.Name, Delivered: l.delivered.Load(), Retried: l.retried.Load(), Dead: l.dead.Load(),
		Ignored: l.ignored.Load(), Backlog: l.backlog.Load(), Shown: l.shown.Load(), Unshown: l.unshown.Load(),
	}
	if ns := l.last.Load(); ns != 0 {
		s.LastDelivery = time.Unix(0, ns).UTC()
	}
	if f := l.lastError.Load(); f != nil {
		s.LastError, s.FailedAt = f.text, f.at.UTC()
	}
	return s
}

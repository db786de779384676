package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/ingest/bus"
)

// sending brings what was committed to its streams if this processor leads, and ticks
// while nothing comes; one that does not lead follows what is sent. It works in a
// goroutine of its own, so that nobody who publishes waits for it.
type sending struct {
	js      jetstream.JetStream
	leads   func() bool
	log     *slog.Logger
	metrics *Metrics
	outbox  *outbox

	ticked   time.Time
	followed time.Time

	last atomic.Pointer[lastRead] // nil: nothing was read yet
	full atomic.Bool              // so much waits that no more should be read
	wake chan struct{}

	mu      sync.Mutex
	fresh   []*disk.Bundle // committed since
	decided time.Time      // when the last message was stored that was decided, and committed
}

// lastRead is what is known of the last message that was read.
type lastRead struct {
	heard   time.Time // by this machine's clock
	stored  time.Time // by the stream's
	pending bool      // there were others behind it
}

func newSending(js jetstream.JetStream, store *disk.Store, m *Metrics, o *Options) (*sending, error) {
	out, err := openOutbox(js, store, o.Log)
	return &sending{js: js, leads: o.Leads, log: o.Log, metrics: m, outbox: out, wake: make(chan struct{}, 1)}, err
}

// read notes that a message was read.
func (s *sending) read(m *bus.Message) { s.last.Store(&lastRead{time.Now(), m.Stored, m.Pending > 0}) }

// committed notes what a commit has added, and when the last message was stored that was
// decided with it; the zero time is none.
func (s *sending) committed(bundles []disk.Bundle, decided time.Time) {
	s.mu.Lock()
	for i := range bundles {
		s.fresh = append(s.fresh, &bundles[i])
	}
	if !decided.IsZero() {
		s.decided = decided
	}
	s.mu.Unlock()
	if len(bundles) == 0 {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// crowded reports whether so much waits that no more should be read. It never is while
// sending itself waits for more to be read: to know how far the streams are followed.
func (s *sending) crowded() bool { return s.full.Load() }

// run works until ctx ends. An error is one that waiting does not mend: of the state.
func (s *sending) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := s.send(ctx, false)
		if errors.Is(err, errState) {
			return err
		}
		s.metrics.sends(err)
		wait, wake := idleWait, s.wake
		switch {
		case err != nil: // not sooner because more is committed
			if wait, wake = time.Second, nil; ctx.Err() == nil {
				s.log.Warn("results cannot be sent now", "error", err)
			}
		case s.outbox.busy(): // what has arrived is to be noted
			wait = busyWait
		}
		select {
		case <-time.After(wait):
		case <-wake:
		case <-ctx.Done():
		}
	}
	return nil
}

// finish sends what is left, for so long at most.
func (s *sending) finish(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := s.send(ctx, true)
	if errors.Is(err, errState) {
		return err
	}
	if s.leads() && (err != nil || s.outbox.busy()) {
		s.log.Warn("results are left for the next start, or for another processor", "messages", len(s.outbox.bundles), "error", err)
	}
	return nil
}

// send sends what waits, with all until it has arrived.
func (s *sending) send(ctx context.Context, all bool) error {
	s.mu.Lock()
	fresh, decided := s.fresh, s.decided
	s.fresh = nil
	s.mu.Unlock()
	for _, b := range fresh {
		s.outbox.add(b)
	}
	leads, last := s.leads(), s.last.Load()
	defer func() {
		s.full.Store(leads && last != nil && !s.outbox.behind() && len(s.outbox.bundles) > mostWaiting)
	}()
	s.metrics.lead(leads)
	quiet := last == nil || !last.pending && time.Since(last.heard) > tickEvery
	if leads && quiet && time.Since(s.ticked) > tickEvery {
		ticking, cancel := context.WithTimeout(ctx, asking)
		defer cancel()
		if err := bus.Tick(ticking, s.js); err != nil {
			return err
		}
		s.ticked = time.Now()
	}
	if last == nil {
		return nil // it is not known yet how far the events are
	}
	if !leads && len(s.outbox.flying) > 0 { // it led until now
		s.outbox.ground()
	}
	if s.outbox.behind() && leads || !leads && time.Since(s.followed) > followEvery {
		s.followed = time.Now()
		if err := s.outbox.follow(ctx, last.stored, decided); err != nil {
			return err
		}
	}
	if !leads {
		return nil
	}
	return s.outbox.send(ctx, all)
}

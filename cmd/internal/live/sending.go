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

	heard   atomic.Pointer[time.Time] // when something was read last, by this machine's clock
	stored  atomic.Pointer[time.Time] // when the stream had stored that; nil: nothing was read yet
	waiting atomic.Int64              // bundles
	wake    chan struct{}

	mu    sync.Mutex
	fresh []*disk.Bundle // committed since
}

func newSending(js jetstream.JetStream, store *disk.Store, m *Metrics, o *Options) (*sending, error) {
	out, err := openOutbox(js, store, o.Log)
	return &sending{js: js, leads: o.Leads, log: o.Log, metrics: m, outbox: out, wake: make(chan struct{}, 1)}, err
}

// read notes that a message was read.
func (s *sending) read(stored time.Time) {
	now := time.Now()
	s.heard.Store(&now)
	s.stored.Store(&stored)
}

// committed notes what a turn has added.
func (s *sending) committed(bundles []disk.Bundle) {
	if len(bundles) == 0 {
		return
	}
	s.waiting.Add(int64(len(bundles)))
	s.mu.Lock()
	for i := range bundles {
		s.fresh = append(s.fresh, &bundles[i])
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// crowded reports whether so much waits that no more should be read.
func (s *sending) crowded() bool { return s.waiting.Load() > mostWaiting && s.leads() }

// run works until ctx ends. An error is one that waiting does not mend: of the state.
func (s *sending) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := s.send(ctx, false)
		if errors.Is(err, errState) {
			return err
		}
		s.metrics.sends(err)
		wait := idleWait
		switch {
		case err != nil:
			if wait = time.Second; ctx.Err() == nil {
				s.log.Warn("results cannot be sent now", "error", err)
			}
		case s.outbox.busy(): // what has arrived is to be noted
			wait = busyWait
		}
		select {
		case <-time.After(wait):
		case <-s.wake:
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
	if err != nil && !errors.Is(err, errState) {
		s.log.Warn("results are left for the next start, or for another processor", "error", err)
		return nil
	}
	return err
}

// send sends what waits, with all until it has arrived.
func (s *sending) send(ctx context.Context, all bool) error {
	s.mu.Lock()
	fresh := s.fresh
	s.fresh = nil
	s.mu.Unlock()
	for _, b := range fresh {
		s.outbox.add(b)
	}
	defer func() {
		s.mu.Lock()
		s.waiting.Store(int64(len(s.outbox.bundles) + len(s.fresh)))
		s.mu.Unlock()
	}()
	leads := s.leads()
	s.metrics.lead(leads)
	if leads && time.Since(s.lastHeard()) > tickEvery && time.Since(s.ticked) > tickEvery {
		ticking, cancel := context.WithTimeout(ctx, asking)
		defer cancel()
		if err := bus.Tick(ticking, s.js); err != nil {
			return err
		}
		s.ticked = time.Now()
	}
	stored := s.stored.Load()
	if stored == nil {
		return nil // it is not known yet how far the events are
	}
	if !leads && len(s.outbox.flying) > 0 { // it led until now
		s.outbox.ground()
	}
	if s.outbox.behind() && leads || !leads && time.Since(s.followed) > followEvery {
		s.followed = time.Now()
		if err := s.outbox.follow(ctx, *stored); err != nil {
			return err
		}
	}
	if !leads {
		return nil
	}
	return s.outbox.send(ctx, all)
}

func (s *sending) lastHeard() (at time.Time) {
	if h := s.heard.Load(); h != nil {
		at = *h
	}
	return at
}

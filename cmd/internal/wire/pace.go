package wire

import (
	"context"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// paceStep is the most event time that is handed on at once when a replay is
// paced.
const paceStep = 100 * time.Millisecond

// pacer hands events on at a multiple of the speed at which they happened.
// Speed 0 is as fast as it goes.
type pacer struct {
	speed float64
	push  func(b *event.Batch, now event.Time) error
	began time.Time
	first event.Time
	last  event.Time // the newest event time so far: late events do not wait
}

// emit hands a batch on in pieces of at most paceStep, each when it is due.
func (p *pacer) emit(ctx context.Context, b *event.Batch, now event.Time) error {
	if p.speed == 0 {
		return p.push(b, now)
	}
	for from := 0; from < len(b.Events); {
		p.last = max(p.last, b.Events[from].Time)
		to := from + 1
		for to < len(b.Events) && b.Events[to].Time < p.last.Add(paceStep) {
			to++
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
		// Pieces share the payloads of the batch, which its receiver owns.
		if err := p.push(&event.Batch{Events: b.Events[from:to:to]}, now); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (p *pacer) wait(ctx context.Context) error {
	if p.began.IsZero() {
		p.began, p.first = time.Now(), p.last
	}
	due := time.Duration(float64(p.last.Sub(p.first)) / p.speed)
	timer := time.NewTimer(due - time.Since(p.began))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

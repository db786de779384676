package fanout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sennit-io/sennit/sinks"
)

const (
	// workingEvery is how often a source is told that a batch is being written. It
	// hands out again what it has not heard of for several times as long.
	workingEvery = 3 * time.Second
	// grace is how long a write may go on when the lane is to end.
	grace = 5 * time.Second
)

// deliver writes a batch and settles each of its records.
func (l *Lane) deliver(ctx context.Context, from source, batch []Delivery) {
	wanted := batch[:0:0]
	for i := range batch {
		if l.Wants != nil && !l.Wants(&batch[i].Record) {
			l.ignored.Add(1)
			l.settle(&batch[i], Verdict{Fate: Done})
			continue
		}
		wanted = append(wanted, batch[i])
	}
	if len(wanted) == 0 {
		return
	}
	err := l.write(ctx, from, wanted)
	var failures sinks.Failures
	all := err != nil && !errors.As(err, &failures)
	failed := make(map[int]*sinks.Failure, len(failures))
	for i := range failures {
		failed[failures[i].Index] = &failures[i]
	}
	for i := range wanted {
		f := failed[i]
		if all {
			f = &sinks.Failure{Err: err}
		}
		l.judge(&wanted[i], f)
	}
}

// write calls the sink, and tells the source meanwhile that it is being called.
func (l *Lane) write(ctx context.Context, from source, batch []Delivery) error {
	// A write that has begun may end, within reason.
	ended := ctx
	ctx, cancel := context.WithCancel(context.WithoutCancel(ended))
	defer context.AfterFunc(ended, func() { time.AfterFunc(grace, cancel) })()
	var telling sync.WaitGroup
	telling.Go(func() {
		for pause(ctx, workingEvery); ctx.Err() == nil; pause(ctx, workingEvery) {
			_ = from.Working() // at worst something comes twice
		}
	})
	defer telling.Wait()
	defer cancel()
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	records := make([]sinks.Record, len(batch))
	for i := range batch {
		records[i] = batch[i].Record
	}
	return l.Sink.Write(ctx, records)
}

// judge settles a delivery that failed, or that did not (nil).
func (l *Lane) judge(d *Delivery, f *sinks.Failure) {
	k := key{d.Kind, d.ID}
	if f == nil {
		l.waits.remove(k, d.Revision)
		if l.settle(d, Verdict{Fate: Done}) {
			l.delivered.Add(1)
			l.last.Store(time.Now().UnixNano())
		}
		return
	}
	l.failed(f.Err)
	why := f.Err
	if age := time.Since(d.Since); !f.Permanent && age >= l.MaxAge {
		f.Permanent, why = true, fmt.Errorf("given up after %v: %w", age.Round(time.Second), f.Err)
	}
	if f.Permanent {
		l.waits.remove(k, d.Revision)
		if l.settle(d, Verdict{Fate: Dead, Why: why}) {
			l.dead.Add(1)
			l.Log.Error("a result cannot be delivered", "sink", l.Name, "id", d.ID, "revision", d.Revision, "error", why)
		}
		return
	}
	after := l.spread(l.backoff(d.Attempt))
	if asked := min(f.After, l.MaxAge); asked > 0 {
		after = asked + l.spread(l.FirstRetry)
		l.rest = time.Now().Add(asked) // it goes for all
	}
	if l.again(d, after) {
		l.retried.Add(1)
	}
}

// again has a delivery come again.
func (l *Lane) again(d *Delivery, after time.Duration) bool {
	after = max(after, 0)
	l.waits.add(key{d.Kind, d.ID}, d.Revision, time.Now().Add(after))
	return l.settle(d, Verdict{Fate: Again, After: after})
}

// backoff is the pause after so many attempts.
func (l *Lane) backoff(attempt int) time.Duration {
	d := l.FirstRetry
	for range attempt - 1 {
		if d *= 2; d >= l.LastRetry {
			return l.LastRetry
		}
	}
	return d
}

// spread makes a pause shorter by chance, by up to half, so that not all that failed
// together comes again together.
func (l *Lane) spread(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// settle tells the source, and reports whether it heard.
func (l *Lane) settle(d *Delivery, v Verdict) bool {
	if err := d.Settle(v); err != nil {
		l.Log.Warn("a result may be delivered twice", "sink", l.Name, "id", d.ID, "error", err)
		return false
	}
	return true
}

package live

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/tables"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// evidence hands a sink the events that the bus has, each by itself. An envelope is
// settled when all of its events are; what is to be tried again waits here meanwhile,
// for the bus knows envelopes only.
type evidence struct {
	js       jetstream.JetStream
	sink     string
	consumer *bus.EventConsumer
	broken   bool // it is to be looked for anew

	opener bus.Opener
	ready  []fanout.Delivery // of the last envelope
	again  []waiting         // by due
	worked time.Time
	buf    []byte
}

type waiting struct {
	due time.Time
	d   fanout.Delivery
}

// mostAgain bounds what waits to be tried again; while there is as much, no
// further envelope is opened.
const mostAgain = 1000

func (e *evidence) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	c, err := bus.NewEventConsumer(ctx, e.js, e.sink)
	if err == nil { // what was not settled comes again
		e.consumer, e.broken, e.ready, e.again = c, false, nil, nil
	}
	return err
}

// Next implements the source of a lane.
func (e *evidence) Next(wait time.Duration) (d fanout.Delivery, ok bool, err error) {
	if e.broken {
		if err := e.connect(context.Background()); err != nil {
			return d, false, err
		}
	}
	if len(e.again) > 0 && time.Since(e.worked) > workEvery {
		e.worked = time.Now()
		_ = e.consumer.Working() // at worst something comes twice
	}
	if len(e.again) > 0 && time.Until(e.again[0].due) <= 0 {
		d, e.again = e.again[0].d, e.again[1:]
		d.Attempt++
		return d, true, nil
	}
	if len(e.ready) == 0 && len(e.again) < mostAgain {
		if err := e.open(wait); err != nil {
			e.broken = true
			return d, false, err
		}
	} else if len(e.ready) == 0 {
		time.Sleep(min(wait, max(time.Until(e.again[0].due), 0)))
	}
	if len(e.ready) == 0 {
		return d, false, nil
	}
	d, e.ready = e.ready[0], e.ready[1:]
	d.Attempt++
	return d, true, nil
}

// workEvery is how often the bus is told that what waits is not forgotten.
const workEvery = 3 * time.Second

// open reads the next envelope. One that cannot be read is buried by the processor;
// here it is passed over.
func (e *evidence) open(wait time.Duration) error {
	m, ok, err := e.consumer.Next(wait)
	if err != nil || !ok {
		return err
	}
	var b event.Batch
	if !m.Tick && m.Err == nil {
		if _, err := e.opener.Open(m.Data, &b); err != nil && !errors.Is(err, bus.ErrPoison) {
			return err
		}
	}
	p := &parcel{done: m.Done}
	for i := range b.Events {
		ev := &b.Events[i]
		if ev.Node != "" && ev.Node != m.Node || !tables.InEvents(ev) { // the processor counts what is forged
			continue
		}
		e.buf = ev.AppendJSON(e.buf[:0])
		d := fanout.Delivery{Record: sinks.Record{Kind: sinks.Event, ID: ev.ID.String(), Data: slices.Clone(e.buf)}, Since: m.Stored}
		e.settle(&d, p)
		e.ready = append(e.ready, d)
		p.left++
	}
	if p.left == 0 {
		return m.Done()
	}
	return nil
}

// settle gives a delivery its way back.
func (e *evidence) settle(d *fanout.Delivery, p *parcel) {
	c, record := e.consumer, d.Record
	since, attempt := d.Since, 0
	d.Settle = func(v fanout.Verdict) error {
		switch v.Fate {
		case fanout.Again:
			if c != e.consumer {
				return nil // the envelope comes again as a whole
			}
			attempt++
			one := waiting{time.Now().Add(v.After), fanout.Delivery{Record: record, Since: since, Attempt: attempt}}
			one.d.Settle = d.Settle
			at, _ := slices.BinarySearchFunc(e.again, one, func(a, b waiting) int { return a.due.Compare(b.due) })
			e.again = slices.Insert(e.again, at, one)
			return nil
		case fanout.Dead:
			ctx, cancel := context.WithTimeout(context.Background(), asking)
			defer cancel()
			if err := c.Bury(ctx, record.ID, record.Data, v.Why); err != nil {
				return err
			}
		}
		return p.settled()
	}
}

// parcel is a message of several records, which one goroutine settles.
type parcel struct {
	left int
	done func() error
}

// settled says that one more record needs nothing more; with the last the message is
// done.
func (p *parcel) settled() error {
	if p.left--; p.left > 0 {
		return nil
	}
	return p.done()
}

// Backlog implements the source of a lane: envelopes.
func (e *evidence) Backlog() (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), asking)
	defer cancel()
	return e.consumer.Backlog(ctx)
}

// both is what a sink has of results and of events, of each in turn.
type both struct {
	results  *results
	evidence *evidence
	events   bool // it is their turn
}

// Next implements the source of a lane.
func (b *both) Next(wait time.Duration) (d fanout.Delivery, ok bool, err error) {
	if len(b.evidence.ready) > 0 { // of an envelope that is open
		return b.evidence.Next(wait)
	}
	first, second := b.results.Next, b.evidence.Next
	if b.events = !b.events; b.events {
		first, second = second, first
	}
	if d, ok, err = first(time.Millisecond); ok || err != nil {
		return d, ok, err
	}
	return second(wait)
}

// Backlog implements the source of a lane.
func (b *both) Backlog() (uint64, error) {
	n, err := b.results.Backlog()
	if err != nil {
		return 0, err
	}
	more, err := b.evidence.Backlog()
	return n + more, err
}

// Working implements the source of a lane.
func (b *both) Working() error {
	return errors.Join(b.results.Working(), b.evidence.consumer.Working())
}

package live

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// lane serves a sink from the bus, which keeps what the sink has not taken.
type lane struct {
	*fanout.Lane
	results  *results
	evidence *evidence // nil: the sink takes no events
}

// openLane finds the sink's place in the stream, or makes one, before anything that
// is for it can be sent.
func openLane(ctx context.Context, js jetstream.JetStream, c fanout.Config) (*lane, error) {
	r := &results{js: js, sink: c.Name}
	for _, k := range c.Takes {
		if k != sinks.Event {
			r.kinds = append(r.kinds, bus.Out(k))
		}
	}
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	l := &lane{Lane: fanout.New(c), results: r}
	if slices.Contains(c.Takes, sinks.Event) {
		l.evidence = &evidence{js: js, sink: c.Name}
		if err := l.evidence.connect(ctx); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *lane) run(ctx context.Context) error {
	l.results.broken = true // what was fetched the last time may be with another processor now
	if l.evidence == nil {
		return l.Run(ctx, l.results)
	}
	l.evidence.broken = true
	return l.Run(ctx, &both{results: l.results, evidence: l.evidence})
}

// results hand a sink what the bus has for it.
type results struct {
	js       jetstream.JetStream
	sink     string
	kinds    []bus.Out
	consumer *bus.Consumer
	broken   bool // it is to be looked for anew
}

// asking is how long the bus may take for an answer.
const asking = 5 * time.Second

func (r *results) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	c, err := bus.NewConsumer(ctx, r.js, r.sink, r.kinds...)
	if err == nil {
		r.consumer, r.broken = c, false
	}
	return err
}

// Next implements the source of a lane.
func (r *results) Next(wait time.Duration) (d fanout.Delivery, ok bool, err error) {
	if r.broken {
		if err := r.connect(context.Background()); err != nil {
			return d, false, err
		}
	}
	one, ok, err := r.consumer.Next(wait)
	if r.broken = err != nil; r.broken || !ok {
		return d, false, err
	}
	return fanout.Delivery{
		Record: sinks.Record{Kind: sinks.Kind(one.Kind), ID: one.ID, Revision: one.Revision, Data: one.Data},
		Since:  one.Stored, Attempt: one.Attempt,
		Settle: func(v fanout.Verdict) error {
			switch v.Fate {
			case fanout.Done:
				return one.Done()
			case fanout.Again:
				return one.Again(v.After)
			case fanout.Dead:
				ctx, cancel := context.WithTimeout(context.Background(), asking)
				defer cancel()
				return one.Dead(ctx, v.Why)
			}
			return fmt.Errorf("settle a result for %s: there is no fate %d", r.sink, v.Fate)
		},
	}, true, nil
}

// Backlog implements the source of a lane.
func (r *results) Backlog() (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), asking)
	defer cancel()
	return r.consumer.Backlog(ctx)
}

// Working implements the source of a lane.
func (r *results) Working() error { return r.consumer.Working() }

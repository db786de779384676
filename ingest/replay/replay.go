package replay

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/schemas/event"
)

// BatchEvents is the largest number of events in a batch that Run hands on.
const BatchEvents = 1024

// Run reads what the options name and calls emit with all events in order,
// from the calling goroutine.
//
// A batch, and everything it points to, belongs to its receiver: it is never
// used again here, and its payloads come from chunks of 64 of a kind, so that
// whoever keeps one event keeps at most the chunk of its payload. now is the
// newest arrival time so far with OrderArrival, and 0 with OrderEvent, where
// nothing is known of arrival.
//
// Run returns when everything has been handed on, or with the first error of
// emit as it is, the context's, a *PathError, ErrNothingRead, or one of sorting
// to disk. A file that cannot be read whole is no error: the Result names it.
// The Result is complete as far as Run came, also with an error.
func Run(ctx context.Context, o Options, emit func(b *event.Batch, now event.Time) error) (Result, error) {
	o.setDefaults()
	return run(ctx, &o, emit)
}

func run(ctx context.Context, o *Options, emit func(*event.Batch, event.Time) error) (res Result, err error) {
	in, skipped, err := find(o.Paths)
	if err != nil {
		return res, err
	}
	res.Skipped = skipped
	c := newCollector(o, &res, in)
	defer func() {
		if cerr := c.disk.Close(); err == nil {
			err = cerr
		}
	}()

	if err := c.read(ctx, in); err != nil {
		return res, err
	}
	if err := c.handOn(ctx, emit); err != nil {
		return res, err
	}
	c.progress(Progress{Phase: PhaseEmit, Bytes: c.before}, true)
	if res.Events == 0 {
		return res, ErrNothingRead
	}
	return res, nil
}

// read runs the pipeline: one goroutine reads, some decode, this one collects.
func (c *collector) read(ctx context.Context, in []input) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := newPipeline(c.o.Workers)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.read(ctx, in, c.o.Stdin) })
	for range c.o.Workers {
		g.Go(func() error {
			w := newWorker(c.o.Order, c.o.Redact)
			for j := range p.work {
				j.out = w.block(&j.block)
				j.ready <- struct{}{}
			}
			return nil
		})
	}
	err := c.collect(ctx, p)
	cancel()
	if werr := g.Wait(); err == nil {
		err = werr
	}
	return err
}

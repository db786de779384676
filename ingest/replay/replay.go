package replay

import (
	"context"

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

func run(context.Context, *Options, func(*event.Batch, event.Time) error) (Result, error) {
	return Result{}, ErrNothingRead
}

package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// deliverFor is how long a sink that is away is waited for.
const deliverFor = time.Minute

// deliver brings the alerts to the sinks, to all at once, and says what each took.
func deliver(ctx context.Context, to []fanout.Config, alerts []alert.Alert, messages io.Writer) error {
	lanes, queues, errs := make([]*fanout.Lane, len(to)), make([]*fanout.Queue, len(to)), make([]error, len(to))
	var all sync.WaitGroup
	for i, c := range to {
		c.MaxAge, c.LastRetry = deliverFor, deliverFor/4
		lanes[i], queues[i] = fanout.New(c), fanout.NewQueue(records(alerts))
		all.Go(func() { errs[i] = errors.Join(lanes[i].Run(ctx, queues[i]), lanes[i].Close()) })
	}
	all.Wait()
	for i, l := range lanes {
		st := l.Status()
		fmt.Fprintf(messages, "sink        %s: %d delivered, %d dead, %d ignored\n", l.Name, st.Delivered, st.Dead, st.Ignored)
		if err := errors.Join(errs[i], queues[i].Err()); err != nil {
			errs[i] = fmt.Errorf("deliver to %s: %w", l.Name, err)
		}
	}
	return errors.Join(errs...)
}

func records(alerts []alert.Alert) iter.Seq2[sinks.Record, error] {
	return func(yield func(sinks.Record, error) bool) {
		for i := range alerts {
			a := &alerts[i]
			if !yield(sinks.Record{Kind: sinks.Alert, ID: a.ID, Revision: a.Revision, Data: a.AppendJSON(nil)}, nil) {
				return
			}
		}
	}
}

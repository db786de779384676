package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// Sink takes the events of a live source. It returns nil once they are as safe
// as they will get: what waits for an acknowledgement upstream gets it then and
// not before. Until it returns the batch and its payloads are the sink's; then
// the source fills them again, so what is to be kept is encoded or copied by
// then. It may be called from several goroutines at once.
//
// A sink that has no room blocks until it has, or until ctx ends, or returns
// ErrBusy: the source then slows down whoever sends to it. After any error none
// of the batch counts as taken and the source brings the events again if it can;
// sinks meet the same event twice.
type Sink func(ctx context.Context, b *event.Batch) error

// ErrBusy says that there is no room for more events now, but will be soon.
var ErrBusy = errors.New("no room for more events now")

// busyPause is after how long a sink that was busy is asked again.
const busyPause = 50 * time.Millisecond

// Hand gives a batch to a sink, again and again while it is busy: meanwhile whoever
// is upstream keeps what it can, and says what it could not. When ctx ends the sink
// gets as long as drain for what it was given. The error is the sink's, or that of
// the end.
func Hand(ctx context.Context, sink Sink, b *event.Batch, drain time.Duration) error {
	handing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drain, cancel) })()
	for {
		err := sink(handing, b)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-handing.Done():
			return handing.Err()
		}
	}
}

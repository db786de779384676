package ingest

import (
	"context"
	"errors"

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

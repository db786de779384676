// Package state keeps what the engine must not lose. The engine works in
// memory and hands each step over as one Batch; a Store makes it durable, all
// of it or nothing.
package state

import (
	"errors"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// ErrNotFound is returned for a timeline nobody has.
var ErrNotFound = errors.New("no such timeline")

// Batch is one step of the engine: the revisions it decided, in the order of
// their ids, and how far event time has got.
type Batch struct {
	Watermark event.Time
	Outbox    []*timeline.Timeline
}

// Store keeps batches. Commit is called from one goroutine, Timeline from any.
type Store interface {
	// Commit makes a batch durable before it returns. After an error nothing of
	// the batch may be delivered.
	Commit(b Batch) error
	// Timeline returns the last committed revision, or ErrNotFound.
	Timeline(id string) (*timeline.Timeline, error)
}

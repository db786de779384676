// Package sinks is where results leave. A package below it per receiver writes
// what the fan-out hands to it; the fan-out batches, retries and keeps the dead
// letters for all of them.
package sinks

import (
	"context"
	"fmt"
	"time"
)

// Kind tells what a record is of.
type Kind byte

// Kinds of records.
const (
	Timeline Kind = 't' // one revision of a timeline
	Alert    Kind = 'a' // one revision of an alert
	Event    Kind = 'e' // one event as it came; its revision is 0
)

// Record is one result on its way out.
type Record struct {
	Kind     Kind
	ID       string // of the timeline, the alert or the event
	Revision uint32 // a higher one of the same id takes the place of a lower one
	Data     []byte // its published JSON, on one line; not to be kept or changed
}

// Sink is one receiver of results. Records come at least once, those of one id in
// the order of their revisions unless one was retried: a sink must tell by id and
// revision what it has. Each states in its doc comment what it guarantees. Write is
// not called by two goroutines at once.
type Sink interface {
	// Write delivers a batch. Nil says that all of it is safe with the receiver, a
	// Failures that all of it is but those named; after another error nothing is
	// known, and all of the batch comes again.
	Write(ctx context.Context, batch []Record) error
	// Close gives back what the sink holds; nothing is written after it.
	Close() error
}

// Idler is a sink that holds records back for company. It is told now and then that
// nothing comes.
type Idler interface {
	Idle(ctx context.Context) error
}

// Failures are the records of a batch that were not delivered.
type Failures []Failure

// Failure is one record that was not delivered.
type Failure struct {
	Index     int // in the batch
	Err       error
	Permanent bool          // trying again will not help: it is a dead letter
	After     time.Duration // the receiver asked to wait so long, 0 for not
}

// Error describes the first failure and how many there are.
func (f Failures) Error() string {
	switch len(f) {
	case 0:
		return "no record failed"
	case 1:
		return f[0].Err.Error()
	}
	return fmt.Sprintf("%v (and %d more)", f[0].Err, len(f)-1)
}

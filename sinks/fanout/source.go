package fanout

import (
	"time"

	"github.com/sennit-io/sennit/sinks"
)

// Delivery is one record on its way to a sink.
type Delivery struct {
	sinks.Record
	Since   time.Time // it has been on its way
	Attempt int       // how often it was handed out, this time included
	// Settle tells the source what became of it. What is never settled is handed out
	// again some time.
	Settle func(Verdict) error
}

// Fate is what became of a delivery.
type Fate byte

// Fates.
const (
	Done  Fate = iota // the sink has it
	Again             // it is to be handed out again, After a while
	Dead              // it cannot be delivered, Why
)

// Verdict is a fate with what belongs to it.
type Verdict struct {
	Fate  Fate
	After time.Duration
	Why   error
}

// source hands out the records for one sink.
type source interface {
	// Next waits for the next delivery, at most for as long; ok is false if none
	// came. io.EOF says that there will be no more; after another error Next may be
	// called again a little later.
	Next(wait time.Duration) (d Delivery, ok bool, err error)
	// Backlog is how many records are not settled for good.
	Backlog() (uint64, error)
	// Working says that what was handed out is being worked on. It is called from
	// another goroutine.
	Working() error
}

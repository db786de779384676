package bind

import (
	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// Out is what one step of bind found. The receiver empties it with Reset.
type Out struct {
	Rows      []correlate.Row
	Links     []correlate.Link
	Aliases   []correlate.Alias
	Offers    []Offer
	Unmatched []correlate.Unmatched
	Doubts    []correlate.Doubt
	// Fates counts the events whose fate is settled here; those in Rows are
	// counted by stitch. Joins counts, by method, connection evidence that was
	// joined without becoming a step.
	Fates [correlate.Fates]uint64
	Joins [correlate.Methods]uint64
	// Derived counts the peer traces that were taken in.
	Derived uint64
}

// Reset empties the lists and counters for reuse, but for offers that nobody has
// taken yet.
func (o *Out) Reset() {
	clear(o.Rows)
	clear(o.Unmatched)
	clear(o.Doubts)
	*o = Out{
		Rows: o.Rows[:0], Links: o.Links[:0], Aliases: o.Aliases[:0], Offers: o.Offers, Unmatched: o.Unmatched[:0],
		Doubts: o.Doubts[:0],
	}
}

func (o *Out) unmatched(e *event.Event, fate correlate.Fate) {
	o.Fates[fate]++
	o.Unmatched = append(o.Unmatched, correlate.Unmatched{Event: e, Fate: fate})
}

// Ablation breaks the engine on purpose, one rule at a time. It exists for the
// test that the scorer notices; nothing else sets it.
type Ablation struct {
	NoIntervals    bool // ports and pids are taken to be used once
	NoSockExpiry   bool // a sock address is taken to hold for ever
	NearestSpan    bool // what has no key goes to the span nearest in time
	NoDedupe       bool // an event seen twice happened twice
	TraceIsRequest bool // a trace id is taken to be one request
}

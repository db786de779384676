// Package ingest holds what all sources share. Each package below it turns the
// foreign records of one source into events and does nothing else.
package ingest

import "errors"

// ErrUnknownType marks a well-formed record of a kind that Sennit does not
// read. It is counted, and is not "bad".
var ErrUnknownType = errors.New("unknown record type")

// Tally counts records: a flow, a Tetragon event, a span, a log entry. Each
// record gives exactly one event, or is bad, or is of an unknown type:
// In = events + Bad + UnknownType.
type Tally struct {
	In, Bad, UnknownType int
}

// Add sums two tallies.
func (t *Tally) Add(u Tally) {
	t.In += u.In
	t.Bad += u.Bad
	t.UnknownType += u.UnknownType
}

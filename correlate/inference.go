package correlate

import (
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Inference is what an inferred rung found: how sure it is and what else was
// possible. What hangs on an inferred join (a process's children, the packets
// of a call) shares its Inference: a chain is as sure as its weakest link.
type Inference struct {
	Method     Method
	Confidence float64 // posterior, 0..1, three decimals
	Candidates uint32
	Evidence   string
	// Rejected are the best of the other candidates, at most MaxRejected.
	Rejected []Candidate
}

// Candidate is a request that a call may belong to. The confidences of all
// candidates and of "none of them" add up to 1.
type Candidate struct {
	Key        Key
	Confidence float64
}

// MaxRejected bounds the candidates that are kept beside a join.
const MaxRejected = 3

// MaxCandidates bounds those that are kept of an event in doubt.
const MaxCandidates = 8

// Doubt is an event that may belong to any of several requests, none of them
// likely enough.
type Doubt struct {
	Event      *event.Event
	Candidates []Candidate // by falling confidence, at most MaxCandidates
}

// Named gives the candidates the ids of their keys' first timelines.
func Named(list []Candidate) []timeline.Candidate {
	out := make([]timeline.Candidate, 0, len(list))
	for _, c := range list {
		out = append(out, timeline.Candidate{TimelineID: c.Key.String(), Confidence: c.Confidence})
	}
	return out
}

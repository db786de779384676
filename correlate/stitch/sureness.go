package stitch

import (
	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// sureness says how sure it is that what came under a key belongs to the
// request. Keys that were brought together by an inferred join are as sure as
// that: a chain is as sure as its weakest link.
type sureness map[correlate.Key]*correlate.Inference

// weigh finds the surest way from the request's own key to every other.
func (s *sureness) weigh(aliases []correlate.Alias, own correlate.Key) {
	clear(*s)
	inferred := false
	for i := range aliases {
		inferred = inferred || aliases[i].Inferred != nil
	}
	if !inferred {
		return
	}
	if *s == nil {
		*s = make(sureness)
	}
	for i := range aliases { // a balancer's request hangs on the one it caused, which the rest is about
		if a := &aliases[i]; a.Method == correlate.EdgeWindow && a.Inferred != nil && a.B == own {
			own = a.A
			break
		}
	}
	reached := map[correlate.Key]bool{own: true}
	for changed := true; changed; {
		changed = false
		step := func(from, to correlate.Key, by *correlate.Inference) {
			if !reached[from] {
				return
			}
			way := weaker((*s)[from], by)
			if !reached[to] || weaker(way, (*s)[to]) != way && way != (*s)[to] {
				reached[to], (*s)[to], changed = true, way, true
			}
		}
		for i := range aliases {
			a := &aliases[i]
			step(a.A, a.B, a.Inferred)
			step(a.B, a.A, a.Inferred)
		}
	}
}

// of returns the inference that a row's place rests on, nil if it is exact.
func (s sureness) of(r *correlate.Row) *correlate.Inference { return weaker(r.Inferred, s[r.Key]) }

// weaker returns the less sure of two; nil is exact.
func weaker(a, b *correlate.Inference) *correlate.Inference {
	if a == nil || b != nil && b.Confidence < a.Confidence {
		return b
	}
	return a
}

// rejected lists the requests that were less likely.
func rejected(i *correlate.Inference) []timeline.Rejected {
	list := []timeline.Rejected{}
	for _, c := range i.Rejected {
		list = append(list, timeline.Rejected{
			TimelineID: c.Key.String(), Method: i.Method.String(), Confidence: c.Confidence, Why: "less likely",
		})
	}
	return list
}

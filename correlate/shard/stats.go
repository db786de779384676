package shard

import (
	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/bind"
	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/correlate/stitch"
)

// Stats are the engine's counters. The law of conservation:
// In + Derived = Joined + Ambiguous + Ambient + Control + Duplicate + Late +
// the sum of Dropped + Held.
type Stats struct {
	Events    Events            `json:"events"`
	Timelines Timelines         `json:"timelines"`
	Joins     map[string]uint64 `json:"joins"` // joined events by method
	// Redated counts spans that their sender had dated ahead of when they came.
	Redated uint64 `json:"redated"`
	// Waiting is what the events that are held take as bytes.
	Waiting hold.Usage `json:"waiting"`
}

// Events counts events by their one final fate.
type Events struct {
	In        uint64            `json:"in"`
	Derived   uint64            `json:"derived"`
	Joined    uint64            `json:"joined"`
	Ambiguous uint64            `json:"ambiguous"`
	Ambient   uint64            `json:"ambient"`
	Control   uint64            `json:"control"`
	Duplicate uint64            `json:"duplicate"`
	Late      uint64            `json:"late"`
	Held      uint64            `json:"held"`
	Dropped   map[string]uint64 `json:"dropped"`
}

// Timelines counts timelines: Closed once each, Revised each later revision.
type Timelines struct {
	Closed     uint64 `json:"closed"`
	Open       uint64 `json:"open"`
	Revised    uint64 `json:"revised"`
	Superseded uint64 `json:"superseded"`
}

func (s *Stats) fate(f correlate.Fate, n uint64) {
	if n == 0 {
		return
	}
	ev := &s.Events
	switch f {
	case correlate.Joined:
		ev.Joined += n
	case correlate.Ambiguous:
		ev.Ambiguous += n
	case correlate.Ambient:
		ev.Ambient += n
	case correlate.Control:
		ev.Control += n
	case correlate.Duplicate:
		ev.Duplicate += n
	case correlate.Late:
		ev.Late += n
	case correlate.Dropped:
		if ev.Dropped == nil {
			ev.Dropped = make(map[string]uint64)
		}
		ev.Dropped["limit"] += n
	}
}

func (s *Stats) joins(by *[correlate.Methods]uint64) {
	for m, n := range by {
		if n == 0 {
			continue
		}
		if s.Joins == nil {
			s.Joins = make(map[string]uint64)
		}
		s.Joins[correlate.Method(m).String()] += n
	}
}

func (s *Stats) bind(o *bind.Out) {
	for f, n := range o.Fates {
		s.fate(correlate.Fate(f), n)
	}
	s.joins(&o.Joins)
	s.Events.Derived += o.Derived
}

func (s *Stats) stitch(o *stitch.Out) {
	for f, n := range o.Fates {
		s.fate(correlate.Fate(f), n)
	}
	s.joins(&o.Joins)
	s.Timelines.Closed += o.Closed
	s.Timelines.Revised += o.Revised
	s.Timelines.Superseded += o.Superseded
}

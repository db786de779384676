package wire

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Stats are the counters of one replay, in the names and order of --stats.
type Stats struct {
	ElapsedS    float64                `json:"elapsed_s"`
	CPUS        float64                `json:"cpu_s"` // user and system, of the whole process
	MaxRSSBytes uint64                 `json:"max_rss_bytes"`
	Sources     map[string]SourceStats `json:"sources"`
	Events      EventStats             `json:"events"`
	Timelines   TimelineStats          `json:"timelines"`
	Joins       map[string]uint64      `json:"joins"` // by method
}

// SourceStats count the records of one source: In = events + Bad + UnknownType.
type SourceStats struct {
	In           uint64 `json:"in"`
	Bad          uint64 `json:"bad"`
	UnknownType  uint64 `json:"unknown_type"`
	LostUpstream uint64 `json:"lost_upstream"` // what the source itself reports as lost
}

// EventStats count events, each by its one final fate.
type EventStats struct {
	In        uint64            `json:"in"`
	Derived   uint64            `json:"derived"`
	Joined    uint64            `json:"joined"`
	Ambiguous uint64            `json:"ambiguous"`
	Ambient   uint64            `json:"ambient"`
	Control   uint64            `json:"control"`
	Duplicate uint64            `json:"duplicate"`
	Late      uint64            `json:"late"`
	Held      uint64            `json:"held"`
	Dropped   map[string]uint64 `json:"dropped"` // by reason
}

// TimelineStats count timelines.
type TimelineStats struct {
	Closed     uint64 `json:"closed"`
	Open       uint64 `json:"open"`
	Revised    uint64 `json:"revised"`
	Superseded uint64 `json:"superseded"`
}

// newStats fills in what the reader counted; every source and every exact
// method is named, also with zeros.
func newStats(r *replay.Result) *Stats {
	s := &Stats{Sources: map[string]SourceStats{}, Joins: map[string]uint64{}, Events: EventStats{Dropped: map[string]uint64{}}}
	for i, c := range r.Sources {
		s.Sources[event.Source(i).String()] = SourceStats{uint64(c.In), uint64(c.Bad), uint64(c.UnknownType), c.LostUpstream}
	}
	for _, m := range timeline.ExactMethods {
		s.Joins[m] = 0
	}
	return s
}

// Events that the reader handed on, by its own account.
func (s *Stats) read() (events, bad, unknown uint64) {
	for _, c := range s.Sources {
		events += c.In - c.Bad - c.UnknownType
		bad += c.Bad
		unknown += c.UnknownType
	}
	return events, bad, unknown
}

// Check returns every conservation law that does not hold, in words; none is
// how it must be.
func (s *Stats) Check() []string {
	var broken []string
	if read, _, _ := s.read(); read != s.Events.In {
		broken = append(broken, fmt.Sprintf("the sources gave %d events (in - bad - unknown_type) and the engine took %d", read, s.Events.In))
	}
	e := &s.Events
	fates := e.Joined + e.Ambiguous + e.Ambient + e.Control + e.Duplicate + e.Late + e.Held
	for _, n := range e.Dropped {
		fates += n
	}
	if e.In+e.Derived != fates {
		broken = append(broken, fmt.Sprintf("in + derived is %d, the fates add up to %d", e.In+e.Derived, fates))
	}
	if e.Held != 0 {
		broken = append(broken, fmt.Sprintf("%d events are still held at the end", e.Held))
	}
	return broken
}

// Write writes the counters as one JSON object.
func (s *Stats) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return fmt.Errorf("write stats: %w", err)
	}
	return nil
}

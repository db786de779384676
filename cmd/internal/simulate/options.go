package simulate

import (
	"errors"
	"fmt"
	"time"
)

// ErrOptions is wrapped by every error about options that make no sense.
var ErrOptions = errors.New("bad simulation options")

// TraceContext says how far trace context travels on the wire.
type TraceContext string

// The three worlds: every instrumented service sends and takes over
// traceparent; none does and each starts its own trace; some do.
const (
	TraceAll   TraceContext = "all"
	TraceNone  TraceContext = "none"
	TraceMixed TraceContext = "mixed"
)

// Options describe a run. The zero value, completed by its defaults, is a small
// clean cluster; equal options give equal files.
type Options struct {
	Requests    int // requests that come in from outside, default 100
	Concurrency int // requests in flight, default 16
	InFlight    int // streams on one HTTP/2 connection, default Concurrency
	Nodes       int // default 4, at least 2

	TraceContext   TraceContext // default all
	Uninstrumented float64      // share of the services without spans, 0..1

	Noise float64 // background events for each event of a request, 0 and up
	Rogue float64 // share of the requests with a rogue act, 0..1

	Skew      time.Duration // each node's clock is off by up to this much either way
	Loss      float64       // share of the time in which a source of a node loses all, 0..0.5
	Late      float64       // share of the lines that come up to 30 s late, 0..1
	Duplicate float64       // share of the lines written twice, 0..1
	Reorder   float64       // share of the lines moved by up to 5 s, 0..1

	Seed uint64
	// Start is the event time at which the run begins, default
	// 2026-11-23T09:00:00Z.
	Start time.Time
	// ThinkTime is the mean pause of a client between two requests, default 200 ms.
	ThinkTime time.Duration
}

func (o Options) withDefaults() (Options, error) {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&o.Requests, 100)
	set(&o.Concurrency, 16)
	set(&o.InFlight, o.Concurrency)
	set(&o.Nodes, 4)
	if o.TraceContext == "" {
		o.TraceContext = TraceAll
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	}
	if o.ThinkTime == 0 {
		o.ThinkTime = 200 * time.Millisecond
	}
	switch {
	case o.Requests < 0 || o.Concurrency < 0 || o.InFlight < 0:
		return o, fmt.Errorf("%w: requests, concurrency and in-flight must be positive", ErrOptions)
	case o.Nodes < 2 || o.Nodes > 64:
		return o, fmt.Errorf("%w: %d nodes, want 2 to 64", ErrOptions, o.Nodes)
	case o.TraceContext != TraceAll && o.TraceContext != TraceNone && o.TraceContext != TraceMixed:
		return o, fmt.Errorf("%w: trace context %q, want all, none or mixed", ErrOptions, o.TraceContext)
	case o.Noise < 0 || o.Noise > 1000:
		return o, fmt.Errorf("%w: noise %v, want 0 to 1000", ErrOptions, o.Noise)
	case o.Skew < 0 || o.Skew > time.Minute || o.ThinkTime < 0:
		return o, fmt.Errorf("%w: skew %v, want 0 to 1m", ErrOptions, o.Skew)
	case o.Loss < 0 || o.Loss > 0.5:
		return o, fmt.Errorf("%w: loss %v, want 0 to 0.5", ErrOptions, o.Loss)
	}
	for name, v := range map[string]float64{
		"uninstrumented": o.Uninstrumented, "rogue": o.Rogue, "late": o.Late, "duplicate": o.Duplicate, "reorder": o.Reorder,
	} {
		if v < 0 || v > 1 {
			return o, fmt.Errorf("%w: %s %v, want 0 to 1", ErrOptions, name, v)
		}
	}
	return o, nil
}

// Summary counts what a run wrote.
type Summary struct {
	Requests   int            `json:"requests"`
	Events     int            `json:"events"`     // records of all sources, without duplicates and without what was lost
	Background int            `json:"background"` // of these, records of no request
	Facts      int            `json:"facts"`
	Files      int            `json:"files"`
	Bytes      int64          `json:"bytes"`
	Sources    map[string]int `json:"sources"` // records by source
	Lost       int            `json:"lost"`    // records never written
	Late       int            `json:"late"`    // lines, as the two below
	Duplicated int            `json:"duplicated"`
	Moved      int            `json:"moved"`
	// First and Last bound the run in event time.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

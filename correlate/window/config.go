package window

import "time"

// Config is every delay of the engine, all in event time.
type Config struct {
	// Quantum is the step in which event time advances. Shards exchange what
	// they found only between quanta, so results depend neither on how input
	// was cut into batches nor on the number of shards.
	Quantum time.Duration
	// Lateness is how much later than its event time an event may arrive and
	// still be decided in its place (Tetragon holds events for 30 s).
	Lateness time.Duration
	// Settle is how long after an event its neighbours are waited for before
	// it is decided: a span and its exchange end within milliseconds of each
	// other, Hubble stamps flows when it reads them.
	Settle time.Duration
	// Localize is when a served request that no trace id claimed gets a
	// timeline of its own.
	Localize time.Duration
	// Horizon is how long unbound evidence waits for its claim; AgentHorizon
	// where the workload has agent spans, since a tool may run that long
	// before its span comes.
	Horizon, AgentHorizon time.Duration
	// Silence closes a request whose root never ended.
	Silence time.Duration
	// Longest is the longest request.
	Longest time.Duration
	// Retention is how long a closed timeline takes in late evidence.
	Retention time.Duration
	// Idle and Lag say when a silent or a lagging sender no longer holds the
	// others up.
	Idle, Lag time.Duration
	// Ahead is how far an event time may lie beyond its observed time.
	Ahead time.Duration
	// Confidence is the least posterior probability with which an inferred join
	// is made, 0..1; below it the event is ambiguous.
	Confidence float64
	// InOrder promises that events are pushed in the order of event.Compare,
	// so that the newest one is the watermark.
	InOrder bool
}

// Default returns the delays of the design.
func Default() Config {
	return Config{
		Quantum:      100 * time.Millisecond,
		Lateness:     35 * time.Second,
		Settle:       2 * time.Second,
		Localize:     5 * time.Second,
		Horizon:      time.Minute,
		AgentHorizon: 15 * time.Minute,
		Silence:      2 * time.Minute,
		Longest:      2 * time.Hour,
		Retention:    time.Hour,
		Idle:         10 * time.Second,
		Lag:          2 * time.Minute,
		Ahead:        5 * time.Second,
		Confidence:   0.95,
	}
}

package live

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// decider gives turns to the engine that are in the state already, and judges what comes
// of them, in a goroutine of its own: a step of the engine takes many times as long as a
// commit, and nobody who publishes waits for it. What came of a turn is committed with a
// later one (docs/adr/0029).
type decider struct {
	opts    *Options
	store   *disk.Store
	metrics *Metrics
	engine  *shard.Engine
	watch   *detect.Watch

	jobs  chan job
	done  chan *outcome
	ended chan struct{}

	muted    bool     // what recovery finds was committed before
	current  *outcome // of the turn under way
	failure  error    // of the state
	reported time.Time

	mu   sync.Mutex
	past []*outcome // that are not in the state yet, oldest first
}

// job is a turn to be decided.
type job struct {
	turn   uint64
	pushes []disk.Push
	weight int
	stored time.Time // its last message, by the stream
}

// outcome is what came of a turn.
type outcome struct {
	turn    uint64
	decided []*timeline.Timeline
	told    []alert.Alert // of the alerts
	now     event.Time    // the engine's clock at its end
	stored  time.Time     // as in the job
	weight  int           // of the job
	err     error         // the engine stands still
}

func (o *outcome) empty() bool { return len(o.decided)+len(o.told) == 0 && o.err == nil }

const (
	// mostDeciding is how many events may wait to be decided, and be under way, before
	// no more are read.
	mostDeciding = 32 << 10
	// leastWeight is what a turn counts for at least.
	leastWeight = 64
)

// weigh is what a turn of so many events counts for.
func weigh(events int) int { return max(leastWeight, events) }

func (d *decider) start() {
	// There is room for all that may wait, and for one turn that is too large.
	d.jobs, d.done = make(chan job, mostDeciding/leastWeight+1), make(chan *outcome, mostDeciding/leastWeight+1)
	d.ended = make(chan struct{})
	go d.run()
}

// stop ends the goroutine once all that was given is decided.
func (d *decider) stop() {
	close(d.jobs)
	<-d.ended
}

func (d *decider) run() {
	defer close(d.ended)
	look := time.NewTicker(idleWait)
	defer look.Stop()
	for {
		select {
		case j, ok := <-d.jobs:
			if !ok {
				d.reported = time.Time{}
				d.report()
				return
			}
			d.done <- d.decide(j)
			d.report()
		case now := <-look.C:
			d.reload(now)
		}
	}
}

// decide pushes a turn.
func (d *decider) decide(j job) *outcome {
	d.begin(j.turn)
	for _, p := range j.pushes {
		d.push(&event.Batch{Events: p.Events}, p.Now)
	}
	o := d.end()
	o.weight, o.stored = j.weight, j.stored
	return o
}

func (d *decider) begin(turn uint64) { d.current = &outcome{turn: turn} }

// end returns what came of the turn that began.
func (d *decider) end() *outcome {
	o := d.current
	o.err = errors.Join(d.engine.Err(), d.failure)
	if !o.empty() {
		d.mu.Lock()
		d.past = append(d.past, o)
		d.mu.Unlock()
	}
	return o
}

// committed forgets what is in the state now, up to a turn.
func (d *decider) committed(turn uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.past = slices.DeleteFunc(d.past, func(o *outcome) bool { return o.turn <= turn })
}

// uncommitted calls f for what was decided and is not in the state, newest first, until
// it returns true.
func (d *decider) uncommitted(f func(o *outcome) bool) {
	if f(d.current) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range slices.Backward(d.past) {
		if f(o) {
			return
		}
	}
}

// report gives the counters to the metrics, now and then.
func (d *decider) report() {
	if time.Since(d.reported) < reportEvery {
		return
	}
	d.reported = time.Now()
	d.metrics.engine(d.engine)
	d.metrics.unjudged(d.watch.Lost())
}

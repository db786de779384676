package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/sennit-io/sennit/cmd/internal/spill"
	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Clock tells the engine's time from a message and its events. It must tell the same
// to whoever reads the stream.
type Clock func(m *bus.Message, events []event.Event) event.Time

// StreamClock is the time at which the stream stored a message. While nothing comes
// the processor that leads sends ticks.
func StreamClock(m *bus.Message, _ []event.Event) event.Time { return event.At(m.Stored) }

// Options of a processor.
type Options struct {
	Dir    string // of the state
	Shards int    // 0 for one a core
	Window window.Config
	Rules  *detect.Set // nil for none
	// Reload is where the rules come from, nil for a set that stays.
	Reload *RulesFolder
	Clock  Clock // nil for StreamClock
	// Leads tells whether this processor sends results and ticks. Nil for always.
	Leads func() bool
	Log   *slog.Logger
	// Tracer gets a span for each turn that is committed; nil for none.
	Tracer trace.Tracer
	// Keep is how long closed timelines can be looked up after their end, 0 for a
	// day.
	Keep time.Duration
	// Watch is given every revision and, if this processor leads, requests while they are
	// open (revision 0): those that have been for WatchEvery, at most as often; with 0 all,
	// at most once a second. Nil for nobody, and then nothing is made of what is open. It
	// must not change them, and hold nobody up.
	Watch      func(t *timeline.Timeline)
	WatchEvery time.Duration
	// Memory is how many bytes of waiting events stay in memory; the rest goes to a
	// file in Dir. 0 is no limit.
	Memory int64
	// Committed is told of what a turn has pushed as soon as it is in the state, and
	// how long that took; nil for nobody. The events must not be changed.
	Committed func(pushes []disk.Push, took time.Duration)
}

// A turn takes at most so much at once; one envelope more may come.
const (
	turnEvents  = 4096
	idleWait    = 200 * time.Millisecond
	busyWait    = 20 * time.Millisecond
	tickEvery   = 500 * time.Millisecond // while nothing else comes
	quietTurns  = time.Minute            // after so long a turn of ticks alone is committed too
	followEvery = 500 * time.Millisecond
	// deaf is after how long without a message, ticks included, the reader is made
	// anew: it may be one that the bus has forgotten.
	deaf      = 10 * time.Second
	syncEvery = time.Second
	// reportEvery is how often counters are given to the metrics.
	reportEvery = 100 * time.Millisecond
	// forget is how long after its last envelope a sender is remembered.
	forget = 24 * time.Hour
)

// Processor reads events from the bus, correlates them and sends the timelines and
// their alerts to the stream OUT. Several may work on one bus: each reads all events
// and decides the same, and the one that leads sends (docs/adr/0014).
type Processor struct {
	opts    Options
	js      jetstream.JetStream
	store   *disk.Store
	waiting *spill.File
	decider *decider
	unpack  unpacker
	metrics *Metrics

	batch    *event.Batch // the last one
	sending  *sending
	now      event.Time
	stored   time.Time // of the last message
	heard    time.Time // by this machine's clock
	commit   time.Time
	at       disk.Position
	prior    []disk.Push // ticks since the last commit: the last one counts
	pending  uint64      // messages behind the last one that was read, as far as is known
	deciding int         // the weight of what is being decided
	outcomes []*outcome  // decided, to be committed
	done     event.Time  // the engine's clock at the end of the turn at.Decided; 0: not known
	synced   time.Time
	syncing  chan error // of a Sync under way, nil for none
	reported time.Time
	results  []disk.Result // of the last turn, kept for their room
}

// NewProcessor opens the state and makes the engine what it was. Errors are
// those of disk.Open and of the bus.
func NewProcessor(js jetstream.JetStream, m *Metrics, o Options) (*Processor, error) {
	if o.Clock == nil {
		o.Clock = StreamClock
	}
	if o.Leads == nil {
		o.Leads = func() bool { return true }
	}
	if o.Shards == 0 {
		o.Shards = runtime.GOMAXPROCS(0)
	}
	if o.Tracer == nil {
		o.Tracer = noop.Tracer{}
	}
	if o.Keep == 0 {
		o.Keep = 24 * time.Hour
	}
	cfg := shard.DefaultConfig()
	cfg.Shards, cfg.Window = o.Shards, o.Window
	early := o.Rules.Early()
	if cfg.Live = early || o.Watch != nil; !early { // rules judge what is open at once
		cfg.LiveEvery = o.WatchEvery
	}
	w := cfg.Window
	store, err := disk.Open(o.Dir, disk.Options{Retention: w.Longest + w.Retention + w.AgentHorizon, Keep: o.Keep})
	if err != nil {
		return nil, err
	}
	waiting, err := spill.Open(o.Dir)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	cfg.Memory, cfg.Spill = o.Memory, waiting
	p := &Processor{opts: o, js: js, store: store, waiting: waiting, unpack: unpacker{sessions: bus.NewSessions(), counts: m}, metrics: m, at: store.Position(), batch: new(event.Batch)}
	p.decider = &decider{opts: &p.opts, store: store, metrics: m}
	p.decider.engine = shard.New(cfg, p.decider)
	p.decider.watch = detect.NewWatch(o.Rules, detect.Options{Early: true, Claim: w.AgentHorizon, Keep: w.Longest + w.Retention})
	m.rules(o.Rules)
	if p.sending, err = newSending(js, store, m, &p.opts); err == nil {
		err = p.recover()
	}
	if err != nil {
		return nil, errors.Join(err, store.Close(), waiting.Close())
	}
	return p, nil
}

// recover makes the engine what it was. What came of the last turns may not have been
// committed: that comes out of it anew.
func (p *Processor) recover() error {
	began, events, d := time.Now(), 0, p.decider
	if err := p.store.Sessions(p.unpack.sessions.Restore); err != nil {
		return err
	}
	d.begin(p.at.Turn)
	err := p.store.Recover(new(scan.Intern), func(turn uint64, now event.Time, envelope []byte, b *event.Batch) error {
		if envelope != nil {
			b = p.batch.Next()
			p.batch = b
			if _, err := p.unpack.opener.Open(envelope, b); err != nil {
				return fmt.Errorf("%w (%w)", disk.ErrDamaged, err)
			}
		}
		events += len(b.Events)
		d.muted = turn <= p.at.Decided
		d.push(b, now)
		return d.engine.Err()
	})
	d.muted = false
	p.wasDecided(d.end())
	p.now = p.at.Now
	if events > 0 {
		p.opts.Log.Info("recovered", "events", events, "turns", p.at.Turn, "undecided", p.at.Turn-p.at.Decided, "position", p.at.Sequence, "took", time.Since(began))
	}
	return err
}

// decide has a turn decided. While too much is under way, it waits.
func (p *Processor) decide(turn uint64, pushes []disk.Push, events int) {
	j := job{turn: turn, pushes: pushes, weight: weigh(events), stored: p.stored}
	for p.deciding > 0 && p.deciding+j.weight > mostDeciding {
		p.awaitDecided()
	}
	p.deciding += j.weight
	p.decider.jobs <- j
}

// awaitDecided waits until a turn more is decided.
func (p *Processor) awaitDecided() { p.wasDecided(<-p.decider.done) }

// wasDecided notes that a turn was decided. What nothing came of, the next commit says by
// the way.
func (p *Processor) wasDecided(o *outcome) {
	p.deciding -= o.weight
	if o.empty() && len(p.outcomes) == 0 {
		p.at.Decided, p.done = o.turn, o.now
		p.sending.committed(nil, o.stored)
	} else {
		p.outcomes = append(p.outcomes, o)
	}
}

// takeDecided takes what was decided meanwhile.
func (p *Processor) takeDecided() {
	for {
		select {
		case o := <-p.decider.done:
			p.wasDecided(o)
		default:
			return
		}
	}
}

// Timelines calls f with the canonical form of the closed timelines whose id begins
// so. It may be called from any goroutine while Run works.
func (p *Processor) Timelines(prefix string, f func(text []byte) error) error {
	return p.store.Timelines(prefix, f)
}

// Alerts calls f with the canonical form of what was last told of each alert of the
// last day, as Timelines does.
func (p *Processor) Alerts(f func(text []byte) error) error { return p.store.Alerts(f) }

// Close gives the state back without Run.
func (p *Processor) Close() error { return errors.Join(p.store.Close(), p.waiting.Close()) }

// Run works until ctx ends; then it finishes its turn, sends what it can, and
// returns nil. When the bus is away it waits. An error is one that waiting does
// not mend: of the state, or a stream that is not the one it read before.
func (p *Processor) Run(ctx context.Context) error {
	working, stop := context.WithCancel(ctx)
	p.decider.start()
	sent := make(chan error, 1)
	go func() {
		defer stop()
		sent <- p.sending.run(working)
	}()
	err := p.work(working)
	stop()
	if err = errors.Join(err, <-sent); err == nil {
		err = p.finish(context.WithoutCancel(ctx))
	}
	p.decider.stop()
	p.sending.outbox.close()
	p.metrics.ready(errors.New("ending"))
	if p.syncing != nil {
		err = errors.Join(err, <-p.syncing)
	}
	p.reported = time.Time{}
	p.report()
	return errors.Join(err, p.Close())
}

// work reads until ctx ends.
func (p *Processor) work(ctx context.Context) error {
	for ctx.Err() == nil {
		r, err := bus.NewReader(ctx, p.js, bus.Position{Sequence: p.at.Sequence, Created: p.at.Created})
		switch {
		case errors.Is(err, bus.ErrStream):
			return err
		case err != nil:
			p.away(ctx, err)
			if err := p.catchUp(); err != nil {
				return err
			}
			continue
		}
		p.metrics.ready(nil)
		p.heard = time.Now()
		err = p.read(ctx, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// catchUp commits what was decided, with nothing read.
func (p *Processor) catchUp() error { return errors.Join((&turn{p: p}).work(), p.sync()) }

// finish commits and sends what is under way.
func (p *Processor) finish(ctx context.Context) error {
	for p.deciding > 0 {
		p.awaitDecided()
	}
	if err := p.catchUp(); err != nil {
		return err
	}
	return p.sending.finish(ctx, 10*time.Second)
}

// away waits a little for the bus.
func (p *Processor) away(ctx context.Context, err error) {
	p.metrics.ready(fmt.Errorf("the bus is away, or refuses: %w", err))
	if ctx.Err() != nil {
		return
	}
	p.opts.Log.Warn("the bus is away", "error", err)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
}

// read works turn by turn. It returns nil when the reader has to be made anew.
func (p *Processor) read(ctx context.Context, r *bus.Reader) error {
	for ctx.Err() == nil {
		if p.sending.crowded() {
			time.Sleep(busyWait)
			if err := p.catchUp(); err != nil {
				return err
			}
			continue
		}
		t := turn{p: p, reader: r}
		err := t.collect()
		if lost := r.TakeLost(); lost > 0 {
			p.opts.Log.Error("the stream dropped messages before they were read: it needs more room, or the processor more speed", "messages", lost)
			p.metrics.envelope("dropped_by_stream", lost)
		}
		if err := t.work(); err != nil { // what was read before an error counts as read
			return err
		}
		if err != nil {
			p.away(ctx, err)
			return nil
		}
		p.metrics.ready(nil)
		if t.last == nil && time.Since(p.heard) > deaf { // else it is this processor that took so long
			p.opts.Log.Warn("nothing comes from the bus; the reader is made anew")
			return nil
		}
		if err := p.sync(); err != nil {
			return err
		}
	}
	return nil
}

// sync has the state made safe now and then, beside the turns.
func (p *Processor) sync() error {
	if p.syncing != nil {
		select {
		case err := <-p.syncing:
			if p.syncing = nil; err != nil {
				return err
			}
		default:
			return nil
		}
	}
	if time.Since(p.synced) < syncEvery {
		return nil
	}
	p.synced, p.syncing = time.Now(), make(chan error, 1)
	go func(done chan<- error) { done <- p.store.Sync() }(p.syncing)
	return nil
}

// report says how far was read to the metrics, now and then.
func (p *Processor) report() {
	if time.Since(p.reported) < reportEvery {
		return
	}
	p.reported = time.Now()
	p.metrics.read(p.now, p.pending, p.store.Size())
}

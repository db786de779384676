package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/alert"
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
	Clock  Clock       // nil for StreamClock
	// Leads tells whether this processor sends results and ticks. Nil for always.
	Leads func() bool
	Log   *slog.Logger
	// Keep is how long closed timelines can be looked up after their end, 0 for a
	// day.
	Keep time.Duration
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
	// reportEvery is how often the engine is asked for its counters.
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
	engine  *shard.Engine
	unpack  unpacker
	metrics *Metrics

	batch    *event.Batch // the last one
	outbox   *outbox
	now      event.Time
	stored   time.Time // of the last message
	heard    time.Time // by this machine's clock
	ticked   time.Time
	commit   time.Time
	followed time.Time
	at       disk.Position
	prior    []disk.Push // ticks since the last commit: the last one counts
	decided  []*timeline.Timeline
	muted    bool          // results of recovery were delivered before
	told     []alert.Alert // of the alerts, in this turn
	failure  error         // of the state, while the engine was deciding
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
	if o.Keep == 0 {
		o.Keep = 24 * time.Hour
	}
	cfg := shard.DefaultConfig()
	cfg.Shards, cfg.Window = o.Shards, o.Window
	w := cfg.Window
	store, err := disk.Open(o.Dir, disk.Options{Retention: w.Longest + w.Retention + w.AgentHorizon, Keep: o.Keep})
	if err != nil {
		return nil, err
	}
	p := &Processor{opts: o, js: js, store: store, unpack: unpacker{sessions: bus.NewSessions(), counts: m}, metrics: m, at: store.Position(), batch: new(event.Batch)}
	p.engine = shard.New(cfg, p)
	if p.outbox, err = openOutbox(js, store, o.Log); err == nil {
		err = p.recover()
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return p, nil
}

func (p *Processor) recover() error {
	began, events := time.Now(), 0
	if err := p.store.Sessions(p.unpack.sessions.Restore); err != nil {
		return err
	}
	p.muted = true
	err := p.store.Recover(new(scan.Intern), func(now event.Time, envelope []byte, b *event.Batch) error {
		if envelope != nil {
			b = p.batch.Next()
			p.batch = b
			if _, err := p.unpack.opener.Open(envelope, b); err != nil {
				return fmt.Errorf("%w (%w)", disk.ErrDamaged, err)
			}
		}
		events += len(b.Events)
		p.engine.Push(b, now)
		return p.engine.Err()
	})
	p.muted = false
	p.now = p.at.Now
	if events > 0 {
		p.opts.Log.Info("recovered", "events", events, "turns", p.at.Turn, "position", p.at.Sequence, "took", time.Since(began))
	}
	return err
}

// Timeline takes what the engine decides.
func (p *Processor) Timeline(t *timeline.Timeline) {
	if p.muted {
		return
	}
	p.judge(t)
	p.decided = append(p.decided, t)
}

// judge adds the alerts of a revision to it, and notes what is to be told of them.
func (p *Processor) judge(t *timeline.Timeline) {
	found, err := p.opts.Rules.Judge(t)
	had, stateErr := p.had(t)
	if err != nil {
		p.opts.Log.Error("a rule could not be judged", "error", err)
		had = nil // what it would say is not known, so nothing is withdrawn
	}
	changes, changesErr := detect.Changes(t.ID, found, had, p.lastTold)
	p.failure = errors.Join(p.failure, stateErr, changesErr)
	t.Alerts = append(t.Alerts, detect.Refs(found)...)
	for i := range changes {
		a := &changes[i]
		switch {
		case a.State == alert.Withdrawn:
			p.opts.Log.Info("alert withdrawn", "rule", a.RuleID, "timeline", a.TimelineID, "alert", a.ID)
		case a.Revision == 1:
			p.metrics.alert(a)
			p.opts.Log.Warn("alert", "rule", a.RuleID, "severity", a.Severity, "title", a.Title, "timeline", a.TimelineID, "alert", a.ID)
		}
	}
	p.told = append(p.told, changes...)
}

// had are the ids of the alerts of the revision before.
func (p *Processor) had(t *timeline.Timeline) (ids []string, err error) {
	if t.Revision <= 1 {
		return nil, nil
	}
	var before *timeline.Timeline
	for _, d := range p.decided { // in this turn
		if d.ID == t.ID {
			before = d
		}
	}
	if before == nil {
		note, err := p.store.Note(disk.KindTimeline, t.ID)
		if note == "" || err != nil {
			return nil, err
		}
		return strings.Split(note, "\n"), nil
	}
	for _, a := range before.Alerts {
		ids = append(ids, a.AlertID)
	}
	return ids, nil
}

// lastTold is what was last told of an alert, nil for nothing.
func (p *Processor) lastTold(id string) (*alert.Alert, error) {
	for i := len(p.told) - 1; i >= 0; i-- {
		if p.told[i].ID == id {
			return &p.told[i], nil
		}
	}
	return p.store.Alert(id)
}

// Unmatched takes an event of no timeline; it is in the engine's counters.
func (*Processor) Unmatched(*shard.Unmatched) {}

// Timelines calls f with the canonical form of the closed timelines whose id begins
// so. It may be called from any goroutine while Run works.
func (p *Processor) Timelines(prefix string, f func(text []byte) error) error {
	return p.store.Timelines(prefix, f)
}

// Close gives the state back without Run.
func (p *Processor) Close() error { return p.store.Close() }

// Run works until ctx ends; then it finishes its turn, sends what it can, and
// returns nil. When the bus is away it waits. An error is one that waiting does
// not mend: of the state, or a stream that is not the one it read before.
func (p *Processor) Run(ctx context.Context) (err error) {
	defer func() {
		p.outbox.close()
		p.metrics.ready(false)
		if p.syncing != nil {
			err = errors.Join(err, <-p.syncing)
		}
		p.reported = time.Time{}
		p.report(0)
		err = errors.Join(err, p.store.Close())
	}()
	for ctx.Err() == nil {
		r, err := bus.NewReader(ctx, p.js, bus.Position{Sequence: p.at.Sequence, Created: p.at.Created})
		switch {
		case errors.Is(err, bus.ErrStream):
			return err
		case err != nil:
			p.away(ctx, err)
			continue
		}
		if r.Lost > 0 {
			p.opts.Log.Error("the stream dropped messages before they were read", "messages", r.Lost)
			p.metrics.envelope("dropped_by_stream", r.Lost)
		}
		p.metrics.ready(true)
		p.heard = time.Now()
		err = p.read(ctx, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := p.send(sending, true); err != nil {
		if errors.Is(err, errState) {
			return err
		}
		p.opts.Log.Warn("results are left for the next start, or for another processor", "error", err)
	}
	return nil
}

// away waits a little for the bus.
func (p *Processor) away(ctx context.Context, err error) {
	p.metrics.ready(false)
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
		t := turn{p: p, reader: r}
		if err := t.collect(); err != nil {
			p.away(ctx, err)
			return nil
		}
		if err := t.work(); err != nil {
			return err
		}
		if err := p.send(ctx, false); errors.Is(err, errState) {
			return err
		} else if err != nil {
			p.away(ctx, err)
		} else {
			p.metrics.ready(true)
		}
		if time.Since(p.heard) > deaf {
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

// report gives the counters to the metrics, now and then.
func (p *Processor) report(pending uint64) {
	if time.Since(p.reported) < reportEvery {
		return
	}
	p.reported = time.Now()
	p.metrics.engine(p.engine, p.now, pending, p.store.Size())
}

// send sends what waits if this processor leads, with all until it has arrived, and
// ticks if nothing comes. One that does not lead follows what is sent.
func (p *Processor) send(ctx context.Context, all bool) error {
	leads := p.opts.Leads()
	p.metrics.lead(leads)
	if leads && time.Since(p.heard) > tickEvery && time.Since(p.ticked) > tickEvery {
		ticking, cancel := context.WithTimeout(ctx, asking)
		defer cancel()
		if err := bus.Tick(ticking, p.js); err != nil {
			return err
		}
		p.ticked = time.Now()
	}
	if p.stored.IsZero() {
		return nil // it is not known yet how far the events are
	}
	if !leads && len(p.outbox.flying) > 0 { // it led until now
		p.outbox.ground()
	}
	if p.outbox.behind() && leads || !leads && time.Since(p.followed) > followEvery {
		p.followed = time.Now()
		if err := p.outbox.follow(ctx, p.stored); err != nil {
			return err
		}
	}
	if !leads {
		return nil
	}
	return p.outbox.send(ctx, all)
}

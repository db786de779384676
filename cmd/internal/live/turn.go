package live

import (
	"context"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/event"
)

// turn is one step of the processor.
type turn struct {
	p      *Processor
	reader *bus.Reader
	count  int // of events
	pushes []disk.Push
	dead   []disk.Result
	last   *bus.Message
}

// collect reads what is there, message by message: how many come in one turn is chance,
// and must not show in what is decided. With nothing there it waits a little.
func (t *turn) collect() error {
	wait := idleWait
	if t.p.deciding > 0 { // what comes of it is to be committed
		wait = busyWait
	}
	for ; t.count < turnEvents; wait = busyWait {
		m, ok, err := t.reader.Next(wait)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		t.last = &m
		b, whole := t.take(&m)
		t.push(&m, b, whole)
		if m.Pending == 0 {
			return nil
		}
	}
	return nil
}

// push adds a message's events to what the engine is to be given.
func (t *turn) push(m *bus.Message, b *event.Batch, whole bool) {
	p := t.p
	p.now = max(p.now, p.opts.Clock(m, b.Events))
	p.stored, p.heard = m.Stored, time.Now()
	p.sending.read(m)
	t.count += len(b.Events)
	one := disk.Push{Now: p.now, Events: b.Events}
	if whole {
		one.Envelope = m.Data
	}
	// Of times that passed the last one counts; but not one that passed before events
	// came: some may be late by then, and recovery must find them so too.
	if n := len(t.pushes); n > 0 && len(t.pushes[n-1].Events)+len(b.Events) == 0 {
		t.pushes = t.pushes[:n-1]
	}
	t.pushes = append(t.pushes, one)
}

// take opens one envelope. What cannot be read goes to the dead letters.
func (t *turn) take(m *bus.Message) (b *event.Batch, whole bool) {
	b = t.p.batch.Next()
	t.p.batch = b
	whole, err := t.p.unpack.take(m, b)
	if err != nil {
		t.bury(m, err)
	}
	return b, whole
}

func (t *turn) bury(m *bus.Message, why error) {
	t.p.opts.Log.Warn("dead letter", "sequence", m.Sequence, "node", m.Node, "error", why)
	t.dead = append(t.dead, disk.Result{Kind: byte(bus.OutDead), ID: strconv.FormatUint(m.Sequence, 10), Data: bus.DeadLetter(why, m.Data)})
}

// work commits what was read and what came of turns before, and has decided what was
// read. Ticks alone, of which nothing came, wait for the next turn.
func (t *turn) work() error {
	p := t.p
	p.takeDecided()
	switch {
	case t.last != nil:
		p.pending = t.last.Pending
	case t.reader != nil: // it was asked, and nothing was there
		p.pending = 0
	}
	if t.last == nil && len(p.outcomes) == 0 {
		p.report()
		return nil
	}
	pushes, decided := append(p.prior, t.pushes...), false
	if t.last != nil {
		at := t.reader.Position(t.last.Sequence)
		p.at.Sequence, p.at.Created, p.at.Now = at.Sequence, at.Created, p.now
	}
	if t.ticks() && p.deciding == 0 && len(p.outcomes) == 0 {
		// Usually nothing comes of it, and then it need not be written.
		p.decide(p.at.Turn, t.pushes, 0)
		p.awaitDecided()
		if len(p.outcomes) == 0 && time.Since(p.commit) < quietTurns {
			p.prior = pushes[len(pushes)-1:]
			p.report()
			return nil
		}
		decided, p.at.Decided, p.done = true, p.at.Turn+1, p.now
	}
	if err := t.commit(pushes); err != nil {
		return err
	}
	if !decided && len(t.pushes) > 0 {
		p.decide(p.at.Turn, t.pushes, t.count)
	}
	p.report()
	return nil
}

// ticks reports whether nothing was read but that time has passed.
func (t *turn) ticks() bool { return t.last != nil && t.count+len(t.dead) == 0 }

// commit makes pushes part of the state, with what came of turns before.
func (t *turn) commit(pushes []disk.Push) error {
	p := t.p
	var stored time.Time // the last message of what was decided
	for _, o := range p.outcomes {
		if o.err != nil {
			return o.err
		}
		p.at.Decided, p.done, stored = max(p.at.Decided, o.turn), o.now, o.stored
	}
	began := time.Now()
	results := append(p.resultsOf(), t.dead...)
	_, span := p.opts.Tracer.Start(context.Background(), "commit", trace.WithAttributes(
		attribute.Int("sennit.events", t.count), attribute.Int("sennit.results", len(results)), attribute.Int64("sennit.bus.sequence", int64(p.at.Sequence)),
	))
	one := disk.Turn{Pushes: pushes, At: p.at, Results: results, Done: p.done}
	if !p.stored.IsZero() {
		one.Session = func(put func(k, v []byte)) { p.unpack.sessions.Changed(event.At(p.stored.Add(-forget)), put) }
	}
	bundles, err := p.store.Turn(one)
	ended(span, err)
	if err != nil {
		return err
	}
	p.at = p.store.Position()
	p.decider.committed(p.at.Decided)
	p.sending.committed(bundles, stored)
	p.prior, p.commit = nil, time.Now()
	clear(p.outcomes)
	clear(results)
	p.outcomes = p.outcomes[:0]
	took := time.Since(began)
	p.metrics.commit(took)
	if p.opts.Committed != nil {
		p.opts.Committed(t.pushes, took)
	}
	return nil
}

// resultsOf are the revisions and alerts of what was decided, as they are kept and sent:
// those of a kind behind each other, so that they share messages.
func (p *Processor) resultsOf() []disk.Result {
	list := p.results[:0]
	for _, o := range p.outcomes {
		for _, t := range o.decided {
			var alerts []string
			for i := range t.Alerts {
				alerts = append(alerts, t.Alerts[i].AlertID)
			}
			list = append(list, disk.Result{Kind: byte(bus.OutTimeline), ID: t.ID + "/" + strconv.FormatUint(uint64(t.Revision), 10), Of: t.ID, Note: strings.Join(alerts, "\n"), JSON: t})
		}
	}
	for _, o := range p.outcomes {
		for i := range o.told {
			a := &o.told[i]
			list = append(list, disk.Result{Kind: byte(bus.OutAlert), ID: bus.AlertID(string(a.Severity), a.ID, a.Revision, string(a.State)), Of: a.ID, JSON: a})
		}
	}
	p.results = list
	return list
}

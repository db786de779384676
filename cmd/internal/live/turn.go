package live

import (
	"context"
	"errors"
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

// collect reads what is there and pushes it, message by message: how many come in
// one turn is chance, and must not show in what is decided. With nothing there it
// waits a little.
func (t *turn) collect() error {
	wait := idleWait
	if t.p.outbox.busy() { // what has arrived is to be noted
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

// push gives a message's events to the engine.
func (t *turn) push(m *bus.Message, b *event.Batch, whole bool) {
	p := t.p
	p.now = max(p.now, p.opts.Clock(m, b.Events))
	p.stored, p.heard = m.Stored, time.Now()
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
	p.push(b, p.now)
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

// work commits what was read and what came of it. Ticks alone, of which nothing
// came, wait for the next turn.
func (t *turn) work() error {
	p := t.p
	if err := errors.Join(p.engine.Err(), p.failure); err != nil {
		return err
	}
	if t.last == nil {
		p.report(0)
		return nil
	}
	at := t.reader.Position(t.last.Sequence)
	p.at.Sequence, p.at.Created, p.at.Now = at.Sequence, at.Created, p.now
	pushes := append(p.prior, t.pushes...)
	if t.count+len(t.dead)+len(p.decided)+len(p.told) == 0 && time.Since(p.commit) < quietTurns {
		p.prior = pushes[len(pushes)-1:]
		p.report(t.last.Pending)
		return nil
	}
	began := time.Now()
	results := append(p.resultsOf(), t.dead...)
	known := p.outbox.known(results)
	_, span := p.opts.Tracer.Start(context.Background(), "commit", trace.WithAttributes(
		attribute.Int("sennit.events", t.count), attribute.Int("sennit.results", len(results)), attribute.Int64("sennit.bus.sequence", int64(t.last.Sequence)),
	))
	bundles, err := p.store.Turn(disk.Turn{
		Pushes: pushes, At: p.at, Results: results, Heard: known,
		Session: func(put func(k, v []byte)) { p.unpack.sessions.Changed(event.At(p.stored.Add(-forget)), put) },
	})
	ended(span, err)
	if err != nil {
		return err
	}
	p.at = p.store.Position()
	p.outbox.committed(bundles, known)
	p.prior, p.commit = nil, time.Now()
	clear(p.decided)
	clear(p.results)
	p.decided, p.told = p.decided[:0], p.told[:0]
	took := time.Since(began)
	p.metrics.commit(took)
	if p.opts.Committed != nil {
		p.opts.Committed(t.pushes, took)
	}
	p.report(t.last.Pending)
	return nil
}

// resultsOf are the revisions and alerts of a turn, as they are kept and sent.
func (p *Processor) resultsOf() []disk.Result {
	list := p.results[:0]
	for _, t := range p.decided {
		var alerts []string
		for i := range t.Alerts {
			alerts = append(alerts, t.Alerts[i].AlertID)
		}
		list = append(list, disk.Result{Kind: byte(bus.OutTimeline), ID: t.ID + "/" + strconv.FormatUint(uint64(t.Revision), 10), Of: t.ID, Note: strings.Join(alerts, "\n"), JSON: t})
	}
	for i := range p.told {
		a := &p.told[i]
		list = append(list, disk.Result{Kind: byte(bus.OutAlert), ID: bus.AlertID(string(a.Severity), a.ID, a.Revision, string(a.State)), Of: a.ID, JSON: a})
	}
	p.results = list
	return list
}

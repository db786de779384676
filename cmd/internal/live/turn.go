package live

import (
	"errors"
	"strconv"
	"time"

	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/event"
)

// turn is one step of the processor.
type turn struct {
	p      *Processor
	reader *bus.Reader
	events []event.Event
	pushes []disk.Push
	dead   []disk.Message
	last   *bus.Message
}

// collect reads what is there and pushes it, message by message: how many come in
// one turn is chance, and must not show in what is decided. With nothing there it
// waits a little.
func (t *turn) collect() error {
	for wait := idleWait; len(t.events) < turnEvents; wait = 20 * time.Millisecond {
		m, ok, err := t.reader.Next(wait)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		t.last = &m
		t.push(&m, t.take(&m))
		if m.Pending == 0 {
			return nil
		}
	}
	return nil
}

// push gives a message's events to the engine.
func (t *turn) push(m *bus.Message, b *event.Batch) {
	p := t.p
	p.now = max(p.now, p.opts.Clock(m, b.Events))
	p.stored, p.heard = m.Stored, time.Now()
	t.events = append(t.events, b.Events...)
	one := disk.Push{Now: p.now, Events: len(b.Events)}
	if n := len(t.pushes); n > 0 && t.pushes[n-1].Events == 0 { // of a time that passed
		t.pushes = t.pushes[:n-1]
	}
	t.pushes = append(t.pushes, one)
	p.engine.Push(b, p.now)
}

// take opens one envelope. What cannot be read goes to the dead letters.
func (t *turn) take(m *bus.Message) *event.Batch {
	b := t.p.batch.Next()
	t.p.batch = b
	if err := t.p.unpack.take(m, b); err != nil {
		t.bury(m, err)
	}
	return b
}

func (t *turn) bury(m *bus.Message, why error) {
	t.p.opts.Log.Warn("dead letter", "sequence", m.Sequence, "node", m.Node, "error", why)
	t.dead = append(t.dead, disk.Message{Kind: byte(bus.OutDead), ID: strconv.FormatUint(m.Sequence, 10), Data: bus.DeadLetter(why, m.Data)})
}

// work commits what was read and what came of it. Ticks alone, of which nothing
// came, wait for the next turn.
func (t *turn) work() error {
	p := t.p
	if err := errors.Join(p.engine.Err(), p.failure); err != nil {
		return err
	}
	if t.last == nil {
		p.metrics.engine(p.engine, p.now, 0, p.store.Size())
		return nil
	}
	at := t.reader.Position(t.last.Sequence)
	p.at.Sequence, p.at.Created, p.at.Now = at.Sequence, at.Created, p.now
	pushes := append(p.prior, t.pushes...)
	if len(t.events)+len(t.dead)+len(p.decided) == 0 && time.Since(p.commit) < quietTurns {
		p.prior = pushes[len(pushes)-1:]
		p.metrics.engine(p.engine, p.now, t.last.Pending, p.store.Size())
		return nil
	}
	out, known := p.outbox.fresh(append(outboxOf(p.decided, p.told), t.dead...))
	began := time.Now()
	err := p.store.Turn(disk.Turn{
		Events: t.events, Pushes: pushes, At: p.at, Timelines: p.decided, Alerts: p.told, Outbox: out, Heard: known,
		Session: func(put func(k, v []byte)) { p.unpack.sessions.Changed(event.At(p.stored.Add(-forget)), put) },
	})
	if err != nil {
		return err
	}
	p.at = p.store.Position()
	p.outbox.committed(p.at.Turn, out, known)
	p.prior, p.commit = nil, time.Now()
	clear(p.decided)
	p.decided, p.told = p.decided[:0], p.told[:0]
	took := time.Since(began)
	p.metrics.commit(took)
	if p.opts.Committed != nil {
		p.opts.Committed(t.events, took)
	}
	p.metrics.engine(p.engine, p.now, t.last.Pending, p.store.Size())
	return nil
}

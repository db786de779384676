package live

import (
	"encoding/binary"
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
	batch  event.Batch
	dead   []disk.Message
	last   *bus.Message
}

// collect reads what is there, up to a turn's worth; with nothing there it waits
// a little.
func (t *turn) collect() error {
	for wait := idleWait; len(t.batch.Events) < turnEvents; wait = 20 * time.Millisecond {
		m, ok, err := t.reader.Next(wait)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		t.take(&m)
		t.last = &m
		if m.Pending == 0 {
			return nil
		}
	}
	return nil
}

// take opens one envelope. What cannot be read goes to the dead letters, what
// was taken before is passed over, what is missing becomes a loss, and what
// claims to be of another node is dropped.
func (t *turn) take(m *bus.Message) {
	p := t.p
	before := len(t.batch.Events)
	if m.Err != nil {
		t.bury(m, m.Err)
		return
	}
	h, err := p.opener.Open(m.Data, &t.batch)
	if err != nil {
		t.bury(m, err)
		return
	}
	events := t.batch.Events[before:]
	var newest event.Time
	for i := range events {
		newest = max(newest, events[i].Time)
	}
	duplicate, missing, since := p.sessions.Take(m.Node, &h, newest, event.At(m.Stored))
	if duplicate {
		t.batch.Events = t.batch.Events[:before]
		p.metrics.envelope("duplicate", 1)
		return
	}
	p.metrics.envelope("taken", 1)
	kept := t.batch.Events[:before]
	for i := range events {
		if n := events[i].Node; n != "" && n != m.Node {
			p.metrics.dropped("forged_node", 1)
			continue
		}
		kept = append(kept, events[i])
	}
	t.batch.Events = kept
	if missing > 0 {
		p.metrics.envelope("missing", missing)
		e := t.batch.Add(event.KindLoss, h.Source)
		e.Node, e.Time = m.Node, newest
		if e.Time == 0 {
			e.Time = event.At(m.Stored)
		}
		e.ID = event.ID(h.Session)
		binary.BigEndian.PutUint64(e.ID[8:], binary.BigEndian.Uint64(e.ID[8:])^h.Sequence)
		loss := t.batch.NewLoss()
		*loss = event.Loss{Of: h.Source, From: since, To: e.Time, Reason: "envelopes missing", Scope: strconv.FormatUint(missing, 10) + " envelopes"}
		e.Payload = loss
	}
}

func (t *turn) bury(m *bus.Message, why error) {
	t.p.opts.Log.Warn("dead letter", "sequence", m.Sequence, "node", m.Node, "error", why)
	t.p.metrics.envelope("poison", 1)
	t.dead = append(t.dead, disk.Message{Kind: byte(bus.OutDead), ID: strconv.FormatUint(m.Sequence, 10), Data: bus.DeadLetter(why, m.Data)})
}

// work pushes what was collected, and commits.
func (t *turn) work() error {
	p := t.p
	prior := p.now
	p.now = max(p.now, p.opts.Clock(t.last, t.batch.Events))
	if t.last == nil { // time passes
		p.engine.Push(&t.batch, p.now)
		if len(p.decided) == 0 {
			p.metrics.engine(p.engine, p.now, 0, p.store.Size())
			return p.engine.Err()
		}
	} else {
		events := t.batch.Events
		if prior != 0 {
			p.engine.Push(&event.Batch{}, prior) // as recovery will do
		}
		p.engine.Push(&t.batch, p.now)
		t.batch.Events = events
	}
	if err := errors.Join(p.engine.Err(), p.failure); err != nil {
		return err
	}
	if t.last != nil {
		at := t.reader.Position(t.last.Sequence)
		p.at.Sequence, p.at.Created = at.Sequence, at.Created
	}
	p.at.Now = p.now
	out := append(outboxOf(p.decided, p.told), t.dead...)
	began := time.Now()
	err := p.store.Turn(disk.Turn{
		Prior: prior, Events: t.batch.Events, At: p.at, Timelines: p.decided, Alerts: p.told, Outbox: out,
		Session: func(put func(k, v []byte)) { p.sessions.Changed(event.At(time.Now().Add(-forget)), put) },
	})
	if err != nil {
		return err
	}
	p.at = p.store.Position()
	p.waiting = p.waiting || len(out) > 0
	clear(p.decided)
	p.decided, p.told = p.decided[:0], p.told[:0]
	p.metrics.commit(time.Since(began))
	pending := uint64(0)
	if t.last != nil {
		pending = t.last.Pending
	}
	p.metrics.engine(p.engine, p.now, pending, p.store.Size())
	return nil
}

package live

import (
	"errors"
	"strconv"
	"strings"
	"time"

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
	if n := len(t.pushes); n > 0 && len(t.pushes[n-1].Events) == 0 { // of a time that passed
		t.pushes = t.pushes[:n-1]
	}
	t.pushes = append(t.pushes, one)
	p.engine.Push(b, p.now)
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
	if t.count+len(t.dead)+len(p.decided) == 0 && time.Since(p.commit) < quietTurns {
		p.prior = pushes[len(pushes)-1:]
		p.report(t.last.Pending)
		return nil
	}
	began := time.Now()
	results := append(p.render(), t.dead...)
	known := p.outbox.known(results)
	bundles, err := p.store.Turn(disk.Turn{
		Pushes: pushes, At: p.at, Results: results, Heard: known,
		Session: func(put func(k, v []byte)) { p.unpack.sessions.Changed(event.At(p.stored.Add(-forget)), put) },
	})
	if err != nil {
		return err
	}
	p.at = p.store.Position()
	p.outbox.committed(bundles, known)
	p.prior, p.commit = nil, time.Now()
	clear(p.decided)
	p.decided, p.told = p.decided[:0], p.told[:0]
	took := time.Since(began)
	p.metrics.commit(took)
	if p.opts.Committed != nil {
		p.opts.Committed(t.pushes, took)
	}
	p.report(t.last.Pending)
	return nil
}

// render writes what was decided, into room that is good until the next turn.
func (p *Processor) render() []disk.Result {
	list, text := p.results[:0], p.text[:0]
	var ends []int
	for _, t := range p.decided {
		text = t.AppendJSON(text)
		ends = append(ends, len(text))
		var alerts []string
		for i := range t.Alerts {
			alerts = append(alerts, t.Alerts[i].AlertID)
		}
		list = append(list, disk.Result{Kind: byte(bus.OutTimeline), ID: t.ID + "/" + strconv.FormatUint(uint64(t.Revision), 10), Of: t.ID, Note: strings.Join(alerts, "\n")})
	}
	for i := range p.told {
		a := &p.told[i]
		text = a.AppendJSON(text)
		ends = append(ends, len(text))
		list = append(list, disk.Result{Kind: byte(bus.OutAlert), ID: bus.AlertID(string(a.Severity), a.ID, a.Revision, string(a.State)), Of: a.ID})
	}
	from := 0
	for i, end := range ends {
		list[i].Data, from = text[from:end:end], end
	}
	p.results, p.text = list, text
	return list
}

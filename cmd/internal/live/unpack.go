package live

import (
	"encoding/binary"
	"strconv"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/event"
)

// unpacker makes events of the messages of the bus.
type unpacker struct {
	opener   bus.Opener
	sessions *bus.Sessions
	counts   counts
}

// counts is told what becomes of envelopes and of events that are refused.
type counts interface {
	envelope(result string, n uint64)
	dropped(reason string, n uint64)
}

// take appends the events of one envelope. What was taken before is passed over,
// what is missing becomes a loss, and what claims to be of another node is dropped.
// A tick has none. Whole says that they are those of the envelope, no more and no
// less. An error says that the envelope cannot be read, and never will be.
func (u *unpacker) take(m *bus.Message, b *event.Batch) (whole bool, err error) {
	if m.Tick {
		u.counts.envelope("tick", 1)
		return false, nil
	}
	before := len(b.Events)
	if m.Err != nil {
		u.counts.envelope("poison", 1)
		return false, m.Err
	}
	h, err := u.opener.Open(m.Data, b)
	if err != nil {
		u.counts.envelope("poison", 1)
		return false, err
	}
	events := b.Events[before:]
	var newest event.Time
	for i := range events {
		newest = max(newest, events[i].Time)
	}
	duplicate, missing, since := u.sessions.Take(m.Node, &h, newest, event.At(m.Stored))
	if duplicate {
		b.Events = b.Events[:before]
		u.counts.envelope("duplicate", 1)
		return false, nil
	}
	u.counts.envelope("taken", 1)
	all := len(b.Events)
	kept, forged, as := b.Events[:before], uint64(0), ""
	for i := range events {
		if n := events[i].Node; n != "" && n != m.Node {
			u.counts.dropped("forged_node", 1)
			forged, as = forged+1, n
			continue
		}
		kept = append(kept, events[i])
	}
	b.Events = kept
	at := newest
	if at == 0 {
		at = event.At(m.Stored)
	}
	// lost adds what became of the envelope; which tells its events apart.
	lost := func(which uint64, p event.Loss) {
		e := b.Add(event.KindLoss, h.Source)
		e.Node, e.Time, e.ID = m.Node, at, event.ID(h.Session)
		binary.BigEndian.PutUint64(e.ID[8:], binary.BigEndian.Uint64(e.ID[8:])^h.Sequence^which)
		loss := b.NewLoss()
		*loss = p
		e.Payload = loss
	}
	whole = len(kept) == all && missing == 0
	if missing > 0 {
		u.counts.envelope("missing", missing)
		lost(0, event.Loss{Of: h.Source, From: since, To: at, Reason: "envelopes missing", Scope: strconv.FormatUint(missing, 10) + " envelopes"})
	}
	if forged > 0 { // rules can tell of it
		lost(1<<63, event.Loss{Of: h.Source, Count: forged, From: at, To: at, Reason: "forged_node", Scope: as})
	}
	return whole, nil
}

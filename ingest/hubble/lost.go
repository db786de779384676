package hubble

import (
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// lostEvents reads flow.LostEvent.
func (d *Decoder) lostEvents() {
	s, l := &d.s, &d.r.lost
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "source":
			l.source = d.lostSource()
		case "num_events_lost", "numEventsLost":
			l.count = s.Uint64()
		case "first":
			l.first = s.Time()
		case "last":
			l.last = s.Time()
		case "cpu":
			if s.Peek() == 'n' {
				s.Skip()
				continue
			}
			l.cpu = d.cpu(s.Int64())
		default:
			s.Skip()
		}
	}
}

func (d *Decoder) cpu(n int64) string {
	d.buf = strconv.AppendInt(append(d.buf[:0], "cpu-"...), n, 10)
	return d.names.String(d.buf)
}

// lostSources are the names of flow.LostEventSource by number, in lower case.
var lostSources = [...]string{1: "perf_event_ring_buffer", 2: "observer_events_queue", 3: "hubble_ring_buffer"}

// lostSource reads flow.LostEventSource; a name not known here is kept.
func (d *Decoder) lostSource() string {
	if d.s.Peek() != '"' {
		return nameAt(lostSources[:], d.s.Int64())
	}
	b := d.s.Bytes()
	if string(b) == "UNKNOWN_LOST_EVENT_SOURCE" || !isEnumName(b) {
		return ""
	}
	return d.lower.Lower(b)
}

// lossEvent makes the event of a lost_events message. Its time is the
// envelope's, which is when the loss was noticed; where Hubble says from when to
// when, the interval is that one, else it ends at the event's time and its
// beginning is unknown.
func (d *Decoder) lossEvent(b *event.Batch) {
	r := &d.r
	e := b.Add(event.KindLoss, event.SourceHubble)
	e.Cluster, e.Node, e.Time = r.outerCluster, r.outerNode, r.outerTime
	if e.Time == 0 {
		e.Time = r.lost.last
	}
	p := b.NewLoss()
	p.Of, p.Count, p.Reason, p.Scope = event.SourceHubble, r.lost.count, r.lost.source, r.lost.cpu
	p.From, p.To = r.lost.first, r.lost.last
	if p.To == 0 {
		p.To = e.Time
	}
	e.Payload = p
	e.ID = d.ids.Reset(e.Kind).String(e.Cluster).String(e.Node).Uint(uint64(e.Time)).
		String(p.Reason).String(p.Scope).Uint(p.Count).Uint(uint64(p.From)).Uint(uint64(p.To)).Sum()
}

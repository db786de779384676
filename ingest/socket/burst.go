package socket

import (
	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// burst reports what went over a TLS connection since the last burst: when, and how
// many bytes each way, those of TLS itself among them. Nobody knows how many requests
// that is, so it has no ordinal. Where the text within is seen there are exchanges
// instead.
func (d *Decoder) burst(r *bpf.Socket, c *conn, b *event.Batch) {
	if c.own || c.plain || !c.hello {
		return
	}
	p, t := &r.Progress, &r.Turn
	out := c.outgoing()
	in := 1 - out
	var went [2]uint64
	var end uint64
	for i := range went {
		if t.Begun[i] != 0 {
			went[i] = uint64(p.Next[i] - t.From[i])
			end = max(end, p.Last[i])
		}
	}
	if end == 0 {
		return
	}
	e := b.NewExchange()
	*e = event.Exchange{
		Cookie: event.SocketCookie(r.Cookie), Tuple: c.tuple, Role: c.role, Protocol: "tls",
		Start: d.wall(t.Begun[out]), FirstByte: d.wall(t.Begun[in]), BytesOut: went[bpf.Out], BytesIn: went[bpf.In],
		Process: c.process, Workload: d.workload(c.of),
	}
	if e.Start == 0 { // the rest of an answer that paused
		e.Start = e.FirstByte
	}
	d.add(b, event.KindBurst, end, r.Cookie).Payload = e
}

package socket

import (
	"net/http"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Limits of strings from the wire, in bytes.
const (
	maxPath      = 1024
	maxHost      = 255
	maxRequestID = 128
)

func (d *Decoder) request(r *bpf.Record, b *event.Batch) {
	c := d.conn(r.Head.Cookie)
	if c.unread(r.Head.Plain != 0) {
		return
	}
	if c.role == event.RoleUnknown {
		// The connection is older than the shim: who asks is the client.
		c.role = event.RoleServer
		if r.Head.Direction == bpf.Out {
			c.role = event.RoleClient
		}
	}
	out := c.outgoing()
	if int(r.Head.Direction) != out || c.x.active && r.Head.Seq == c.x.request {
		return // a body, or sent again
	}
	h, ok := parseHead(r.Data, false)
	if !ok {
		d.Unreadable++
		return
	}
	if x := &c.x; x.active {
		switch p := &r.Head.Before; {
		case x.inBody(r.Head.Seq, p, out):
			return
		case x.answered:
			d.finish(r.Head.Cookie, c, p, b)
		default:
			// Either the response could not be seen, or nobody waited for it.
			c.pipelined = c.pipelined || x.gaps == p.Gaps
			d.alone(r.Head.Cookie, c, b)
		}
	}
	c.ordinal++
	c.x.ask(r.Head, &h, 1-out)
	c.x.trace = h.trace
	c.x.requestID = d.text(h.requestID, maxRequestID)
	c.x.http.Method = d.text(h.method, maxHost)
	host, path := d.Redact.SplitURL(h.target)
	if len(host) == 0 {
		host = h.host
	}
	c.x.http.Host, c.x.http.Path = d.text(host, maxHost), d.text(path, maxPath)
	if string(h.method) == http.MethodConnect {
		c.x.http.Host, c.x.http.Path = d.text(h.target, maxHost), ""
	}
	if c.pipelined {
		d.alone(r.Head.Cookie, c, b)
	}
}

// unread reports whether a head is not of the connection's HTTP. Once plain text
// was seen within TLS, that is its HTTP.
func (c *conn) unread(plain bool) bool {
	if plain && !c.own && !c.upgraded {
		c.plain = true
		return false
	}
	return c.opaque || c.plain
}

func (d *Decoder) text(b []byte, limit int) string {
	return redact.Cut(d.strings.String(b), limit)
}

func (d *Decoder) response(r *bpf.Record, b *event.Batch) {
	c := d.conns[r.Head.Cookie]
	if c == nil || c.unread(r.Head.Plain != 0) || !c.x.active {
		return
	}
	x := &c.x
	in := 1 - c.outgoing()
	switch {
	case int(r.Head.Direction) != in:
		return // a body
	case x.responseKnown && before(r.Head.Seq, x.response), x.answered && r.Head.Seq == x.response:
		return // sent again, late
	}
	if x.answered && !x.whole(&r.Head.Before, in) {
		d.body(x, r.Head.Seq, r.Data) // it only looks like a head
		return
	}
	h, ok := parseHead(r.Data, true)
	if !ok {
		d.Unreadable++
		return
	}
	if x.answered { // a second response to one request
		c.pipelined = true
		d.alone(r.Head.Cookie, c, b)
		return
	}
	if h.status < 200 && h.status != 101 {
		return // more is to come
	}
	x.answeredBy(r.Head, &h)
	x.by(&r.Head.Before, 1-in)
	if c.plain && c.role == event.RoleClient && x.http.Method == http.MethodPost && h.size > 0 {
		if x.answer = d.answers.get(); x.answer != nil {
			x.answer.next, x.answer.packing = r.Head.Seq+uint32(h.size), h.packing
			d.body(x, x.answer.next, r.Data[h.size:])
		}
	}
	if h.status == 101 || x.http.Method == http.MethodConnect && h.status < 300 {
		p := r.Head.Before
		p.Last[in] = r.Head.Time
		p.Next[in], p.Known[in] = r.Head.Seq+uint32(h.size), 1
		d.finish(r.Head.Cookie, c, &p, b)
		c.opaque, c.upgraded = true, true
	}
}

// end is the last that is heard of a connection.
func (d *Decoder) end(r *bpf.Socket, c *conn, b *event.Batch) {
	switch {
	case !c.x.active:
	case c.x.answered && c.plain:
		d.finish(r.Cookie, c, &c.text, b)
	case c.x.answered:
		d.finish(r.Cookie, c, &r.Progress, b)
	default:
		d.alone(r.Cookie, c, b)
	}
}

// progress ends the exchange under way if its response is whole.
func (d *Decoder) progress(cookie uint64, c *conn, p *bpf.Progress, b *event.Batch) {
	if c.x.whole(p, 1-c.outgoing()) {
		d.finish(cookie, c, p, b)
	}
}

// finish ends the exchange under way at the last byte of its response.
func (d *Decoder) finish(cookie uint64, c *conn, p *bpf.Progress, b *event.Batch) {
	x := &c.x
	out := c.outgoing()
	in := 1 - out
	if x.overrun(p, out) { // several requests in one packet
		c.pipelined = true
		d.alone(cookie, c, b)
		return
	}
	x.active = false
	x.by(p, out)
	e := b.NewExchange()
	d.fill(e, cookie, c)
	e.FirstByte = d.wall(x.firstByte)
	asked, answered := uint64(p.Next[out]-x.request), uint64(p.Next[in]-x.response)
	e.BytesOut, e.BytesIn = asked, answered
	e.Degraded = x.gaps != p.Gaps
	if c.role == event.RoleServer {
		e.BytesOut, e.BytesIn = answered, asked
	}
	if !c.plain && c.role == event.RoleClient && x.http.Method == http.MethodPost {
		d.plain++
	}
	d.tell(e, x.answer)
	d.answers.put(&x.answer)
	d.add(b, event.KindExchange, max(p.Last[in], x.firstByte), cookie, x.start).Payload = e
}

// alone reports a request without its response: none came, or nobody can tell
// which one was its own.
func (d *Decoder) alone(cookie uint64, c *conn, b *event.Batch) {
	c.x.active = false
	d.answers.put(&c.x.answer)
	e := b.NewExchange()
	d.fill(e, cookie, c)
	e.HTTP.Status = 0
	d.add(b, event.KindHTTPHead, c.x.start, cookie).Payload = e
}

func (d *Decoder) fill(e *event.Exchange, cookie uint64, c *conn) {
	x := &c.x
	*e = event.Exchange{
		Cookie: event.SocketCookie(cookie), Tuple: c.tuple, Role: c.role, Ordinal: c.ordinal, Protocol: "http/1.1",
		Start: d.wall(x.start), HTTP: x.http, Trace: x.trace, RequestID: x.requestID,
		Process: c.process, TID: x.tid, Goroutine: x.goroutine, ParentGo: x.parent, Workload: d.workload(c.of),
	}
	if x.old {
		e.Protocol = "http/1.0"
	}
}

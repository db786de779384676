package socket

import (
	"maps"
	"net/http"
	"slices"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// stream is a request of HTTP/2 and its response. Its arrays have an element for
// each direction.
type stream struct {
	id               uint32
	asked, answered  bool // request and response have begun
	degraded         bool // something of it was missed
	over             bool // the response has ended; its request was not seen yet
	start, firstByte uint64
	last             [2]uint64
	bytes            [2]uint64

	http      event.HTTP
	trace     event.TraceContext
	requestID string

	goroutine, parent uint64
	tid               uint32
	packing           packing
	body              bool    // of the response, has begun
	answer            *answer // nil where none is read
}

// stream returns a stream that is under way, from now on if it is new.
func (d *Decoder) stream(c *conn, x *http2, f *bpf.Frame, b *event.Batch) *stream {
	s := x.streams[f.Stream]
	if s != nil {
		return s
	}
	for _, old := range x.streams { // its end must have been lost
		if len(x.streams) < maxStreams {
			break
		}
		d.abandon(f.Cookie, c, old, b)
		d.drop(x, old)
		d.Forgotten++
	}
	if n := len(d.spare); n > 0 {
		s, d.spare = d.spare[n-1], d.spare[:n-1]
	} else {
		s = new(stream)
	}
	*s = stream{id: f.Stream}
	x.streams[f.Stream] = s
	return s
}

// headers takes in the header block of a request, a response or of trailers.
func (d *Decoder) headers(c *conn, x *http2, f *bpf.Frame, fs *fields, size int, b *event.Batch) {
	h := &x.halves[f.Direction]
	if c.role == event.RoleUnknown && (fs.method != "" || fs.status != 0) {
		// The connection is older than the shim: who asks is the client.
		c.role = event.RoleServer
		if (fs.method != "") == (f.Direction == bpf.Out) {
			c.role = event.RoleClient
		}
	}
	s := x.streams[f.Stream]
	switch request := int(f.Direction) == c.outgoing(); {
	case request && fs.method != "" && (s == nil || !s.asked):
		s = d.stream(c, x, f, b)
		s.asked, s.start, s.trace, s.requestID = true, h.begun, fs.traces.best(), fs.requestID
		s.http.Method, s.http.Host, s.http.Path = fs.method, fs.host, fs.path
		if c.role == event.RoleClient { // a server reads all streams in one
			s.goroutine, s.parent, s.tid = h.goroutine, h.parent, h.tid
		}
	case request || fs.status > 0 && fs.status < 200:
	case fs.status != 0 && (s == nil || !s.answered):
		// Within TLS the call that reads the response may return before the one
		// that wrote the request.
		s = d.stream(c, x, f, b)
		s.answered, s.firstByte, s.http.Status, s.packing = true, h.begun, fs.status, fs.packing
	}
	if s == nil {
		return
	}
	s.degraded = s.degraded || fs.unknown
	s.bytes[f.Direction] += uint64(size)
	d.reached(c, x, s, f, h.flags&flagEndStream != 0, b)
}

func (d *Decoder) data(c *conn, x *http2, f *bpf.Frame, data []byte, b *event.Batch) {
	s := x.streams[f.Stream]
	if s == nil {
		return
	}
	if f.First&bpf.FirstOfFrame != 0 {
		s.bytes[f.Direction] += uint64(f.Length)
	}
	d.answered(c, s, f, data)
	d.reached(c, x, s, f, f.Flags&flagEndStream != 0 && f.Passed == f.Length, b)
}

// reached notes how far a stream got, and that it ended.
func (d *Decoder) reached(c *conn, x *http2, s *stream, f *bpf.Frame, end bool, b *event.Batch) {
	s.last[f.Direction] = f.Time
	if int(f.Direction) != c.outgoing() {
		s.over = s.over || end
	}
	if s.over && s.asked {
		d.finishStream(f.Cookie, c, s, b)
		d.drop(x, s)
	}
}

// reset ends a stream before its time.
func (d *Decoder) reset(c *conn, x *http2, f *bpf.Frame, b *event.Batch) {
	if s := x.streams[f.Stream]; s != nil {
		s.last[1-c.outgoing()] = f.Time
		d.abandon(f.Cookie, c, s, b)
		d.drop(x, s)
	}
}

func (d *Decoder) drop(x *http2, s *stream) {
	delete(x.streams, s.id)
	d.answers.put(&s.answer)
	if len(d.spare) < maxStreams {
		d.spare = append(d.spare, s)
	}
}

// endStreams is the end of a connection.
func (d *Decoder) endStreams(cookie uint64, c *conn, b *event.Batch) {
	x := d.http2[cookie]
	if x == nil {
		return
	}
	d.giveUp(c, x, &x.halves[bpf.Out], b)
	d.giveUp(c, x, &x.halves[bpf.In], b)
	delete(d.http2, cookie)
	delete(d.waiting, cookie)
	for _, id := range slices.Sorted(maps.Keys(x.streams)) {
		d.abandon(cookie, c, x.streams[id], b)
		d.drop(x, x.streams[id])
	}
}

// abandon reports a stream that did not come to its end: what there was of it.
func (d *Decoder) abandon(cookie uint64, c *conn, s *stream, b *event.Batch) {
	if s.asked {
		d.finishStream(cookie, c, s, b)
	}
}

// finishStream reports an exchange, or the request alone where none answered.
func (d *Decoder) finishStream(cookie uint64, c *conn, s *stream, b *event.Batch) {
	e := b.NewExchange()
	*e = event.Exchange{
		Cookie: event.SocketCookie(cookie), Tuple: c.tuple, Role: c.role, StreamID: s.id, Protocol: "h2",
		Start: d.wall(s.start), HTTP: s.http, Trace: s.trace, RequestID: s.requestID,
		Process: c.process, TID: s.tid, Goroutine: s.goroutine, ParentGo: s.parent, Workload: d.workload(c.of),
	}
	if !s.answered {
		d.add(b, event.KindHTTPHead, s.start, cookie, uint64(s.id)).Payload = e
		return
	}
	e.FirstByte, e.BytesOut, e.BytesIn = d.wall(s.firstByte), s.bytes[bpf.Out], s.bytes[bpf.In]
	if !c.plain && c.role == event.RoleClient && s.http.Method == http.MethodPost {
		d.plain++
	}
	d.tell(e, s.answer)
	e.Degraded = s.degraded
	d.add(b, event.KindExchange, max(s.last[1-c.outgoing()], s.firstByte), cookie, s.start, uint64(s.id)).Payload = e
}

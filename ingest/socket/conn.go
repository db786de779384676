package socket

import (
	"net/http"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest/k8s/pods"
	"github.com/sennit-io/sennit/schemas/event"
)

// conn is one TCP connection as seen at one of its sockets.
type conn struct {
	tuple   event.Tuple
	role    event.Role
	process event.ProcessRef
	of      pods.Container
	// opaque connections carry no HTTP/1 that could be read: TLS, an upgrade, a
	// tunnel. On pipelined ones responses cannot be told to their requests.
	opaque, upgraded, pipelined bool
	own                         bool // the observer's own, which is not told
	hello                       bool // it began as TLS
	// plain says that the heads are those of the text within TLS, text how far it
	// got: the sequence numbers count its bytes then.
	plain   bool
	text    bpf.Progress
	ordinal uint32
	x       exchange
}

// exchange is a request that is under way.
type exchange struct {
	active, answered bool
	start, firstByte uint64 // since boot
	request          uint32 // sequence number of the request's head
	response         uint32 // of the response's, or where it must come from
	responseKnown    bool   // response is valid
	gaps             uint32 // what was missing on the connection when it began

	http                        event.HTTP
	trace                       event.TraceContext
	requestID                   string
	goroutine, parent           uint64
	tid                         uint32 // that read or wrote the request, 0 while not known
	old                         bool
	requestEnd, responseEnd     uint32 // sequence numbers, valid where known
	requestWhole, responseWhole bool   // the ends are known
	requestChunked              bool
	responseChunked             bool
	answer                      *answer // nil where none is read
}

// outgoing is the direction of the connection's requests.
func (c *conn) outgoing() int {
	if c.role == event.RoleClient {
		return bpf.Out
	}
	return bpf.In
}

// before reports whether sequence number a comes before b.
func before(a, b uint32) bool { return int32(a-b) < 0 }

// inBody reports whether a request's head at seq is part of the body of the
// request that is under way.
func (x *exchange) inBody(seq uint32, p *bpf.Progress, direction int) bool {
	switch {
	case x.requestWhole:
		return before(seq, x.requestEnd)
	case x.requestChunked:
		return !x.answered || p.Ended[direction] == 0
	}
	return !x.answered
}

// overrun reports whether more was sent than one request.
func (x *exchange) overrun(p *bpf.Progress, direction int) bool {
	return x.requestWhole && p.Known[direction] != 0 && before(x.requestEnd, p.Next[direction])
}

// whole reports whether an exchange is under way whose response has come to its
// end.
func (x *exchange) whole(p *bpf.Progress, direction int) bool {
	switch {
	case !x.active || !x.answered:
		return false
	case x.responseChunked:
		return p.Ended[direction] != 0
	}
	return x.responseWhole && p.Known[direction] != 0 && !before(p.Next[direction], x.responseEnd)
}

// by takes in which thread sent or took the request: the last one to use the socket
// in its direction, if that was with the request or after.
func (x *exchange) by(p *bpf.Progress, direction int) {
	if x.tid == 0 && before(x.request, p.Upto[direction]) {
		x.tid = p.Thread[direction]
	}
}

// ask begins an exchange with its request's head.
func (x *exchange) ask(r *bpf.Head, h *head, answers int) {
	*x = exchange{
		active: true, start: r.Time, request: r.Seq, gaps: r.Before.Gaps, old: h.old, trace: h.trace,
		response: r.Before.Next[answers], responseKnown: r.Before.Known[answers] != 0,
		requestChunked: h.chunked, goroutine: r.Goroutine, parent: r.Parent, tid: r.Tid,
	}
	if h.size > 0 && !h.chunked && h.length < 1<<31 {
		x.requestWhole = true
		x.requestEnd = r.Seq + uint32(h.size) + uint32(max(h.length, 0))
	}
}

// answeredBy takes in the response's head.
func (x *exchange) answeredBy(r *bpf.Head, h *head) {
	x.answered, x.firstByte, x.response, x.responseKnown = true, r.Time, r.Seq, true
	x.http.Status, x.old = h.status, x.old || h.old
	switch bodiless := x.http.Method == http.MethodHead || h.status == 204 || h.status == 304 || h.status == 101; {
	case h.size == 0: // its end is not known before something follows
	case bodiless:
		x.responseWhole, x.responseEnd = true, r.Seq+uint32(h.size)
	case h.chunked:
		x.responseChunked = true
	case h.length >= 0 && h.length < 1<<31:
		x.responseWhole, x.responseEnd = true, r.Seq+uint32(h.size)+uint32(h.length)
	}
}

package simulate

import (
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// hop is what running code knows of the request it works for: where it runs,
// on whose behalf, and the span it is in.
type hop struct {
	r       *request // nil: background
	pod     *pod
	proc    *process
	g       uint64 // goroutine, 0 where there are none
	parentG uint64
	trace   event.TraceID // zero: no spans here
	span    event.SpanID
	ingress *fact // the server-side exchange that this code answers
}

// message is a request on the wire and what the observers read of it.
type message struct {
	method, path, host string
	status             uint16
	out, in            uint64
	trace              event.TraceContext // as sent
	requestID          string
	model              string
	usage              event.Usage
	responseID         string
	g, parentG         uint64
	inferred           []string // rungs that could join the client's side
}

// exchange is one request and response under way.
type exchange struct {
	c        *conn
	m        *message
	r        *request
	ordinal  uint32
	stream   uint32
	cli, srv *fact
	cliStart int64
	srvStart int64
	forced   uint16 // status set by the server
}

// roundTrip sends a message over a connection that was acquired, runs serve at
// the other end, and writes both sides. It returns the facts of both.
func (w *world) roundTrip(t *task, c *conn, m *message, r *request, serve func(*task, *exchange)) *exchange {
	x := &exchange{c: c, m: m, r: r}
	if c.t.h2 {
		x.stream = c.stream*2 + 1
		c.stream++
	} else {
		c.ordinal++
		x.ordinal = c.ordinal
	}
	if c.cli != nil {
		x.cliStart = w.s.now
		x.cli = r.fact(kindEgress, c.cli.pod.node)
		x.cli.inferred, x.cli.hidden = m.inferred, c.t.opaque
		w.opened(c.cli, x)
	}
	t.sleep(c.latency + w.rng.between(5*us, 40*us))
	if c.srv != nil {
		x.srvStart = w.s.now
		x.srv = r.fact(kindIngress, c.srv.pod.node)
		if !c.srv.owned {
			w.socketOwner(c.srv, r == nil)
		}
		w.opened(c.srv, x)
	}
	if x.cli != nil && x.srv != nil {
		x.cli.link(timeline.FiveTuple, x.srv)
		x.srv.link(timeline.FiveTuple, x.cli)
	}
	serve(t, x)
	if x.forced != 0 {
		m.status = x.forced
	}
	if c.srv != nil {
		w.ended(c.srv, x, x.srv, x.srvStart, m.out, m.in)
	}
	t.sleep(c.latency + w.rng.between(5*us, 40*us))
	if c.cli != nil {
		w.ended(c.cli, x, x.cli, x.cliStart, m.in, m.out)
	}
	return x
}

// opened notes an exchange on its socket and lets the other observers look.
func (w *world) opened(e *end, x *exchange) {
	e.open = append(e.open, x)
	background := x.r == nil
	// Hubble aggregates: data on a connection is reported every five seconds.
	if w.s.now-e.flowed > 5*s1 && !x.c.t.opaque {
		e.flowed = w.s.now
		w.s.at(w.s.now+w.rng.between(20*us, 250*us), func() { w.dataFlow(e) })
	}
	if e.pod.watched() && w.rng.chance(0.25) {
		w.s.at(w.s.now+w.rng.between(2*us, 30*us), func() { w.sendmsg(e, background) })
	}
}

// dataFlow reports packets of a connection. It belongs to a request if exactly
// one exchange was open on the socket when it was seen.
func (w *world) dataFlow(e *end) {
	if len(e.open) == 0 {
		return
	}
	x := e.open[0]
	point := "TO_STACK"
	if e.role == event.RoleServer {
		point = "TO_ENDPOINT"
	}
	id, at, ok := w.endFlow(e, flagsPSHACK, false, point, flowTrace, x.r == nil)
	if len(e.open) != 1 || !ok {
		return
	}
	w.flowFact(e, x, id, at)
}

// flowFact records a flow that belongs to the one exchange open on its socket.
func (w *world) flowFact(e *end, x *exchange, id event.ID, at event.Time) *fact {
	f := x.r.fact(kindFlow, e.pod.node)
	f.event, f.start, f.end = id, at, at
	if own := x.side(e); own != nil && !e.lost && x.r != nil {
		f.link(timeline.FiveTuple, own)
	}
	w.background(f)
	return f
}

// sendmsg reports a write on a socket by the kernel address of its sock.
func (w *world) sendmsg(e *end, background bool) {
	if len(e.open) == 0 || e.proc.dead {
		return
	}
	x := e.open[0]
	at := w.kprobeSock(e.proc, "tcp_sendmsg", e, int(x.m.out), background)
	if at.at == 0 || len(e.open) != 1 {
		return
	}
	f := x.r.fact(kindSyscall, e.pod.node)
	f.start, f.end, f.event, f.pid, f.execID = at.at, at.at, at.id, e.proc.pid, e.proc.execID
	f.function, f.sock = "tcp_sendmsg", e.addr
	if own := x.side(e); own != nil && !e.lost && x.r != nil {
		f.link(timeline.SockAddress, own)
	}
	w.background(f)
}

func (x *exchange) side(e *end) *fact {
	if e.role == event.RoleClient {
		return x.cli
	}
	return x.srv
}

// ended writes one side of an exchange.
func (w *world) ended(e *end, x *exchange, f *fact, start int64, out, in uint64) {
	e.open = slices.DeleteFunc(e.open, func(o *exchange) bool { return o == x })
	n := e.pod.node
	m := x.m
	now := w.s.now
	e.out += out
	e.in += in
	f.start, f.end = n.clock(start), n.clock(now)
	f.cookie, f.ordinal, f.stream = e.cookie, x.ordinal, x.stream
	if x.c.t.opaque {
		w.exchangeP = event.Exchange{
			Cookie: e.cookie, Tuple: e.tuple(), Role: e.role, Start: f.start, FirstByte: n.clock(start + (now-start)/2),
			BytesOut: out, BytesIn: in, Process: e.proc.ref, TID: e.pod.tid(e.proc), Workload: e.pod.workload,
		}
		n.emit(event.KindBurst, now, uint64(e.cookie), &w.exchangeP, x.r == nil)
		return
	}
	w.exchangeP = event.Exchange{
		Cookie: e.cookie, Tuple: e.tuple(), Role: e.role, Ordinal: x.ordinal, StreamID: x.stream, Protocol: "http/1.1",
		Start: f.start, FirstByte: n.clock(start + (now-start)*9/10), BytesOut: out, BytesIn: in,
		HTTP:  event.HTTP{Method: m.method, Host: m.host, Path: m.path, Status: m.status},
		Trace: m.trace, RequestID: m.requestID, Process: e.proc.ref, TID: e.pod.tid(e.proc), Workload: e.pod.workload,
	}
	if x.stream != 0 {
		w.exchangeP.Protocol = "h2"
	}
	if e.role == event.RoleClient {
		w.exchangeP.Goroutine, w.exchangeP.ParentGo = m.g, m.parentG
		w.exchangeP.Model, w.exchangeP.Usage, w.exchangeP.ResponseID = m.model, m.usage, m.responseID
	} else if e.pod.svc.lang == langGo {
		w.exchangeP.Goroutine = x.goroutine()
	}
	f.lost = !n.emit(event.KindExchange, now, uint64(e.cookie)<<20|uint64(x.ordinal+x.stream), &w.exchangeP, x.r == nil)
	f.event = w.scratch.ID
	if !m.trace.TraceID.IsZero() {
		f.linkTrace(timeline.TraceContext, m.trace.TraceID)
	}
	w.background(f)
}

// goroutine is the one that serves the exchange: HTTP/1 has one a connection,
// HTTP/2 one a stream.
func (x *exchange) goroutine() uint64 {
	if x.stream != 0 {
		return uint64(x.c.srv.cookie)*64 + 10_000_000 + uint64(x.stream)
	}
	return uint64(x.c.srv.cookie)*64 + 17
}

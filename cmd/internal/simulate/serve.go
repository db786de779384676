package simulate

import (
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// handler is the code of a service behind its HTTP server; it returns the
// status of its answer.
type handler func(w *world, t *task, h *hop, x *exchange) uint16

// serve runs a service's handler for an exchange that reached one of its pods,
// inside a server span where the service has one.
func (w *world) serve(t *task, x *exchange) {
	p := x.c.srv.pod
	svc := p.svc
	h := &hop{r: x.r, pod: p, proc: p.main, ingress: x.srv}
	if svc.lang == langGo {
		h.g = x.goroutine()
	}
	if x.r != nil && x.r.outer == nil {
		x.r.outer = x.srv
	}
	t.sleep(w.rng.between(20*us, 200*us))
	var sp *span
	if svc.spans && !svc.plain && x.r != nil {
		if svc.takes && x.m.trace.Format == "traceparent" {
			h.trace, h.span = x.m.trace.TraceID, x.m.trace.SpanID
		}
		sp, h = w.span(h, scopeServer, x.m.method+" "+x.m.path, event.SpanKindServer)
		remote := x.c.srv.remote
		sp.str("server.address", svc.name).str("http.request.method", x.m.method).str("url.scheme", "http").
			str("network.peer.address", remote.Addr().String()).int("network.peer.port", int64(remote.Port())).
			str("client.address", remote.Addr().String()).str("url.path", x.m.path).
			str("network.protocol.version", protocolVersion(x)).str("http.route", x.m.path)
	}
	if svc.l7 {
		w.httpFlow(x, false)
	}
	status := svc.serve(w, t, h, x)
	x.forced = status
	if svc.l7 {
		w.httpFlow(x, true)
	}
	if sp != nil {
		sp.int("http.response.status_code", int64(status))
		if status >= 500 {
			sp.failed = "server error"
		}
		if w.end(sp) && x.stream == 0 {
			x.srv.linkTrace(timeline.SpanPeer, sp.trace)
		}
	}
	t.sleep(w.rng.between(10*us, 60*us))
}

func protocolVersion(x *exchange) string {
	if x.stream != 0 {
		return "2"
	}
	return "1.1"
}

// httpFlow is what the proxy in front of a pod notes of an exchange.
func (w *world) httpFlow(x *exchange, response bool) {
	e := x.c.srv
	f := flow{
		src: e.remote, dst: e.local, dstPod: e.pod, kind: flowL7,
		http: &httpFlow{response: response, method: x.m.method, url: "http://" + e.pod.svc.name + "." + e.pod.svc.namespace + x.m.path, code: 200},
	}
	if x.c.cli != nil {
		f.srcPod = x.c.cli.pod
	}
	if x.m.trace.Format == "traceparent" {
		f.http.trace = x.m.trace.TraceID
	}
	if !response && w.rng.chance(0.3) && !f.http.trace.IsZero() { // headers are exported
		b := append([]byte("00-"), appendHex(nil, f.http.trace[:])...)
		f.http.header = string(append(appendHex(append(b, '-'), x.m.trace.SpanID[:]), "-01"...))
	}
	if response {
		f.http.latency, f.http.code, f.reply = w.s.now-x.srvStart, int(x.m.status), true
		f.src, f.dst, f.srcPod, f.dstPod = f.dst, f.src, f.dstPod, f.srcPod
	}
	id, at, ok := w.flow(e.pod.node, &f, x.r == nil)
	if !ok || x.r == nil {
		return
	}
	fact := x.r.fact(kindFlow, e.pod.node)
	fact.event, fact.start, fact.end = id, at, at
	if !f.http.trace.IsZero() && !x.r.shared {
		fact.linkTrace(timeline.TraceContext, f.http.trace)
	}
	if len(e.open) == 1 && !e.lost {
		fact.link(timeline.FiveTuple, x.srv)
	}
	fact.inferred = []string{timeline.Assignment}
}

// call is one HTTP request from a service to another, with a client span where
// the caller makes them.
func (w *world) call(t *task, h *hop, tg *target, m *message, serve func(*task, *exchange)) *exchange {
	svc := h.pod.svc
	in := h
	var sp *span
	if svc.spans && !svc.plain && (svc.sends || svc.cookies || svc == w.gateway) && h.r != nil && h.proc == h.pod.main {
		sp, in = w.span(h, scopeClient, "HTTP "+m.method, event.SpanKindClient)
		sp.str("http.request.method", m.method).str("url.full", urlOf(tg, m)).str("server.address", tg.host).int("server.port", int64(tg.addr.Port()))
	}
	if svc.sends && !in.span.IsZero() && h.proc == h.pod.main {
		m.trace = event.TraceContext{TraceID: in.trace, SpanID: in.span, Format: "traceparent"}
	}
	m.g, m.parentG = h.g, h.parentG
	if tg.h2 && h.g != 0 { // the transport's own goroutine writes the headers
		h.pod.goroutines++
		m.g, m.parentG = 1_000_000_000+h.pod.goroutines, h.g
	}
	c := w.acquire(t, h.pod.poolFor(tg.addr), h.pod, h.proc, tg, h.r)
	x := w.roundTrip(t, c, m, h.r, serve)
	if h.r != nil {
		if m.g != 0 && h.ingress != nil && m.g == h.ingressG() {
			x.cli.link(timeline.Goroutine, h.ingress)
		}
	}
	w.release(c, keepAlive(tg))
	if sp != nil {
		sp.int("http.response.status_code", int64(m.status)).str("network.protocol.version", protocolVersion(x))
		if svc.cookies {
			sp.str("sennit.socket_cookie", c.cli.cookie.String())
		}
		if m.status >= 500 {
			sp.failed = "server error"
		}
		if w.end(sp) && svc.cookies && x.stream == 0 {
			x.cli.linkTrace(timeline.SpanSocket, sp.trace)
		}
	}
	return x
}

// ingressG is the goroutine that serves the hop's own request, 0 where there
// are none.
func (h *hop) ingressG() uint64 {
	if h.pod.svc.lang != langGo || h.parentG != 0 {
		return 0
	}
	return h.g
}

func keepAlive(tg *target) float64 {
	if tg.h2 {
		return 0.998
	}
	return 0.88
}

func urlOf(tg *target, m *message) string {
	if tg.tls {
		return "https://" + tg.host + m.path
	}
	return "http://" + tg.host + m.path
}

// toService is the target of a service's cluster address.
func (svc *service) target() *target {
	if svc.asTarget == nil {
		svc.asTarget = &target{addr: svc.cluster, svc: svc, host: svc.name + "." + svc.namespace, h2: svc.h2}
	}
	return svc.asTarget
}

// serveGateway hands a request on to the agent its path names.
func serveGateway(w *world, t *task, h *hop, x *exchange) uint16 {
	t.sleep(w.rng.lognormal(800*us, 0.5))
	if h.r != nil && h.r.rogue == rogueNone && w.rng.chance(0.02) { // an overloaded agent
		h.r.shared = true
		return 503
	}
	svc := w.planner
	switch x.m.path {
	case "/research":
		svc = w.researcher
	case "/billing":
		svc = w.billing
	case "/healthz":
		return 200
	}
	m := &message{
		method: "POST", path: x.m.path, host: svc.name, status: 200, out: uint64(w.rng.between(300, 4000)), in: uint64(w.rng.between(300, 9000)),
		inferred: []string{timeline.Assignment},
	}
	w.call(t, h, svc.target(), m, w.serve)
	t.sleep(w.rng.lognormal(300*us, 0.5))
	return m.status
}

// serveVectors is a tool server without any instrumentation.
func serveVectors(w *world, t *task, h *hop, x *exchange) uint16 {
	t.sleep(w.rng.lognormal(4*ms, 0.6))
	return 200
}

// serveIdle answers background requests.
func serveIdle(w *world, t *task, h *hop, x *exchange) uint16 {
	t.sleep(w.rng.lognormal(2*ms, 0.8))
	return 200
}

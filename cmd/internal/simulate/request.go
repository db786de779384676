package simulate

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// request is one request from outside and everything it caused.
type request struct {
	id      string
	n       int
	client  netip.Addr
	method  string
	path    string
	trace   event.TraceID // as the load balancer has it
	shared  bool          // other requests carry the same trace id
	fragile bool          // … and spans that would tell them apart were lost
	outer   *fact         // the outermost exchange
	facts   []*fact
	holds   int // what still runs for it
	rogue   rogueAct
	acted   bool // the rogue act is done
	claimed bool
	logged  bool       // the load balancer's log names its client
	victim  *request   // whose trace id it forges
	forgers []*request // who forged its trace id and are over before it is
	settled bool
	acts    []act
	status  uint16
}

func (r *request) hold() {
	if r != nil {
		r.holds++
	}
}

// drop ends a part of a request; with the last one its truth is settled.
func (w *world) drop(r *request) {
	if r == nil {
		return
	}
	if r.holds--; r.holds > 0 {
		return
	}
	w.inflight = slices.DeleteFunc(w.inflight, func(o *request) bool { return o == r })
	w.settle(r)
}

// client sends one request after the other.
type client struct {
	ip      netip.Addr
	session event.TraceID // sent with every request, zero for none
}

func (w *world) newClient(i int) *client {
	c := &client{ip: netip.AddrFrom4([4]byte{203, 0, byte(113 + i/250%8), byte(1 + i%250)})}
	// A browser session: two windows of one user share a trace id.
	if k := i % 16; w.o.TraceContext != TraceNone && (k == 3 || k == 4) {
		if k == 4 && len(w.sessions) > 0 {
			c.session = w.sessions[len(w.sessions)-1]
		} else {
			c.session = w.rng.traceID()
			w.sessions = append(w.sessions, c.session)
		}
	}
	return c
}

func (w *world) runClient(t *task, c *client) {
	for w.issued < w.o.Requests {
		r := w.newRequest(c, nil)
		w.send(t, r)
		if r.status == 503 { // a retry, under the same trace id
			t.sleep(w.rng.between(50*ms, 400*ms))
			if w.issued == w.o.Requests {
				return
			}
			w.send(t, w.newRequest(c, r))
		}
		t.sleep(w.rng.exp(int64(w.o.ThinkTime)))
	}
}

// newRequest is a client's next request; again is the one that it repeats, nil for none.
func (w *world) newRequest(c *client, again *request) *request {
	w.issued++
	w.sum.Requests++
	r := &request{id: fmt.Sprintf("r-%06d", w.issued), n: w.issued, client: c.ip, method: "POST", holds: 1, facts: make([]*fact, 0, 24)}
	r.path = [...]string{"/run", "/run", "/research", "/billing"}[w.rng.intn(4)]
	r.trace = w.rng.traceID()
	if !c.session.IsZero() {
		r.trace, r.shared = c.session, true
	}
	if again != nil {
		r.path = again.path
		if w.o.TraceContext != TraceNone {
			r.trace, r.shared = again.trace, true
		}
	}
	w.chooseRogue(r, again != nil)
	if r.rogue == rogueForge {
		w.did(r, nil)
	}
	w.inflight = append(w.inflight, r)
	return r
}

// send is the load balancer: the firewall, the choice of a gateway, the log.
func (w *world) send(t *task, r *request) {
	defer w.drop(r)
	e := edgeEntry{r: r, start: w.s.now, trace: r.trace, span: w.rng.spanID(), reqSize: uint64(w.rng.between(300, 4000)), respSize: 180}
	if w.rng.chance(0.03) {
		t.sleep(w.rng.between(200*us, 3*ms))
		e.status, e.details, e.denied = 403, "denied_by_security_policy", "owasp-crs-v030301-id942100-sqli"
		r.status = 403
		w.logEdge(&e)
		return
	}
	m := &message{
		method: r.method, path: r.path, host: "agents.example.com", status: 200, out: e.reqSize, in: uint64(w.rng.between(400, 9000)),
		requestID: string(appendUUID(nil, w.rng.uuid())),
	}
	cloud := w.o.TraceContext == TraceMixed && w.rng.chance(0.5)
	switch {
	case cloud:
		m.trace = event.TraceContext{TraceID: r.trace, SpanID: e.span, Format: "cloud"}
	case w.o.TraceContext != TraceNone:
		m.trace = event.TraceContext{TraceID: r.trace, SpanID: e.span, Format: "traceparent"}
	}
	t.sleep(w.rng.between(300*us, 2*ms))
	c := w.acquire(t, &w.lb, nil, nil, &w.lbTarget, r)
	x := w.roundTrip(t, c, m, r, w.serve)
	e.backend = c.srv.pod
	w.release(c, 0.93)
	r.status = m.status
	e.status, e.details, e.respSize = int(m.status), "response_sent_by_backend", m.in
	if w.rng.chance(0.75) { // the log is sampled
		w.logEdge(&e)
		f := r.facts[len(r.facts)-1]
		f.inferred = []string{timeline.EdgeWindow}
		if w.o.TraceContext != TraceNone && !x.srv.lost {
			f.linkTrace(timeline.TraceContext, r.trace)
		}
	}
}

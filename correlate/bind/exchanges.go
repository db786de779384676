package bind

import (
	"cmp"
	"slices"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// exchange is one request and its response on a socket of the node.
type exchange struct {
	e       *event.Event // its own copy of the head: the rest of the turn can go
	p       *event.Exchange
	head    event.Event
	u       *usedSocket
	key     correlate.Key
	also    correlate.Key // another key of the same request
	method  correlate.Method
	span    event.SpanID // the span it shares a step with, if bind found it
	decided bool         // had its second look
	emitted bool         // stitch has its row
	late    bool
	links   []correlate.Link // found before the key was
	call    *call            // of a client: the search for whose it is
	// What an inferred rung found: the join, or the requests in question. The
	// key is byInference only where the other end of the connection told none.
	inferred, byInference *correlate.Inference
	among                 []correlate.Candidate
}

func (x *exchange) server() bool { return x.p.Role == event.RoleServer }

// covers reports whether the exchange was under way at t. There is no slack
// here: just before and just after it the connection may have been another's.
func (x *exchange) covers(t event.Time) bool { return x.p.Start <= t && t <= x.e.Time }

// routine is a goroutine of a process.
type routine struct {
	process event.ProcessRef
	id      uint64
}

// response is what is known of a model's response id.
type response struct {
	exchange *exchange
	span     *answer
}

func (n *Node) indexExchange(e *event.Event, p *event.Exchange) *exchange {
	n.booted(e)
	s := n.socket(e.Boot, p.Cookie, p.Tuple, p.Role, e.Time)
	if s.workload == nil && (p.Workload.Pod != "" || p.Workload.PodUID != "") {
		s.workload = n.named(&p.Workload, nil)
	}
	if s.owner == nil && !p.Process.IsZero() {
		s.owner = n.processes.at(p.Process, e.Time)
		s.conn().PID = p.Process.PID
	}
	x := &exchange{head: *e, p: p, u: s.used()}
	x.e = &x.head
	n.exchanges[e.ID] = x
	s.sum()
	u := x.u
	at := len(u.recent)
	for at > 0 && u.recent[at-1].e.Time > e.Time { // late
		at--
	}
	u.recent = slices.Insert(u.recent, at, x)
	if p.Goroutine != 0 && !p.Process.IsZero() && !x.server() {
		key := routine{p.Process, p.Goroutine}
		n.routines[key] = append(n.routines[key], x)
	}
	if p.ResponseID != "" {
		n.response(p.ResponseID).exchange = x
	}
	if !p.Trace.TraceID.IsZero() {
		x.key, x.method = correlate.TraceKey(p.Trace.TraceID), correlate.TraceContext
	}
	return x
}

func (n *Node) response(id string) *response {
	r := n.responses[id]
	if r == nil {
		r = &response{}
		n.responses[id] = r
	}
	return r
}

// decideExchange climbs the ladder for one exchange.
func (n *Node) decideExchange(x *exchange, late bool) {
	x.decided, x.late = true, late
	n.offer(x)
	if c := x.u.s.claimFor(x); c != nil {
		n.claimed(x, c)
	}
	if r := n.responses[x.p.ResponseID]; x.p.ResponseID != "" && r.span != nil {
		n.answered(x, r.span)
	}
	if p := x.u.s.owner; p != nil && p.works() {
		n.follow(x, p)
	} else if !x.server() {
		n.callExchange(x)
	}
	if x.key.IsZero() && n.ablate.NearestSpan {
		n.bindNearest(x)
	}
	switch {
	case !x.key.IsZero():
		n.emit(x)
		if x.server() {
			n.ownRequest(x)
		}
	case x.server():
		n.localize.push(n.now.Add(n.cfg.Localize-n.cfg.Settle), x)
		return
	}
	n.horizon(waiting{x: x}, x.u.s.workload)
}

// localizeOne gives a served request that nobody claimed a key of its own.
func (n *Node) localizeOne(x *exchange) {
	if x.key.IsZero() {
		n.bindTo(x, correlate.LocalKey(x.e.ID), correlate.SocketCookie)
	}
	n.ownRequest(x)
	n.horizon(waiting{x: x}, x.u.s.workload)
}

// bindTo states that the exchange belongs to key on the rung method. Two keys
// of one exchange are one request.
func (n *Node) bindTo(x *exchange, key correlate.Key, method correlate.Method) {
	switch {
	case key.IsZero(), x.inferred != nil: // what was decided stays
		return
	case x.key.IsZero():
		x.key, x.method = key, method
		for _, l := range x.links {
			n.link(x, l)
		}
		x.links = nil
		if x.decided {
			n.emit(x)
			n.offer(x)
		}
	case x.key != key:
		x.also = key
		n.out.Aliases = append(n.out.Aliases, correlate.Alias{A: x.key, B: key, Method: method, Time: n.now})
	case method < x.method && !x.emitted:
		x.method = method
	}
}

// emit hands the exchange's row to stitch, once, and what follows from it.
func (n *Node) emit(x *exchange) {
	if x.emitted {
		return
	}
	x.emitted = true
	x.u.joined = true
	conn := &x.u.conn
	conn.Steps++
	n.row(correlate.Row{Key: x.key, Event: x.e, Method: x.method, Conn: conn, Span: x.span, Late: x.late, Inferred: x.byInference})
	if x.server() && x.p.Goroutine != 0 && !x.p.Process.IsZero() {
		n.causes(x)
	}
	if x.p.Ordinal != 0 {
		n.placePending(x)
	}
}

// causes gives the calls that a goroutine made while it served x to x's
// request.
func (n *Node) causes(x *exchange) {
	for _, c := range n.routines[routine{x.p.Process, x.p.Goroutine}] {
		if c.p.Start >= x.p.Start && c.e.Time <= x.e.Time {
			n.bindTo(c, x.key, correlate.Goroutine)
			n.link(c, correlate.Link{Kind: correlate.LinkCause, From: c.e.ID, To: x.e.ID, Method: correlate.Goroutine})
		}
	}
}

// link states a relation of the exchange, now or when it has a key.
func (n *Node) link(x *exchange, l correlate.Link) {
	if x.key.IsZero() {
		x.links = append(x.links, l)
		return
	}
	l.Key, l.Time = x.key, x.e.Time
	n.out.Links = append(n.out.Links, l)
}

// offer tells the hub what this end of the connection knows.
func (n *Node) offer(x *exchange) {
	if !x.p.Tuple.Complete() || x.p.Ordinal == 0 && x.p.StreamID == 0 {
		return
	}
	n.out.Offers = append(n.out.Offers, Offer{
		ID: x.e.ID, Node: n.name, Tuple: x.p.Tuple, Server: x.server(), Ordinal: x.p.Ordinal, Stream: x.p.StreamID,
		Start: cmp.Or(x.p.Start, x.e.Time), End: x.e.Time, Key: x.key, Method: x.method,
		Opened: x.u.s.opened, Closed: x.u.s.closed, Cluster: x.e.Cluster,
	})
}

// Answer takes in what the hub found at the other end. It may produce rows,
// and further offers for the next round.
func (n *Node) Answer(a Answer, now event.Time, out *Out) {
	x := n.exchanges[a.ID]
	if x == nil {
		return
	}
	n.out, n.now = out, max(n.now, now)
	if a.First && x.server() {
		n.link(x, correlate.Link{Kind: correlate.LinkPeer, From: x.e.ID, To: a.Peer, Method: correlate.FiveTuple})
	}
	if !a.Key.IsZero() {
		if x.key.IsZero() {
			out.Derived++
			out.Fates[correlate.Control]++
		}
		n.bindTo(x, a.Key, correlate.FiveTuple)
	}
	n.out = nil
}

// expire ends the wait of something: no claim can come any more.
func (n *Node) expire(w waiting) {
	switch {
	case w.response != "":
		if r := n.responses[w.response]; r != nil && r.span == w.span && r.exchange == nil {
			delete(n.responses, w.response)
		}
		return
	}
	x := w.x
	if x.call != nil && !x.call.decided {
		x.call.waiting = true
		return // it is decided with its epoch
	}
	switch {
	case x.emitted:
	case x.among != nil:
		n.doubtful(x.e, x.among)
	default:
		n.out.unmatched(x.e, correlate.Ambient)
	}
	delete(n.exchanges, x.e.ID)
	u := x.u
	for len(u.recent) > 0 && n.exchanges[u.recent[0].e.ID] != u.recent[0] {
		u.recent[0] = nil
		u.recent = u.recent[1:]
	}
	if r := n.responses[x.p.ResponseID]; r != nil && r.exchange == x {
		delete(n.responses, x.p.ResponseID)
	}
	if x.p.Goroutine != 0 {
		key := routine{x.p.Process, x.p.Goroutine}
		list := n.routines[key]
		for len(list) > 0 && n.exchanges[list[0].e.ID] != list[0] {
			list = list[1:]
		}
		if len(list) == 0 {
			delete(n.routines, key)
		} else {
			n.routines[key] = list
		}
	}
}

// bindNearest is what a tracer without identifiers does; see Ablation.
func (n *Node) bindNearest(x *exchange) {
	for i := len(n.spans) - 1; i >= 0; i-- {
		sp := n.spans[i].Payload.(*event.Span)
		if sp.Start <= x.p.Start && sp.Kind != event.SpanKindServer {
			n.bindTo(x, correlate.TraceKey(sp.TraceID), correlate.TraceContext)
			return
		}
	}
}

package bind

import (
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// claim is a span that says which socket it used.
type claim struct {
	trace        event.TraceID
	span, parent event.SpanID
	start, end   event.Time
	method       correlate.Method
	taken        *exchange
}

// answer is a span that names a model's response.
type answer struct {
	trace      event.TraceID
	span       event.SpanID
	start, end event.Time
	workload   event.Workload
}

func answerOf(e *event.Event, p *event.Span) *answer {
	return &answer{p.TraceID, p.SpanID, p.Start, e.Time, p.Workload}
}

// indexSpan takes in a span: what its workload runs, and which socket it names.
func (n *Node) indexSpan(e *event.Event, p *event.Span) {
	if p.Stage != event.StageNone && p.Stage != event.StageHTTP {
		n.workloadOf(&p.Workload).agent = true
	}
	if p.Stage == event.StageModel {
		n.models.add(p.SpanID, n.now)
		n.callers.add(p.ParentID, n.now)
	}
	if n.ablate.NearestSpan {
		n.spans = append(n.spans, e)
	}
	if p.Stage == event.StageModel && p.GenAI.ResponseID != "" {
		a := answerOf(e, p)
		n.response(p.GenAI.ResponseID).span = a
		n.horizon(waiting{span: a, response: p.GenAI.ResponseID}, nil)
	}
}

// decideSpan hands the span to its trace, with the socket and exchange it
// names where they are there.
func (n *Node) decideSpan(d decision, p *event.Span) {
	if p.TraceID.IsZero() || p.SpanID.IsZero() { // names nothing
		n.out.unmatched(d.e, correlate.Ambient)
		return
	}
	r := correlate.Row{Key: correlate.TraceKey(p.TraceID), Event: d.e, Method: correlate.TraceContext, Late: d.late}
	c := n.claim(d.e, p)
	if c.s != nil {
		r.Conn = c.s.conn()
		r.Method = c.method
		cl := &claim{trace: p.TraceID, span: p.SpanID, parent: p.ParentID, start: p.Start, end: d.e.Time, method: c.method}
		if x := c.s.exchangeFor(cl); x != nil {
			n.claimed(x, cl)
		} else {
			c.s.keep(cl, n.now.Add(-n.cfg.AgentHorizon))
		}
	}
	n.row(r)
	n.ownSpan(d.e, p, c.s != nil)
	if p.Stage == event.StageModel && p.GenAI.ResponseID != "" {
		if rs := n.responses[p.GenAI.ResponseID]; rs != nil && rs.exchange != nil && rs.exchange.decided {
			n.answered(rs.exchange, answerOf(d.e, p))
		}
	}
}

// named is the socket a span names, and the rung it names it by.
type named struct {
	s      *socket
	method correlate.Method
}

func (n *Node) claim(e *event.Event, p *event.Span) named {
	switch p.Kind {
	case event.SpanKindServer:
		if p.Peer.IsValid() {
			return named{n.accepted(p, e.Time), correlate.SpanPeer}
		}
	case event.SpanKindClient:
		return named{n.dialled(e, p), correlate.SpanSocket}
	}
	return named{}
}

// keep remembers a claim whose exchange has not ended yet.
func (s *socket) keep(c *claim, oldest event.Time) {
	u := s.used()
	for len(u.claims) > 0 && (u.claims[0].taken != nil || u.claims[0].end < oldest) {
		u.claims[0] = nil
		u.claims = u.claims[1:]
	}
	u.claims = append(u.claims, c)
}

// exchangeFor finds the exchange that a span's claim is about, nil if it has
// not ended yet.
func (s *socket) exchangeFor(c *claim) *exchange {
	var best *exchange
	var most time.Duration
	list := s.recent()
	for i := len(list) - 1; i >= 0; i-- {
		x := list[i]
		if x.e.Time < c.start.Add(-slack) && x.p.Ordinal != 0 {
			break // earlier ones ended earlier still
		}
		if x.span != (event.SpanID{}) {
			continue
		}
		if over, ok := agree(x, c); ok && (best == nil || over > most) {
			best, most = x, over
		}
	}
	return best
}

// claimFor finds the span that claims the exchange.
func (s *socket) claimFor(x *exchange) *claim {
	if x.span != (event.SpanID{}) {
		return nil
	}
	var best *claim
	var most time.Duration
	for _, c := range s.used().claims {
		if c.taken != nil {
			continue
		}
		if over, ok := agree(x, c); ok && (best == nil || over > most) {
			best, most = c, over
		}
	}
	return best
}

// agree reports whether exchange and span can be two views of one call, and
// for how long they ran together.
//
// A server's span has the wire's span as its parent, a client's span is the
// wire's: then they are one, and if they contradict the wire they are not. A
// wire without context says nothing, nor does a new root on a server that took
// no context over. Then the times decide, since one request at a time goes over
// an HTTP/1 connection: the span began while its exchange was under way. On
// HTTP/2 nothing tells.
func agree(x *exchange, c *claim) (time.Duration, bool) {
	server := c.method == correlate.SpanPeer
	if x.p.Role != event.RoleUnknown && x.server() != server {
		return 0, false
	}
	over := min(x.e.Time, c.end).Sub(max(x.p.Start, c.start))
	if wire := x.p.Trace; !wire.TraceID.IsZero() {
		caller := c.parent
		if !server {
			caller = c.span
		}
		switch {
		case server && caller.IsZero(): // a new root
		case wire.TraceID != c.trace || !wire.SpanID.IsZero() && wire.SpanID != caller:
			return 0, false
		case !wire.SpanID.IsZero():
			return over + time.Hour, over > -slack
		}
	}
	began := c.start >= x.p.Start.Add(-tick) && c.start <= x.e.Time
	if !server {
		began = c.start <= x.p.Start.Add(tick) && x.p.Start <= c.end
	}
	return over, began && x.p.Ordinal != 0
}

// tick is the precision to which a process's clock and the kernel's, put on
// the wall clock, agree on one node.
const tick = time.Millisecond

// claimed joins an exchange and the span that claims it.
func (n *Node) claimed(x *exchange, c *claim) {
	c.taken = x
	x.span = c.span
	n.bindTo(x, correlate.TraceKey(c.trace), c.method)
	n.link(x, correlate.Link{Kind: correlate.LinkSpan, From: x.e.ID, Span: c.span, Method: c.method})
}

// answered joins an exchange and the model span that names its response.
func (n *Node) answered(x *exchange, a *answer) {
	if x.span != (event.SpanID{}) || !binds(&a.workload, x.u.s.workload) ||
		x.p.Start < a.start.Add(-slack) || x.e.Time > a.end.Add(slack) {
		return // ids of some servers come again
	}
	x.span = a.span
	n.bindTo(x, correlate.TraceKey(a.trace), correlate.ResponseID)
	n.link(x, correlate.Link{Kind: correlate.LinkSpan, From: x.e.ID, Span: a.span, Method: correlate.ResponseID})
}

package bind

import (
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// claim is a span that says which socket it used.
type claim struct {
	e      *event.Event
	p      *event.Span
	method correlate.Method
	taken  *exchange
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
		n.response(p.GenAI.ResponseID).span = e
		n.horizon(waiting{e: e, response: p.GenAI.ResponseID}, nil)
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
		r.Conn = c.s.conn
		r.Method = c.method
		cl := &claim{e: d.e, p: p, method: c.method}
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
			n.answered(rs.exchange, d.e)
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
	for len(s.claims) > 0 && (s.claims[0].taken != nil || s.claims[0].e.Time < oldest) {
		s.claims[0] = nil
		s.claims = s.claims[1:]
	}
	s.claims = append(s.claims, c)
}

// exchangeFor finds the exchange that a span's claim is about, nil if it has
// not ended yet.
func (s *socket) exchangeFor(c *claim) *exchange {
	var best *exchange
	var most time.Duration
	for i := len(s.recent) - 1; i >= 0; i-- {
		x := s.recent[i]
		if x.e.Time < c.p.Start.Add(-slack) && x.p.Ordinal != 0 {
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
	for _, c := range s.claims {
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
	over := min(x.e.Time, c.e.Time).Sub(max(x.p.Start, c.p.Start))
	if wire := x.p.Trace; !wire.TraceID.IsZero() {
		caller := c.p.ParentID
		if !server {
			caller = c.p.SpanID
		}
		switch {
		case server && caller.IsZero(): // a new root
		case wire.TraceID != c.p.TraceID || !wire.SpanID.IsZero() && wire.SpanID != caller:
			return 0, false
		case !wire.SpanID.IsZero():
			return over + time.Hour, over > -slack
		}
	}
	began := c.p.Start >= x.p.Start.Add(-tick) && c.p.Start <= x.e.Time
	if !server {
		began = c.p.Start <= x.p.Start.Add(tick) && x.p.Start <= c.e.Time
	}
	return over, began && x.p.Ordinal != 0
}

// tick is the precision to which a process's clock and the kernel's, put on
// the wall clock, agree on one node.
const tick = time.Millisecond

// claimed joins an exchange and the span that claims it.
func (n *Node) claimed(x *exchange, c *claim) {
	c.taken = x
	x.span = c.p.SpanID
	n.bindTo(x, correlate.TraceKey(c.p.TraceID), c.method)
	n.link(x, correlate.Link{Kind: correlate.LinkSpan, From: x.e.ID, Span: c.p.SpanID, Method: c.method})
}

// answered joins an exchange and the model span that names its response.
func (n *Node) answered(x *exchange, span *event.Event) {
	p := span.Payload.(*event.Span)
	if x.span != (event.SpanID{}) || !binds(&p.Workload, x.s.workload) ||
		x.p.Start < p.Start.Add(-slack) || x.e.Time > span.Time.Add(slack) {
		return // ids of some servers come again
	}
	x.span = p.SpanID
	n.bindTo(x, correlate.TraceKey(p.TraceID), correlate.ResponseID)
	n.link(x, correlate.Link{Kind: correlate.LinkSpan, From: x.e.ID, Span: p.SpanID, Method: correlate.ResponseID})
}

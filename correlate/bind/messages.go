package bind

import (
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// message names the requests that a proxy saw on one connection, in one
// direction.
type message struct {
	tuple  event.Tuple
	egress bool
}

// question is what an answer wants to know of its request.
type question struct {
	id    event.ID
	time  event.Time
	trace event.TraceID
	http  event.HTTP
}

// asked is the last request on a connection and how many wait for an answer.
type asked struct {
	q    *question
	open int
}

// maxMessages bounds the requests remembered; the table then starts anew, and
// responses that are under way stay without their requests.
const maxMessages = 1 << 16

// indexMessage notes a request, or finds the one that a response answers: a
// response carries no trace context of its own. It does where exactly one
// request waited for an answer.
func (n *Node) indexMessage(e *event.Event, p *event.HTTPFlow) *question {
	if !p.Tuple.Complete() {
		return nil
	}
	key := message{p.Tuple, p.Egress}
	a := n.messages[key]
	if !p.Response {
		if a == nil {
			if len(n.messages) >= maxMessages {
				clear(n.messages)
			}
			a = &asked{}
			n.messages[key] = a
		} else if e.Time.Sub(a.q.time) > n.cfg.Silence {
			a.open = 0 // its answer never came
		}
		a.q = &question{e.ID, e.Time, p.Trace.TraceID, p.HTTP}
		a.open++
		return nil
	}
	if a == nil {
		return nil
	}
	alone := a.open == 1 && answers(e, p, a)
	if a.open--; a.open <= 0 {
		delete(n.messages, key)
	}
	if !alone || !p.Trace.TraceID.IsZero() {
		return nil
	}
	return a.q
}

// answers reports whether the response can be the request's: it came in time,
// and after the latency it states.
func answers(e *event.Event, p *event.HTTPFlow, a *asked) bool {
	took := e.Time.Sub(a.q.time)
	if p.LatencyNS == 0 {
		return took <= 2*time.Minute
	}
	off := took - time.Duration(p.LatencyNS)
	return off > -time.Second && off < time.Second
}

// decideHTTPFlow gives a message the proxy saw to the trace it carries, or that
// of the request it answers, else to its connection.
func (n *Node) decideHTTPFlow(d decision, p *event.HTTPFlow) {
	s := n.sockets.byTuple(p.Tuple, d.e.Time, roleOf(p.Egress))
	trace, method := p.Trace.TraceID, correlate.TraceContext
	if trace.IsZero() && d.request != nil {
		trace, method = d.request.trace, correlate.FiveTuple
	}
	if trace.IsZero() {
		if s == nil && n.hear(d, p) {
			return
		}
		n.decideOnSocket(d, s, correlate.FiveTuple)
		return
	}
	r := correlate.Row{Key: correlate.TraceKey(trace), Event: d.e, Method: method, Late: d.late}
	if s != nil {
		r.Conn = s.conn()
	}
	n.row(r)
}

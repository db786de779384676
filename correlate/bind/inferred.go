package bind

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/schemas/event"
)

// What an owner and its call agree on where both know it.
const (
	byModel = iota
	byProcess
	byResponse
	byHead // method, path and status
)

// ownRequest offers a served exchange, which has a key, as the owner of calls.
func (n *Node) ownRequest(x *exchange) {
	w := n.workloadOf(x.u.s.workload)
	o := owner{kind: ownerRequest, start: x.p.Start, end: x.e.Time, x: x}
	w.calls.own(n, w, o, class{ownerRequest, x.p.HTTP.Method, route(x.p.HTTP.Path)}, link.Owner{Labels: [link.Labels]uint32{byProcess: x.worker()}})
	if n.dir.ExpectsEdge() && n.dir.Pod(x.p.Tuple.Dst.Addr(), x.p.Start) == nil {
		c := &call{start: x.p.Start, end: x.e.Time, x: x}
		w.edges.call(n, w, c, destination{}, link.Call{Labels: [link.Labels]uint32{byHead: headLabel(&x.p.HTTP)}})
	}
}

// ownSpan offers a span as the owner of calls, if it is a span about a call or a
// tool, or the only trace of a request.
func (n *Node) ownSpan(e *event.Event, p *event.Span, served bool) {
	o := owner{start: p.Start.Add(-tick), end: e.Time.Add(tick), id: e.ID, request: correlate.TraceKey(p.TraceID)}
	l := link.Owner{}
	switch {
	case p.Kind == event.SpanKindServer || p.Kind == event.SpanKindConsumer:
		if served {
			return // the exchange is the owner, or has one
		}
		o.kind = ownerRoot
		n.callSpan(e, p)
	case p.Stage == event.StageModel && n.callers.has(p.SpanID):
		return // the one below is closer
	case p.Stage == event.StageModel:
		o.kind, l.Single = ownerModel, true
		l.Labels = [link.Labels]uint32{byModel: label(p.GenAI.Model), byResponse: label(p.GenAI.ResponseID)}
		l.Sizes = [2]uint64{p.GenAI.Usage.Input, p.GenAI.Usage.Output}
	case p.Stage == event.StageTool || p.Stage == event.StageRetrieval:
		o.kind = ownerTool
	case aboutCall(p) && n.models.has(p.ParentID):
		return // the one above says more
	case aboutCall(p):
		o.kind, l.Single = ownerClient, true
		l.Labels[byHead] = headLabel(&p.HTTP)
	case p.ParentID.IsZero():
		o.kind = ownerRoot
	default:
		return
	}
	o.said = factsOf(e, p)
	w := n.workloadOf(&p.Workload)
	name := p.Name
	if o.kind == ownerTool && p.GenAI.Tool != "" {
		name = p.GenAI.Tool
	}
	w.calls.own(n, w, o, class{o.kind, name, ""}, l)
}

// callSpan offers a server's span, whose exchange nobody saw, as what a balancer
// or a proxy passed on.
func (n *Node) callSpan(e *event.Event, p *event.Span) {
	w := n.workloadOf(&p.Workload)
	l := link.Call{Labels: [link.Labels]uint32{byHead: headLabel(&p.HTTP)}}
	if n.dir.ExpectsEdge() {
		w.edges.call(n, w, &call{start: p.Start, end: e.Time, span: factsOf(e, p)}, destination{}, l)
	}
	if w.flows.wide != nil {
		w.flows.call(n, w, &call{start: p.Start, end: e.Time, span: factsOf(e, p)}, destination{}, l)
	}
}

// aboutCall reports whether a span is about one call out.
func aboutCall(p *event.Span) bool {
	return p.Stage == event.StageModel || p.Kind == event.SpanKindClient ||
		p.Stage == event.StageHTTP && p.Kind != event.SpanKindServer && p.Kind != event.SpanKindConsumer
}

// recent remembers spans for a short while, at least keep.
type recent struct {
	young, old map[event.SpanID]struct{}
	since      event.Time
}

const keep = 10 * time.Second

func (r *recent) add(id event.SpanID, now event.Time) {
	if r.young == nil || now.Sub(r.since) > keep {
		r.young, r.old, r.since = map[event.SpanID]struct{}{}, r.young, now
	}
	r.young[id] = struct{}{}
}

func (r *recent) has(id event.SpanID) bool {
	_, young := r.young[id]
	_, old := r.old[id]
	return young || old
}

// ownEdge offers a request in the load balancer's log as the owner of the one
// that its backend served.
func (n *Node) ownEdge(e *event.Event, p *event.EdgeRequest) {
	if !p.Backend.IsValid() {
		return
	}
	pod := n.dir.Pod(p.Backend, e.Time)
	if pod == nil {
		return
	}
	w := n.workloadOf(pod)
	start := p.Start
	if start == 0 {
		start = e.Time
	}
	o := owner{kind: ownerEdge, start: start.Add(-slack), end: e.Time.Add(slack), id: e.ID, request: edgeKey(e)}
	w.edges.own(n, w, o, class{kind: ownerEdge}, link.Owner{
		Single: true, Labels: [link.Labels]uint32{byHead: headLabel(&p.HTTP)}, Sizes: [2]uint64{p.RequestBytes, p.ResponseBytes},
	})
}

// headLabel is what two views of one request must agree on.
func headLabel(h *event.HTTP) uint32 {
	if h.Path == "" || h.Method == "" || h.Status == 0 {
		return 0
	}
	return label(h.Method + " " + h.Path + " " + strconv.Itoa(int(h.Status)))
}

func edgeKey(e *event.Event) correlate.Key {
	if k := correlate.TraceKey(e.Payload.(*event.EdgeRequest).Trace.TraceID); !k.IsZero() {
		return k
	}
	return correlate.LocalKey(e.ID)
}

// callExchange says that somebody made an exchange.
func (n *Node) callExchange(x *exchange) {
	w := n.workloadOf(x.u.s.workload)
	to := destination{name: x.p.HTTP.Host, addr: x.p.Tuple.Dst}
	if to.name == "" {
		to.name = x.u.s.sni()
	}
	if to.name != "" {
		to.addr = netip.AddrPort{} // one of several
	}
	if p := x.u.s.owner; p != nil && p.call != nil {
		to.name = p.binary + ">" + to.name // not what the workload itself does
	}
	x.call = &call{start: x.p.Start, end: x.e.Time, x: x}
	w.calls.call(n, w, x.call, to, link.Call{
		Labels: [link.Labels]uint32{byModel: label(x.p.Model), byProcess: x.worker(), byResponse: label(x.p.ResponseID)},
		Sizes:  [2]uint64{x.p.BytesOut, x.p.BytesIn},
	})
}

// worker names the process at this end if it serves requests: what it calls, it
// calls for its own.
func (x *exchange) worker() uint32 {
	switch p := x.u.s.owner; {
	case p != nil && p.serves:
		return max(1, p.ref.PID)
	case x.server():
		return x.p.Process.PID
	}
	return 0
}

// callProcess says that somebody started a process.
func (n *Node) callProcess(p *process, e *event.Event, x *event.Process) {
	w := n.workloadOf(&x.Workload)
	p.call = &call{start: e.Time, end: e.Time, p: p}
	w.calls.call(n, w, p.call, destination{name: p.binary}, link.Call{})
}

// infer makes an inferred join.
func (n *Node) infer(c *call, o *owner, i *correlate.Inference) {
	switch {
	case c.p != nil:
		n.inferProcess(c.p, o, i)
	case o.kind == ownerFlow:
		n.inferHeard(o.heard, correlate.TraceKey(c.span.trace), c.span.span, i)
	case c.heard != nil:
		if s := o.span(); s != nil {
			n.inferHeard(c.heard, o.key(), s.span, i)
		}
	case c.span != nil:
		n.inferEdgeOfSpan(c.span, o, i)
	case o.kind == ownerEdge:
		n.inferEdge(c.x, o, i)
	default:
		n.inferExchange(c.x, o, i)
	}
}

func (n *Node) inferExchange(x *exchange, o *owner, i *correlate.Inference) {
	if p := x.u.s.owner; p != nil && p.works() {
		n.follow(x, p)
		return
	}
	if x.settled() {
		return
	}
	x.inferred = i
	l := n.because(x.e.ID, x.e.Time, o, i)
	if s := o.span(); s != nil && (o.kind == ownerClient || o.kind == ownerModel) {
		l.Kind, x.span = correlate.LinkSpan, s.span
	}
	n.belong(x, o.key(), i)
	n.link(x, l)
}

// belong gives an exchange to a request, as far as is likely. If it has a key
// of its own, the other end's, the two are one request.
func (n *Node) belong(x *exchange, key correlate.Key, i *correlate.Inference) {
	if x.key.IsZero() {
		x.key, x.method, x.byInference = key, i.Method, i
		for _, l := range x.links {
			n.link(x, l)
		}
		x.links = nil
		n.emit(x)
		return
	}
	if x.key != key {
		n.out.Aliases = append(n.out.Aliases, correlate.Alias{A: x.key, B: key, Method: i.Method, Time: n.now, Inferred: i})
	}
}

// because says what caused an event.
func (n *Node) because(id event.ID, at event.Time, o *owner, i *correlate.Inference) correlate.Link {
	l := correlate.Link{Kind: correlate.LinkCause, From: id, Method: i.Method, Time: at, Key: o.key()}
	switch s := o.span(); {
	case s != nil:
		l.Span = s.span
	case o.x != nil:
		l.To = o.x.e.ID
	default:
		l.To = o.id
	}
	return l
}

// inferEdge puts a served exchange below the load balancer's request.
func (n *Node) inferEdge(x *exchange, o *owner, i *correlate.Inference) {
	if x.key == o.key() {
		return
	}
	n.belong(x, o.key(), i)
	n.link(x, n.because(x.e.ID, x.e.Time, o, i))
}

// inferEdgeOfSpan does so with a request that only a span tells of.
func (n *Node) inferEdgeOfSpan(s *spanFacts, o *owner, i *correlate.Inference) {
	key := correlate.TraceKey(s.trace)
	if key == o.key() {
		return
	}
	n.out.Aliases = append(n.out.Aliases, correlate.Alias{A: key, B: o.key(), Method: i.Method, Time: n.now, Inferred: i})
	l := n.because(s.id, s.time, o, i)
	l.Key = key
	n.out.Links = append(n.out.Links, l)
}

func (n *Node) inferProcess(p *process, o *owner, i *correlate.Inference) {
	if p.serves || p.inherit() {
		return
	}
	p.key, p.method, p.inferred = o.key(), i.Method, i
	if p.exec != nil {
		n.out.Links = append(n.out.Links, n.because(p.exec.id, p.exec.time, o, i))
	}
}

// inherit gives a process the request of its parent, and reports whether it has
// one.
func (p *process) inherit() bool {
	if q := p.parent; p.key.IsZero() && q != nil && q.works() && !p.serves {
		p.key, p.method, p.inferred = q.key, correlate.ExecLineage, q.inferred
	}
	return !p.key.IsZero()
}

// settled reports whether the exchange has its place: this end of the
// connection knows whose it is.
func (x *exchange) settled() bool {
	return x.inferred != nil || !x.span.IsZero() || !x.key.IsZero() && !x.key.Local
}

// follow gives an exchange to the request that its process works for.
func (n *Node) follow(x *exchange, p *process) {
	if p.inferred == nil {
		n.bindTo(x, p.key, correlate.ExecLineage)
	} else if !x.settled() {
		x.inferred = p.inferred
		n.belong(x, p.key, p.inferred)
	}
	if p.exec != nil {
		n.link(x, correlate.Link{Kind: correlate.LinkCause, From: x.e.ID, To: p.exec.id, Method: correlate.ExecLineage})
	}
}

// doubt says that several requests may have made a call.
func (n *Node) doubt(c *call, list []request) {
	var among []correlate.Candidate
	for _, r := range list[:min(len(list), correlate.MaxCandidates)] {
		if r.confidence > 0 {
			among = append(among, correlate.Candidate{Key: r.key, Confidence: r.confidence})
		}
	}
	switch {
	case c.p != nil:
		c.p.among = among
	case c.x != nil && !c.x.emitted:
		c.x.among = among
	}
}

// doubted reports whether several requests may have made the call.
func (c *call) doubted() bool {
	return c.p != nil && c.p.among != nil || c.x != nil && c.x.among != nil
}

// doubtful ends the wait of an event that belongs to one of several requests,
// if to any.
func (n *Node) doubtful(e *event.Event, among []correlate.Candidate) {
	d := correlate.Doubt{Event: e, Candidates: among}
	n.out.Doubts = append(n.out.Doubts, d)
	n.out.Fates[correlate.Ambiguous]++
	n.out.Unmatched = append(n.out.Unmatched, correlate.Unmatched{Event: e, Fate: correlate.Ambiguous, Candidates: correlate.Named(among)})
}

// maxHeld bounds the events of one process that wait for its request.
const maxHeld = 4096

// waits reports whether the process's request is looked for, and may take events
// along.
func (p *process) waits() bool {
	return p.call != nil && !p.call.decided && !p.serves && len(p.held) < maxHeld
}

// hold keeps an event until the request of its process is known.
func (n *Node) hold(p *process, d decision) bool {
	if p == nil || !p.waits() {
		return false
	}
	p.held = append(p.held, n.keep(d))
	return true
}

// release decides what waited for the process's request.
func (n *Node) release(p *process) {
	if !p.inherit() && p.among == nil && p.parent != nil {
		p.among = p.parent.among
	}
	held := p.held
	p.held = nil
	for _, k := range held {
		n.decideOne(n.back(k))
	}
}

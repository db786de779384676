package stitch

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// relate finds the parent of every node: by span id, by the wire, by the other
// end of the connection, by what bind saw to be the cause.
func (f *forest) relate() {
	for n := range f.nodes {
		nd := &f.nodes[n]
		if nd.fold != none {
			continue
		}
		p := f.parentOf(int32(n))
		if p = f.top(p); p != int32(n) {
			nd.parent = p
		}
	}
}

func (f *forest) parentOf(n int32) int32 {
	nd := &f.nodes[n]
	r := &f.rows[nd.first]
	if f.fromOutside(nd) {
		return none // whoever's span it names did not make the call
	}
	if nd.span != nil {
		if p, ok := f.spans[nd.span.ParentID]; ok && p != n {
			return p
		}
	}
	if nd.exchange != nil {
		id := f.rows[nd.seen].Event.ID
		if p, ok := f.spans[nd.exchange.Trace.SpanID]; ok && f.top(p) != n {
			return p
		}
		if p, ok := f.events[f.peers[id]]; ok && nd.exchange.Role == event.RoleServer {
			return p
		}
		if p, ok := f.causeOf(id); ok && nd.span == nil {
			return p
		}
	}
	switch nd.kind {
	case nodeHTTPFlow:
		flow := r.Event.Payload.(*event.HTTPFlow)
		if p, ok := f.spans[flow.Trace.SpanID]; ok {
			return p
		}
		if p, ok := f.causeOf(r.Event.ID); ok {
			return p
		}
		if r.Conn != nil {
			return f.exchangeOn(r.Conn.Cookie, r.Event)
		}
	case nodeProcess:
		if p, ok := f.causeOf(r.Event.ID); ok { // its parent process, else the span in its environment
			return p
		}
		if p, ok := f.spans[r.Span]; ok && !r.Span.IsZero() {
			return p
		}
	case nodeLog:
		if p, ok := f.spans[r.Span]; ok {
			return p
		}
	case nodeSocket, nodeFlow, nodeSyscall, nodeOther:
		if p, ok := f.causeOf(r.Event.ID); ok {
			return p
		}
	}
	return none
}

// causeOf finds what bind saw to be the cause of an event.
func (f *forest) causeOf(id event.ID) (int32, bool) {
	if n, ok := f.events[f.causes[id]]; ok {
		return n, true
	}
	if span, ok := f.under[id]; ok {
		n, ok := f.spans[span]
		return n, ok
	}
	return none, false
}

// exchangeOn finds the one exchange that was under way on the connection at the
// event's time, of those of this group. On a connection that is kept alive the
// next one may be another request's, so there is no slack.
func (f *forest) exchangeOn(c event.SocketCookie, e *event.Event) int32 {
	cookie := func(n int32) event.SocketCookie { return f.nodes[n].exchange.Cookie }
	if !f.indexed {
		f.indexed = true
		for n := range f.nodes {
			if nd := &f.nodes[n]; nd.exchange != nil && nd.fold == none {
				f.on = append(f.on, int32(n))
			}
		}
		slices.SortStableFunc(f.on, func(a, b int32) int { return cmp.Compare(cookie(a), cookie(b)) })
	}
	found := none
	at, _ := slices.BinarySearchFunc(f.on, c, func(n int32, c event.SocketCookie) int { return cmp.Compare(cookie(n), c) })
	for ; at < len(f.on) && cookie(f.on[at]) == c; at++ {
		n := f.on[at]
		nd := &f.nodes[n]
		if seen := f.rows[nd.seen].Event; seen.Node != e.Node || e.Time < nd.exchange.Start || seen.Time < e.Time {
			continue
		}
		if found != none {
			return none
		}
		found = n
	}
	return found
}

// adopt puts roots below the edge request that caused them: the balancer's span
// is the caller's, or trace, backend and time are one request's alone. Several
// requests may share a trace id, so what fits two ways is left alone.
func (f *forest) adopt() {
	if len(f.edgeNodes) == 0 {
		return
	}
	f.rootNodes = f.rootNodes[:0]
	for n := range f.nodes {
		nd := &f.nodes[n]
		if nd.fold == none && nd.parent == none && nd.kind != nodeEdge && f.rankOf(int32(n)) <= rankIngress {
			f.rootNodes = append(f.rootNodes, int32(n))
		}
	}
	f.adoptCalled()
	f.adoptBy(func(nd, ed *node, e *event.EdgeRequest) bool { return f.inferredBelow(nd, ed) })
	inside := func(tolerance time.Duration) func(nd, ed *node, e *event.EdgeRequest) bool {
		return func(nd, ed *node, e *event.EdgeRequest) bool {
			return ed.start.Add(-tolerance) <= nd.start && nd.end <= ed.end.Add(tolerance) &&
				nd.end.Sub(nd.start) <= ed.end.Sub(ed.start)+slack && f.sameTrace(nd, e) && f.backend(nd, e)
		}
	}
	f.adoptBy(inside(0))
	f.adoptBy(inside(skew))
}

// slack is what two stamps of one moment on one clock may differ by.
const slack = 5 * time.Millisecond

// adoptCalled gives the roots to the edge requests whose own span called them: an edge
// request that was retried called several.
func (f *forest) adoptCalled() {
	f.found, f.callers = f.found[:0], f.callers[:0]
	for _, n := range f.rootNodes {
		nd := &f.nodes[n]
		var by event.SpanID
		if nd.span != nil {
			by = nd.span.ParentID
			f.callers = append(f.callers, caller{by, n})
		}
		if nd.exchange != nil && nd.exchange.Trace.SpanID != by {
			f.callers = append(f.callers, caller{nd.exchange.Trace.SpanID, n})
		}
	}
	sortCallers(f.callers)
	for _, m := range f.edgeNodes {
		e := f.rows[f.nodes[m].first].Event.Payload.(*event.EdgeRequest)
		if e.Trace.SpanID.IsZero() {
			continue
		}
		for _, c := range calledBy(f.callers, e.Trace.SpanID) {
			if f.sameTrace(&f.nodes[c.node], e) {
				f.fit(c.node, m)
			}
		}
	}
	f.give(true)
}

// adoptBy gives each root to the only edge request it fits, and each edge request the
// only root that fits it.
func (f *forest) adoptBy(fits func(nd, ed *node, e *event.EdgeRequest) bool) {
	f.found = f.found[:0]
	for _, m := range f.edgeNodes {
		ed := &f.nodes[m]
		if ed.taken {
			continue
		}
		e := f.rows[ed.first].Event.Payload.(*event.EdgeRequest)
		for _, n := range f.rootNodes {
			if nd := &f.nodes[n]; nd.parent == none && fits(nd, ed, e) {
				f.fit(n, m)
			}
		}
	}
	f.give(false)
}

func (f *forest) fit(root, edge int32) {
	f.found = append(f.found, match{root, edge})
	f.nodes[root].fits++
	f.nodes[edge].fits++
}

// give makes what was found so: each root goes to the only edge request it fits, and,
// unless it retried, an edge request takes the only root that fits it.
func (f *forest) give(retried bool) {
	for _, m := range f.found {
		nd, ed := &f.nodes[m.node], &f.nodes[m.edge]
		if nd.fits == 1 && (retried || ed.fits == 1) {
			nd.parent = m.edge
			ed.taken = true
		}
	}
	for _, m := range f.found {
		f.nodes[m.node].fits, f.nodes[m.edge].fits = 0, 0
	}
}

// match is a root that fits an edge request.
type match struct{ node, edge int32 }

// inferredBelow reports whether bind found the edge request to be the likely
// cause of the node.
func (f *forest) inferredBelow(nd, ed *node) bool {
	for i := nd.first; i != none; i = f.next[i] {
		if n, ok := f.events[f.causes[f.rows[i].Event.ID]]; ok && &f.nodes[n] == ed {
			return true
		}
	}
	return false
}

func (f *forest) sameTrace(nd *node, e *event.EdgeRequest) bool {
	return nd.span != nil && nd.span.TraceID == e.Trace.TraceID ||
		nd.exchange != nil && nd.exchange.Trace.TraceID == e.Trace.TraceID
}

func (f *forest) backend(nd *node, e *event.EdgeRequest) bool {
	if !e.Backend.IsValid() {
		return false // no backend was asked
	}
	return nd.exchange == nil || nd.exchange.Tuple.Src.Addr() == e.Backend
}

// rankOf says what kind of root a parentless node makes; rankOther means none.
func (f *forest) rankOf(n int32) rank {
	nd := &f.nodes[n]
	switch {
	case nd.kind == nodeEdge:
		return rankEdge
	case nd.span != nil && (nd.span.Kind == event.SpanKindServer || nd.span.Kind == event.SpanKindConsumer):
		if f.fromInside(nd) {
			return rankOther
		}
		return rankServer
	case nd.kind == nodeExchange && nd.exchange.Role == event.RoleServer:
		if f.fromInside(nd) {
			return rankOther
		}
		return rankIngress
	case nd.span != nil && nd.span.ParentID.IsZero():
		return rankSpan
	}
	return rankOther
}

// fromInside reports whether a pod of the cluster made the call: then the
// caller belongs to the request too, even if nothing else is known of it.
func (f *forest) fromInside(nd *node) bool {
	switch {
	case f.inside == nil:
		return false
	case nd.exchange != nil && nd.exchange.Tuple.Dst.IsValid():
		return f.inside(nd.exchange.Tuple.Dst.Addr(), nd.start)
	case nd.span != nil && nd.span.Peer.IsValid():
		return f.inside(nd.span.Peer.Addr(), nd.start)
	}
	return false
}

// fromOutside reports whether a served request came from an address that no
// cluster has inside: the internet, or a load balancer's own.
func (f *forest) fromOutside(nd *node) bool {
	var peer netip.Addr
	switch {
	case nd.exchange != nil && nd.exchange.Role == event.RoleServer:
		peer = nd.exchange.Tuple.Dst.Addr()
	case nd.span != nil && nd.span.Kind == event.SpanKindServer:
		peer = nd.span.Peer.Addr()
	}
	return peer.IsValid() && peer.IsGlobalUnicast() && !peer.IsPrivate() && !shared.Contains(peer) && !f.fromInside(nd)
}

// shared is the carrier-grade range (RFC 6598), which clusters use for pods.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// resolve finds the root of every node. A claim can name any parent, so a ring
// is possible: it is cut where it was entered.
func (f *forest) resolve() {
	for n := range f.nodes {
		if f.nodes[n].fold != none || f.nodes[n].root != none {
			continue
		}
		top := int32(n)
		for f.nodes[top].root == none {
			f.nodes[top].root = visiting
			p := f.nodes[top].parent
			if p == none {
				break
			}
			if f.nodes[p].root == visiting {
				f.nodes[top].parent = none
				break
			}
			top = p
		}
		root := top
		if r := f.nodes[top].root; r >= 0 {
			root = r
		}
		for m := int32(n); m != none && f.nodes[m].root == visiting; m = f.nodes[m].parent {
			f.nodes[m].root = root
		}
	}
}

// visiting marks the nodes of the path that resolve is on.
const visiting = int32(-2)

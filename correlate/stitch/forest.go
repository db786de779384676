package stitch

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// node is a step in the making: the rows that are views of one thing.
type node struct {
	first, last int32 // rows, linked through forest.next
	parent      int32 // none if it has none
	root        int32 // of its tree
	fold        int32 // the node it is part of, none if it stands for itself
	start, end  event.Time
	span        *event.Span     // the claim
	exchange    *event.Exchange // the observation
	seen        int32           // row of the observation
	kind        nodeKind
	shown       bool  // is a step of the timeline being made
	fits        int32 // how many roots or edge requests fit this edge request or root
	taken       bool  // an edge request whose backend request is known
}

type nodeKind uint8

const (
	nodeSpan nodeKind = iota
	nodeExchange
	nodeEdge
	nodeHTTPFlow
	nodeProcess
	nodeSocket
	nodeFlow
	nodeSyscall
	nodeOther
	nodeLog // no step of its own
)

const none = int32(-1)

// skew is how far the clocks of two observers may differ when one request is
// looked for inside another.
const skew = 2 * time.Second

// forest turns rows into trees of steps. It is scratch space that is used again
// for group after group.
type forest struct {
	rows   []correlate.Row
	links  []correlate.Link
	inside func(netip.Addr, event.Time) bool // is the address a pod's?
	nodes  []node
	next   []int32 // row → next row of its node
	of     []int32 // row → its node

	spans     map[event.SpanID]int32
	events    map[event.ID]int32 // exchanges, execs
	messages  map[message]int32
	evidence  map[evidence]int32
	causes    map[event.ID]event.ID
	under     map[event.ID]event.SpanID // as causes, by a span
	peers     map[event.ID]event.ID
	spanOf    map[event.ID]event.SpanID
	duplicate []bool
	biggest   int
	cut       event.Time // rows after it are not shown yet
	edgeNodes []int32
	rootNodes []int32 // those that an edge request may have caused
	found     []match
	logs      []int32 // log records, by parent once they are related
	callers   []caller
	servers   []caller // server spans by their parent
	on        []int32  // exchanges by cookie, once indexed
	indexed   bool
}

// caller is the span that a node names as its caller.
type caller struct {
	id   event.SpanID
	node int32
}

// calledBy returns those of a sorted list that name the span.
func calledBy(list []caller, id event.SpanID) []caller {
	from, _ := slices.BinarySearchFunc(list, id, func(c caller, id event.SpanID) int { return bytes.Compare(c.id[:], id[:]) })
	to := from
	for to < len(list) && list[to].id == id {
		to++
	}
	return list[from:to]
}

// sortCallers puts those of one caller side by side, in the order in which they are.
func sortCallers(list []caller) {
	slices.SortStableFunc(list, func(a, b caller) int { return bytes.Compare(a.id[:], b.id[:]) })
}

// message is a request on a connection, until its response is seen.
type message struct {
	node  string
	tuple event.Tuple
}

// evidence is what the kernel or the network saw of one connection below one
// cause: packets that were forwarded are one step, and so is the socket's life.
type evidence struct {
	cause  event.ID
	node   string
	cookie event.SocketCookie
	kind   nodeKind
}

func newForest() *forest {
	return &forest{
		spans: make(map[event.SpanID]int32), events: make(map[event.ID]int32),
		messages: make(map[message]int32), evidence: make(map[evidence]int32),
		causes: make(map[event.ID]event.ID), under: make(map[event.ID]event.SpanID), peers: make(map[event.ID]event.ID), spanOf: make(map[event.ID]event.SpanID),
	}
}

// clear empties the maps. Maps never shrink, and emptying one costs its size:
// after a big group they are made anew.
func (f *forest) clear(size int) {
	if f.biggest > 4096 && size < 512 {
		fresh := newForest()
		fresh.inside, fresh.nodes, fresh.next, fresh.of, fresh.duplicate = f.inside, f.nodes, f.next, f.of, f.duplicate
		fresh.rows, fresh.links = f.rows, f.links
		*f = *fresh
		return
	}
	f.biggest = max(f.biggest, size)
	clear(f.spans)
	clear(f.events)
	clear(f.messages)
	clear(f.evidence)
	clear(f.causes)
	clear(f.under)
	clear(f.peers)
	clear(f.spanOf)
}

// build makes the forest of the rows, which must be in canonical order.
func (f *forest) build(rows []correlate.Row, links []correlate.Link) {
	f.rows, f.links, f.edgeNodes, f.logs, f.on = rows, links, f.edgeNodes[:0], f.logs[:0], f.on[:0]
	f.indexed = false
	f.nodes, f.next, f.of, f.duplicate = f.nodes[:0], f.next[:0], f.of[:0], f.duplicate[:0]
	f.clear(max(len(rows), len(links)))
	for _, l := range links {
		switch l.Kind {
		case correlate.LinkCause:
			if !l.Span.IsZero() {
				f.under[l.From] = l.Span
			} else if _, ok := f.causes[l.From]; !ok {
				f.causes[l.From] = l.To
			}
		case correlate.LinkPeer:
			f.peers[l.From] = l.To
		case correlate.LinkSpan:
			f.spanOf[l.From] = l.Span
		}
	}
	for i := range rows {
		f.next = append(f.next, none)
		f.of = append(f.of, none)
		f.duplicate = append(f.duplicate, false)
		f.place(int32(i))
	}
	f.fold()
	f.observe()
	f.relate()
	f.adopt()
	f.resolve()
	slices.SortStableFunc(f.logs, func(a, b int32) int { return cmp.Compare(f.nodes[a].parent, f.nodes[b].parent) })
}

func (f *forest) newNode(i int32, k nodeKind) int32 {
	e := f.rows[i].Event
	f.nodes = append(f.nodes, node{
		first: i, last: i, parent: none, root: none, fold: none, seen: none, kind: k, start: startOf(e), end: e.Time,
	})
	f.of[i] = int32(len(f.nodes) - 1)
	return f.of[i]
}

// merge makes row i another view of node n.
func (f *forest) merge(i, n int32) {
	nd := &f.nodes[n]
	f.next[nd.last] = i
	nd.last = i
	f.of[i] = n
}

// mergeNode makes node m part of node n.
func (f *forest) mergeNode(m, n int32) {
	a, b := &f.nodes[n], &f.nodes[m]
	f.next[a.last] = b.first
	a.last = b.last
	for i := b.first; i != none; i = f.next[i] {
		f.of[i] = n
	}
	b.fold = n
}

// hidden reports whether a row of a node that is shown is not known yet.
func (f *forest) hidden(i int32, nd *node) bool {
	return f.cut != 0 && i != nd.first && f.rows[i].Event.Time > f.cut && nd.seen != i && nd.exchange == nil && nd.span == nil
}

// top is the node that n is part of.
func (f *forest) top(n int32) int32 {
	for n != none && f.nodes[n].fold != none {
		n = f.nodes[n].fold
	}
	return n
}

// place makes the node of a row, or joins it to the one that it repeats.
func (f *forest) place(i int32) {
	r := &f.rows[i]
	e := r.Event
	if r.Copy && i > 0 && f.rows[i-1].Event.ID == e.ID { // it hit several calls of one request
		f.duplicate[i] = true
		f.merge(i, f.of[i-1])
		return
	}
	switch p := e.Payload.(type) {
	case *event.Span:
		if n, ok := f.spans[p.SpanID]; ok {
			f.duplicate[i] = true
			f.merge(i, n)
			return
		}
		n := f.newNode(i, nodeSpan)
		f.nodes[n].span = p
		f.spans[p.SpanID] = n
	case *event.Exchange:
		if e.Kind != event.KindExchange {
			f.placeEvidence(i, nodeOther)
			return
		}
		if n, ok := f.events[e.ID]; ok {
			f.duplicate[i] = true
			f.merge(i, n)
			return
		}
		n := f.newNode(i, nodeExchange)
		f.nodes[n].exchange, f.nodes[n].seen = p, i
		f.events[e.ID] = n
	case *event.EdgeRequest:
		f.edgeNodes = append(f.edgeNodes, f.newNode(i, nodeEdge))
		f.events[e.ID] = f.of[i]
	case *event.HTTPFlow:
		key := message{e.Node, p.Tuple}
		if n, ok := f.messages[key]; ok && p.Response {
			delete(f.messages, key)
			f.merge(i, n)
			f.nodes[n].end = max(f.nodes[n].end, e.Time)
			return
		}
		n := f.newNode(i, nodeHTTPFlow)
		if !p.Response {
			f.messages[key] = n
		}
	case *event.Process:
		if n, ok := f.events[f.causes[e.ID]]; ok && (e.Kind == event.KindProcessExit || f.sameExec(n, e, p)) {
			f.merge(i, n)
			f.nodes[n].end = max(f.nodes[n].end, e.Time)
			return
		}
		n := f.newNode(i, nodeProcess)
		f.events[e.ID] = n
	case *event.Socket:
		f.placeEvidence(i, nodeSocket)
	case *event.Flow:
		if p.Verdict.Denied() {
			f.newNode(i, nodeOther)
			return
		}
		f.placeEvidence(i, nodeFlow)
	case *event.Syscall:
		f.newNode(i, nodeSyscall)
	case *event.SpanLog:
		f.logs = append(f.logs, f.newNode(i, nodeLog))
	default:
		f.placeEvidence(i, nodeOther)
	}
}

// sameExec reports whether an exec is another observer's view of the node's.
func (f *forest) sameExec(n int32, e *event.Event, p *event.Process) bool {
	first := f.rows[f.nodes[n].first].Event
	o, ok := first.Payload.(*event.Process)
	return ok && first.Source != e.Source && o.Process.PID == p.Process.PID && o.Binary == p.Binary
}

func (f *forest) placeEvidence(i int32, k nodeKind) {
	r := &f.rows[i]
	if k == nodeOther || r.Conn == nil {
		f.newNode(i, k)
		return
	}
	key := evidence{f.causes[r.Event.ID], r.Event.Node, r.Conn.Cookie, k}
	if n, ok := f.evidence[key]; ok {
		f.merge(i, n)
		f.nodes[n].end = max(f.nodes[n].end, r.Event.Time)
		return
	}
	f.evidence[key] = f.newNode(i, k)
}

// fold makes one step of the spans that are one model call: call_llm with the
// generate_content below it, and the HTTP client below that.
func (f *forest) fold() {
	for n := len(f.nodes) - 1; n >= 0; n-- { // parents end last, so they come first
		s := f.nodes[n].span
		if s == nil || s.Kind == event.SpanKindServer || s.Stage != event.StageModel && s.Stage != event.StageHTTP {
			continue
		}
		parent, ok := f.spans[s.ParentID]
		if !ok || f.top(parent) == int32(n) {
			continue
		}
		if up := f.nodes[parent].span; up.Stage == event.StageModel ||
			up.Stage == event.StageHTTP && f.nodes[parent].fold != none {
			f.mergeNode(int32(n), f.top(parent))
		}
	}
}

// observe joins each exchange with the claim about it.
func (f *forest) observe() {
	f.servers = f.servers[:0]
	for n := range f.nodes {
		if s := f.nodes[n].span; s != nil && s.Kind == event.SpanKindServer {
			f.servers = append(f.servers, caller{s.ParentID, int32(n)})
		}
	}
	sortCallers(f.servers)
	for n := range f.nodes {
		if f.nodes[n].kind == nodeExchange {
			f.observeOne(int32(n))
		}
	}
}

func (f *forest) observeOne(n int32) {
	x := &f.nodes[n]
	id := f.rows[x.first].Event.ID
	claim := none
	if s, ok := f.spans[f.spanOf[id]]; ok && !f.spanOf[id].IsZero() {
		claim = s
	} else if wire := x.exchange.Trace.SpanID; !wire.IsZero() {
		if x.exchange.Role == event.RoleServer {
			claim = f.serverSpan(wire, x)
		} else if s, ok := f.spans[wire]; ok {
			sp := f.nodes[s].span
			if sp.Kind == event.SpanKindClient || sp.Stage == event.StageModel || sp.Stage == event.StageHTTP {
				claim = s
			}
		}
	}
	if claim == none {
		return
	}
	t := f.top(claim)
	c := &f.nodes[t]
	if c.exchange != nil {
		if c.span.Stage != event.StageModel {
			return // a second try: a step of its own, below
		}
		f.mergeNode(n, t)
		return
	}
	c.exchange, c.seen = x.exchange, x.first
	if c.span.Kind == event.SpanKindServer {
		c.end = max(c.end, x.end)
	}
	f.mergeNode(n, t)
	f.events[id] = t
}

// serverSpan finds the server span that has the wire's span as its parent and
// ran during the exchange.
func (f *forest) serverSpan(wire event.SpanID, x *node) int32 {
	for _, c := range calledBy(f.servers, wire) { // retries share the parent
		n := c.node
		s := f.nodes[n].span
		if f.nodes[n].exchange != nil {
			continue
		}
		if s.Start <= x.end.Add(skew) && f.nodes[n].end >= x.start.Add(-skew) && sameEnd(s, x.exchange) {
			return n
		}
	}
	return none
}

// sameEnd reports whether a server span and an exchange can be at one end of
// one connection: where both know the peer or the pod, they agree.
func sameEnd(s *event.Span, x *event.Exchange) bool {
	if s.Peer.IsValid() && x.Tuple.Dst.IsValid() && s.Peer != x.Tuple.Dst {
		return false
	}
	return s.Workload.Pod == "" || x.Workload.Pod == "" || s.Workload.Pod == x.Workload.Pod
}

package bind

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/schemas/event"
)

// pairing finds the owners of calls that no identifier joins. It hears of all
// owners and calls, the joined ones too: from these it learns what the others
// look like.
type pairing struct {
	method correlate.Method
	// near links calls to spans about a call or a tool, wide what these did not
	// make to the requests. Both hear of all calls; nil until there are some.
	near, wide *link.Linker

	owners   []owner // by id, as are the calls
	calls    []*call
	lookups  []lookup   // that wait for who uses the name
	heard    []*heard   // that wait for their spans
	seen     event.Time // the last end of an owner or call
	serial   uint64
	classes  names[class]
	peers    names[destination]
	odds     odds
	commands commands
}

func newPairing(method correlate.Method) pairing {
	return pairing{method: method, commands: commands{}, classes: names[class]{limit: 64}, peers: names[destination]{limit: 256}}
}

type ownerKind uint8

const (
	ownerRequest ownerKind = iota // served
	ownerEdge                     // the load balancer's
	ownerFlow                     // a proxy's
	ownerRoot                     // a span that stands for a request nobody saw being served
	ownerClient                   // a span about one call
	ownerModel                    // as well, to a model
	ownerTool
)

// owner is what may have made calls.
type owner struct {
	serial     uint64
	kind       ownerKind
	class      uint32
	start, end event.Time
	x          *exchange     // ownerRequest
	id         event.ID      // all others
	request    correlate.Key // as well: what it belongs to
	said       *spanFacts    // of a span
	ran        bool          // a tool: the program that it was told to run was found
	heard      []*heard      // ownerFlow
}

// spanFacts is what a search wants to know of a span.
type spanFacts struct {
	id     event.ID
	time   event.Time
	trace  event.TraceID
	span   event.SpanID
	server string
	usage  event.Usage
	hashes event.Hashes // of a tool
}

func factsOf(e *event.Event, p *event.Span) *spanFacts {
	return &spanFacts{e.ID, e.Time, p.TraceID, p.SpanID, p.Server, p.GenAI.Usage, p.GenAI.ToolHashes}
}

// near reports whether the owner is a span about a call or a tool.
func (o *owner) near() bool { return o.kind >= ownerClient }

// span returns the owner's span, nil if it is none.
func (o *owner) span() *spanFacts { return o.said }

// key is the request it belongs to.
func (o *owner) key() correlate.Key {
	if o.x != nil {
		return o.x.key
	}
	return o.request
}

// call is what somebody made: an exchange or a process; in pairs with the load
// balancer's requests, an exchange that was served.
type call struct {
	id         uint64
	start, end event.Time
	x          *exchange
	p          *process
	span       *spanFacts // of a server
	heard      []*heard
	decided    bool
	waiting    bool    // its own horizon has passed
	known      bool    // by an identifier
	tools      float64 // how likely it still is that a tool ran it, if the requests are asked
}

// waits reports whether something is undecided.
func (p *pairing) waits() bool { return len(p.calls)+len(p.owners)+len(p.lookups)+len(p.heard) > 0 }

// next returns when there is something to decide or to forget.
func (p *pairing) next(n *Node) event.Time {
	if p.wide == nil {
		return event.Never
	}
	at := min(p.near.Next(), p.wide.Next())
	switch {
	case at != event.Never:
	case p.waits():
		// When the first of them is over, not the last: under a steady load there is
		// no last one.
		first := p.seen
		if len(p.owners) > 0 {
			first = min(first, p.owners[0].end)
		}
		if len(p.lookups) > 0 {
			first = min(first, p.lookups[0].time)
		}
		at = first.Add(2*link.Epoch + n.cfg.AgentHorizon)
	default:
		return at
	}
	return max(at.Add(n.cfg.Localize), n.now)
}

func (p *pairing) ready(n *Node, w *workload) {
	if p.wide == nil {
		p.near, p.wide = n.newLinker(), n.newLinker()
	}
	if w.agent {
		p.near.Widen(n.cfg.AgentHorizon)
		p.wide.Widen(n.cfg.AgentHorizon)
	}
}

// own takes in an owner.
func (p *pairing) own(n *Node, w *workload, o owner, c class, l link.Owner) {
	p.ready(n, w)
	p.serial++
	o.serial, o.class = p.serial, p.classes.of(c)
	p.owners = append(p.owners, o)
	p.seen = max(p.seen, o.end)
	l.ID, l.Start, l.End, l.Class = o.serial, o.start, o.end, o.class
	if o.near() {
		p.near.Owner(l)
	} else {
		p.wide.Owner(l)
	}
	n.pairDue = min(n.pairDue, p.next(n))
}

// call takes in a call.
func (p *pairing) call(n *Node, w *workload, c *call, to destination, l link.Call) {
	p.ready(n, w)
	p.serial++
	c.id = p.serial
	p.calls = append(p.calls, c)
	p.seen = max(p.seen, c.end)
	l.ID, l.Start, l.End, l.Peer = c.id, c.start, c.end, p.peers.of(to)
	p.near.Call(l)
	p.wide.Call(l)
	n.pairDue = min(n.pairDue, p.next(n))
}

// decidePairs decides what is due in all workloads.
func (n *Node) decidePairs() {
	n.pairDue = event.Never
	for _, w := range n.inOrder {
		for _, p := range []*pairing{&w.edges, &w.flows, &w.calls} {
			if p.next(n) <= n.now {
				n.decidePairing(p)
			}
			n.pairDue = min(n.pairDue, p.next(n))
		}
	}
	n.forgetWorkloads()
}

func (n *Node) decidePairing(p *pairing) {
	mark := n.now.Add(-n.cfg.Localize)
	until := p.wide.Decided(mark)
	byKey := p.byKey()
	n.fix(p, byKey, until)
	near := p.guesses(p.near.Advance(mark), n.cfg.Confidence)
	p.families(near)
	for _, g := range near {
		switch o := n.matched(p, g); {
		case o != nil:
			p.wide.Known(g.call.id, idOf(requestOf(byKey[o.key()], g.call)))
		case g.call != nil && g.call.doubted():
			p.wide.Known(g.call.id, nobody)
		}
	}
	for _, g := range p.guesses(p.wide.Advance(mark), n.cfg.Confidence) {
		n.matched(p, g)
	}
	for _, c := range p.calls {
		if c.start < until && !c.decided {
			c.decided = true
			n.over(c)
		}
	}
	n.decideLookups(p, until)
	n.decideHeard(p, until)
	p.forget(n, until.Add(-usedWithin))
}

// forget drops what is decided, and the owners that can have no call any more.
func (p *pairing) forget(n *Node, until event.Time) {
	p.calls = slices.DeleteFunc(p.calls, func(c *call) bool { return c.start < until })
	p.owners = slices.DeleteFunc(p.owners, func(o owner) bool {
		return o.end < until || o.start.Add(n.cfg.AgentHorizon) < until
	})
}

// over ends the wait of what hangs on a call.
func (n *Node) over(c *call) {
	if c.p != nil {
		n.release(c.p)
	}
	if c.x != nil && c.waiting {
		n.expire(waiting{x: c.x})
	}
}

// ownerBy returns the owner of an id, nil if it is gone.
func (p *pairing) ownerBy(id uint64) *owner {
	i, ok := slices.BinarySearchFunc(p.owners, id, func(o owner, id uint64) int { return cmp.Compare(o.serial, id) })
	if !ok {
		return nil
	}
	return &p.owners[i]
}

func (p *pairing) callBy(id uint64) *call {
	i, ok := slices.BinarySearchFunc(p.calls, id, func(c *call, id uint64) int { return cmp.Compare(c.id, id) })
	if !ok {
		return nil
	}
	return p.calls[i]
}

// request is a request that may have made a call: the sum of what speaks for
// its parts.
type request struct {
	key, also  correlate.Key
	confidence float64
	owner      *owner // the likeliest part
	part       float64
}

// is reports whether two are known to be one request.
func (r request) is(o request) bool {
	return r.key == o.key || r.key == o.also || r.also == o.key && !o.key.IsZero() || r.also == o.also && !r.also.IsZero()
}

// requests groups the candidates of a match by the request they belong to, the
// likeliest first.
func (p *pairing) requests(m *link.Match) []request {
	var list []request
	for _, c := range m.Candidates {
		o := p.ownerBy(c.Owner)
		if o == nil || o.key().IsZero() {
			continue
		}
		own := request{key: o.key()}
		if o.x != nil {
			own.also = o.x.also
		}
		at := slices.IndexFunc(list, own.is)
		if at < 0 {
			at = len(list)
			list = append(list, own)
		}
		r := &list[at]
		r.confidence += c.Confidence
		if r.owner == nil || c.Confidence > r.part {
			r.owner, r.part = o, c.Confidence
		}
	}
	for i := range list {
		list[i].confidence = math.Round(min(list[i].confidence, 1)*1000) / 1000
	}
	slices.SortStableFunc(list, likeliest)
	return list
}

func likeliest(a, b request) int {
	return cmp.Or(cmp.Compare(b.confidence, a.confidence), a.key.Compare(b.key))
}

// matched takes in what a linker decided about a call: it returns the owner if
// it is sure enough.
func (n *Node) matched(p *pairing, g guess) *owner {
	c, list := g.call, g.list
	if c == nil || len(list) == 0 {
		return nil
	}
	if list[0].confidence < n.cfg.Confidence {
		n.doubt(c, list)
		return nil
	}
	method := p.method
	if c.p != nil && list[0].owner.kind == ownerTool && len(list) == 1 {
		method = correlate.ToolWindow
	}
	why := reason(c, list)
	if g.kin > 0 {
		method, why = correlate.GoroutineParent, byKin(g.kin)
	}
	n.infer(c, list[0].owner, inference(method, list, why))
	return list[0].owner
}

func idOf(o *owner) uint64 {
	if o == nil {
		return nobody
	}
	return o.serial
}

// reason says why a request is the likeliest.
func reason(c *call, list []request) string {
	what := "the call"
	switch {
	case c.p != nil:
		what = "the process"
	case c.span != nil || c.x != nil && c.x.server():
		what = "the served request"
	}
	by := "times"
	if s := list[0].owner.span(); s != nil && list[0].owner.kind == ownerModel && s.usage.Input != 0 {
		by = "times and sizes"
	}
	if len(list) == 1 {
		return "nothing else was under way that may have caused " + what
	}
	return "of " + strconv.Itoa(len(list)) + " requests under way the likeliest cause of " + what + ", by " + by
}

// inference puts a decision into the words of a join.
func inference(m correlate.Method, list []request, evidence string) *correlate.Inference {
	i := &correlate.Inference{
		Method: m, Confidence: list[0].confidence, Candidates: uint32(len(list)), Evidence: evidence,
	}
	for _, r := range list[1:min(len(list), 1+correlate.MaxRejected)] {
		i.Rejected = append(i.Rejected, correlate.Candidate{Key: r.key, Confidence: r.confidence})
	}
	return i
}

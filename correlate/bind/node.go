package bind

import (
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
)

// Node binds the events of one node. It is driven in canonical order by
// Advance and is not safe for concurrent use.
type Node struct {
	name   string
	cfg    window.Config
	dir    *Directory
	ablate Ablation
	out    *Out
	bootID event.BootID // of the shim's last word

	sockets   sockets
	processes processes
	exchanges map[event.ID]*exchange // until the horizon
	routines  map[routine][]*exchange
	responses map[string]*response
	workloads map[podName]*workload
	inOrder   []*workload // in order of appearance
	serves    bool        // what is in no pod has accepted connections
	pairDue   event.Time  // when some workload has calls to decide
	space     *Space
	messages  map[message]*asked
	models    recent         // spans of model calls
	callers   recent         // those that have one below them
	spans     []*event.Event // only for Ablation.NearestSpan

	now      event.Time // the position in event time
	last     event.ID   // of the event before, to see duplicates
	decide   fifo[decision]
	localize fifo[*exchange]
	waits    [queues]waits
	others   slab[waiting]
	answers  map[uint32]*question  // of the evidence that is a response
	odd      map[uint32]event.Time // of the evidence that did not come when it should
	known    map[event.Workload]*event.Workload
}

// decision is an event on its second look.
type decision struct {
	e    *event.Event
	x    *exchange
	late bool
	// request is the message that an HTTP response without a trace answers.
	request *question
}

// waiting is something else than evidence that has a horizon: a client's
// exchange, which becomes ambient unless it is claimed, or a model's response id
// that a span named.
type waiting struct {
	x        *exchange
	response string
	span     *answer
}

// NewNode returns an empty node. Nodes that are never driven at once may share
// the space in which calls are linked.
func NewNode(name string, cfg window.Config, dir *Directory, ablate Ablation, space *Space) *Node {
	return &Node{
		space: space,
		name:  name, cfg: cfg, dir: dir, ablate: ablate,
		sockets:   newSockets(ablate),
		processes: newProcesses(ablate),
		exchanges: make(map[event.ID]*exchange),
		routines:  make(map[routine][]*exchange),
		responses: make(map[string]*response),
		workloads: make(map[podName]*workload),
		pairDue:   event.Never,
		messages:  make(map[message]*asked),
		answers:   make(map[uint32]*question),
		odd:       make(map[uint32]event.Time),
		known:     make(map[event.Workload]*event.Workload),
	}
}

// Advance takes in events, sorted by event.Compare, and works until end (not
// included). Events older than from come late: they are decided from here on,
// with what the indexes still hold.
func (n *Node) Advance(events []*event.Event, from, end event.Time, out *Out) {
	n.out = out
	for {
		at, what := end, -1
		if len(events) > 0 {
			at, what = max(events[0].Time, from), 0
		}
		if n.decide.due(&at) {
			what = 1
		}
		if n.localize.due(&at) {
			what = 2
		}
		for i := range n.waits {
			if n.waits[i].due(&at) {
				what = 4 + i
			}
		}
		if n.pairDue < at {
			at, what = n.pairDue, 3
		}
		if what < 0 || at >= end {
			n.out = nil
			return
		}
		n.now = max(n.now, at)
		switch what {
		case 0:
			n.index(events[0], events[0].Time < from)
			events = events[1:]
		case 1:
			n.decideOne(n.decide.pop())
		case 2:
			n.localizeOne(n.localize.pop())
		case 3:
			n.decidePairs()
		default:
			n.expireOne(queue(what - 4))
		}
	}
}

// memory is how long a process or socket that is over is remembered: until every call
// that began while it was there is decided, and what waited for that.
func (n *Node) memory() time.Duration {
	return n.cfg.AgentHorizon + 2*link.Epoch + n.cfg.Localize
}

// Next returns when the node has something to do even if nothing comes in,
// Never if nothing.
func (n *Node) Next() event.Time {
	at := event.Never
	n.decide.due(&at)
	n.localize.due(&at)
	for i := range n.waits {
		n.waits[i].due(&at)
	}
	return min(at, n.pairDue)
}

// index takes an event into the indexes, at its own time.
func (n *Node) index(e *event.Event, late bool) {
	if e.ID == n.last && !late && !n.ablate.NoDedupe {
		n.out.unmatched(e, correlate.Duplicate)
		return
	}
	n.last = e.ID
	d := decision{e: e, late: late}
	switch p := e.Payload.(type) {
	case *event.Socket:
		n.indexSocket(e, p)
	case *event.Exchange:
		if e.Kind == event.KindExchange {
			if n.exchanges[e.ID] != nil && !n.ablate.NoDedupe {
				n.out.unmatched(e, correlate.Duplicate)
				return
			}
			d.x = n.indexExchange(e, p)
		}
	case *event.Process:
		n.indexProcess(e, p)
	case *event.Span:
		n.indexSpan(e, p)
	case *event.HTTPFlow:
		d.request = n.indexMessage(e, p)
	case *event.Pod, *event.Service, *event.Loss, *event.Clock, *event.PeerTrace, *event.Alias:
		n.out.Fates[correlate.Control]++
		return
	}
	n.decide.push(n.now.Add(n.cfg.Settle), d)
}

// decideOne takes the second look.
func (n *Node) decideOne(d decision) {
	switch p := d.e.Payload.(type) {
	case *event.EdgeRequest:
		key := correlate.TraceKey(p.Trace.TraceID)
		if key.IsZero() {
			key = correlate.LocalKey(d.e.ID)
		}
		n.ownEdge(d.e, p)
		n.row(correlate.Row{Key: key, Event: d.e, Method: correlate.TraceContext, Late: d.late})
	case *event.Span:
		n.decideSpan(d, p)
	case *event.SpanLog:
		if p.TraceID.IsZero() {
			n.out.unmatched(d.e, correlate.Ambient)
			return
		}
		n.row(correlate.Row{Key: correlate.TraceKey(p.TraceID), Event: d.e, Method: correlate.TraceContext, Late: d.late, Span: p.SpanID})
	case *event.Exchange:
		if d.x != nil {
			n.decideExchange(d.x, d.late)
			return
		}
		n.decideOnSocket(d, n.sockets.byCookie(d.e.Boot, p.Cookie), correlate.SocketCookie)
	case *event.Process:
		n.decideProcess(d, p)
	case *event.Syscall:
		n.decideSyscall(d, p)
	case *event.Socket:
		n.decideOnSocket(d, n.sockets.byCookie(d.e.Boot, p.Cookie), correlate.SocketCookie)
	case *event.TLSHello:
		n.decideOnSocket(d, n.sockets.byCookie(d.e.Boot, p.Cookie), correlate.SocketCookie)
	case *event.HTTPFlow:
		n.decideHTTPFlow(d, p)
	case *event.Flow:
		s, method := n.socketOfFlow(d.e, p)
		n.decideOnSocket(d, s, method)
	case *event.DNS:
		n.decideDNS(d, p)
	default:
		n.out.unmatched(d.e, correlate.Ambient)
	}
}

func (n *Node) row(r correlate.Row) { n.out.Rows = append(n.out.Rows, r) }

// horizon queues something for the time when no claim can come any more.
func (n *Node) horizon(w waiting, workload *event.Workload) {
	number, v := n.others.add()
	*v = w
	q := short
	several := w.x != nil && w.x.p.StreamID != 0 // evidence of its connection waits as long
	if several || n.agentic(workload) {
		q = long
	}
	n.wait(q, n.now.Add(n.horizonOf(q)), wait{what: number, flags: waitOther})
}

// horizonOf is how long a queue holds what is new.
func (n *Node) horizonOf(q queue) time.Duration {
	if q == short {
		return n.cfg.Horizon
	}
	return n.cfg.AgentHorizon
}

// wait queues something and returns its number.
func (n *Node) wait(q queue, due event.Time, w wait) uint32 {
	return n.waits[q].push(due, w) | uint32(q+1)<<placeBits
}

// waitOf returns what has the number, and when it is due. The pointer is good until
// something else waits.
func (n *Node) waitOf(number uint32) (*wait, event.Time) {
	return n.waits[queueOf(number)].at(number & placeMask)
}

// expireOne ends the wait of evidence or of something else.
func (n *Node) expireOne(q queue) {
	place, w, due := n.waits[q].pop()
	if w.flags&waitOther == 0 {
		n.expireEvidence(place|uint32(q+1)<<placeBits, w, due)
		return
	}
	o := *n.others.at(w.what)
	n.others.drop(w.what)
	n.expire(o)
}

// sameWorkload reports whether two statements about a workload can be about
// the same one: what both know must agree.
func sameWorkload(a, b *event.Workload) bool {
	if a == nil || b == nil {
		return true
	}
	if a.PodUID != "" && b.PodUID != "" {
		return a.PodUID == b.PodUID
	}
	return (a.Pod == "" || b.Pod == "" || a.Pod == b.Pod) &&
		(a.Namespace == "" || b.Namespace == "" || a.Namespace == b.Namespace)
}

// binds reports whether a span's claim about its workload lets it bind to a
// socket. A span that claims none binds to no socket whose workload is known:
// anybody could have sent it.
func binds(claim, socket *event.Workload) bool {
	if socket != nil && (socket.Pod != "" || socket.PodUID != "") && claim.Pod == "" && claim.PodUID == "" {
		return false
	}
	return sameWorkload(claim, socket)
}

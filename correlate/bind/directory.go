package bind

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
)

// Directory is what the whole cluster must know: which pod had an address
// when, on which node a connection from a peer was accepted, and what was
// lost. It is written between steps, by one goroutine, and only read while
// nodes work.
type Directory struct {
	cfg      window.Config
	byIP     map[netip.Addr][]*podSpan
	byUID    map[string]*podSpan
	byName   map[podName][]*podSpan
	ended    fifo[*podSpan] // pods that have, and whose addresses and names may be asked for
	accepted map[netip.AddrPort][]acceptance
	closed   fifo[netip.AddrPort] // peers whose connection has ended
	beats    map[beat]event.Time
	gaps     map[string][]Gap // by node, in order of discovery
	edges    bool
	last     event.Time
}

type podName struct{ namespace, pod string }

// podSpan is a pod while one version of it held.
type podSpan struct {
	pod      *event.Pod
	from, to event.Time
}

// acceptance says that node took a connection from a peer.
type acceptance struct {
	node     string
	from, to event.Time
}

type beat struct {
	node string
	of   event.Source
}

// Gap is a time in which a source of a node (all nodes when empty) lost events.
type Gap struct {
	Source     event.Source
	Node       string
	Start, End event.Time
	Lost       uint64
	Reason     string
	scope      string
}

// NewDirectory returns an empty directory.
func NewDirectory(cfg window.Config) *Directory {
	return &Directory{
		cfg:      cfg,
		byIP:     make(map[netip.Addr][]*podSpan),
		byUID:    make(map[string]*podSpan),
		byName:   make(map[podName][]*podSpan),
		accepted: make(map[netip.AddrPort][]acceptance),
		beats:    make(map[beat]event.Time),
		gaps:     make(map[string][]Gap),
	}
}

// Observe takes in one event, in canonical order.
func (d *Directory) Observe(e *event.Event) {
	switch p := e.Payload.(type) {
	case *event.EdgeRequest:
		d.edges = true
	case *event.Pod:
		d.addPod(e, p)
	case *event.Socket:
		if p.Role != event.RoleServer || !p.Tuple.Dst.IsValid() {
			return
		}
		d.accept(e, p)
	case *event.Loss:
		d.addLoss(e, p)
	case *event.Clock:
		key := beat{e.Node, p.Of}
		last, known := d.beats[key]
		d.beats[key] = e.Time
		if p.Idle {
			delete(d.beats, key)
		}
		if known && e.Time.Sub(last) > d.cfg.Idle {
			d.addGap(e, Gap{Source: p.Of, Node: e.Node, Start: last, End: e.Time, Reason: "silent"})
		}
	}
}

func (d *Directory) addPod(e *event.Event, p *event.Pod) {
	span := &podSpan{pod: p, from: p.ValidFrom, to: p.ValidTo}
	if span.from == 0 {
		span.from = e.Time
	}
	if span.to == 0 {
		span.to = event.Never
	}
	if uid := p.Workload.PodUID; uid != "" {
		if old := d.byUID[uid]; old != nil { // a newer version of the same pod
			if reflect.DeepEqual(old.pod, p) {
				return // sources tell again what they know
			}
			old.to = min(old.to, max(span.from, e.Time))
			if old.from < span.from || p.ValidFrom == old.pod.ValidFrom {
				old.to, span.from = min(old.to, span.to), min(old.from, span.from)
			}
		}
		d.byUID[uid] = span
	}
	name := podName{p.Workload.Namespace, p.Workload.Pod}
	d.byName[name] = append(d.byName[name], span)
	if !p.HostNetwork { // else it shares the node's address with others
		for _, ip := range p.IPs {
			d.byIP[ip] = append(d.byIP[ip], span)
		}
	}
	d.forgetPods(e, span)
}

// forgetPods drops pods whose end is known once nothing can ask for them any more.
func (d *Directory) forgetPods(e *event.Event, span *podSpan) {
	if span.to != event.Never {
		d.ended.push(max(e.Time, d.last).Add(d.cfg.Longest+d.cfg.Retention), span)
	}
	d.last = max(d.last, e.Time)
	for at := d.last; d.ended.due(&at); at = d.last {
		span := d.ended.pop()
		if span.to > at { // it was said to end later
			d.ended.push(at.Add(d.cfg.Longest+d.cfg.Retention), span)
			continue
		}
		p, same := span.pod, func(o *podSpan) bool {
			return o == span || o.pod.Workload.PodUID == span.pod.Workload.PodUID && o.to <= span.to
		}
		if d.byUID[p.Workload.PodUID] == span {
			delete(d.byUID, p.Workload.PodUID)
		}
		name := podName{p.Workload.Namespace, p.Workload.Pod}
		if d.byName[name] = slices.DeleteFunc(d.byName[name], same); len(d.byName[name]) == 0 {
			delete(d.byName, name)
		}
		for _, ip := range p.IPs {
			if d.byIP[ip] = slices.DeleteFunc(d.byIP[ip], same); len(d.byIP[ip]) == 0 {
				delete(d.byIP, ip)
			}
		}
	}
}

func (d *Directory) accept(e *event.Event, p *event.Socket) {
	list := d.accepted[p.Tuple.Dst]
	for i := range list {
		if list[i].node == e.Node && list[i].to == event.Never {
			if e.Kind == event.KindSocketClose {
				list[i].to = e.Time
				d.forget(p.Tuple.Dst, e.Time)
			}
			if e.Kind != event.KindSocketOpen {
				return
			}
			list[i].to = e.Time
		}
	}
	// Drop what nobody can ask for any more, so that busy peers stay cheap.
	list = slices.DeleteFunc(list, func(a acceptance) bool { return a.to < e.Time.Add(-d.cfg.AgentHorizon) })
	from, to := cmp.Or(p.Opened, e.Time), event.Never
	switch e.Kind {
	case event.KindSocketOwner:
		from = p.Opened // it may have been open for long
	case event.KindSocketClose:
		from, to = p.Opened, e.Time
	}
	d.accepted[p.Tuple.Dst] = append(list, acceptance{e.Node, from, to})
	if to != event.Never {
		d.forget(p.Tuple.Dst, e.Time)
	}
}

// forget drops a peer whose last connection has ended once no span can name it
// any more.
func (d *Directory) forget(peer netip.AddrPort, now event.Time) {
	d.closed.push(max(now, d.last).Add(d.cfg.AgentHorizon), peer)
	d.last = max(d.last, now)
	for at := d.last; d.closed.due(&at); at = d.last {
		peer := d.closed.pop()
		list := slices.DeleteFunc(d.accepted[peer], func(a acceptance) bool { return a.to < at.Add(-d.cfg.AgentHorizon) })
		if len(list) == 0 {
			delete(d.accepted, peer)
		} else {
			d.accepted[peer] = list
		}
	}
}

func (d *Directory) addLoss(e *event.Event, p *event.Loss) {
	g := Gap{Source: p.Of, Node: e.Node, Start: p.From, End: p.To, Lost: p.Count, Reason: p.Reason, scope: p.Scope}
	switch {
	case g.Start == 0 && g.End != 0: // the end of something that began before
		gaps := d.gaps[e.Node]
		for i := len(gaps) - 1; i >= 0; i-- {
			o := &gaps[i]
			if o.Source == g.Source && o.scope == g.scope && (o.End == event.Never && o.Start <= g.End || o.End == g.End) {
				o.End = g.End // the second time it says nothing new
				return
			}
		}
		g.Start = g.End.Add(-time.Minute)
	case g.Start != 0 && g.End == 0:
		g.End = event.Never
	case g.Start == 0:
		g.Start, g.End = e.Time.Add(-time.Second), e.Time
	}
	d.addGap(e, g)
}

// repeats reports whether o is the same gap, which may have ended since.
func (g Gap) repeats(o Gap) bool {
	if g.End == event.Never {
		o.End = g.End
	}
	return g == o
}

// addGap keeps a gap, and drops those that no open request can overlap.
func (d *Directory) addGap(e *event.Event, g Gap) {
	oldest := e.Time.Add(-d.cfg.Longest - d.cfg.Retention)
	gaps := slices.DeleteFunc(d.gaps[e.Node], func(o Gap) bool { return o.End < oldest })
	if !slices.ContainsFunc(gaps, g.repeats) {
		gaps = append(gaps, g)
	}
	d.gaps[e.Node] = gaps
}

// Gaps calls f for every gap that overlaps [start, end] on one of the nodes, or
// that is of no node in particular. A sender that has been silent since before
// end counts as well.
func (d *Directory) Gaps(start, end event.Time, nodes []string, f func(Gap)) {
	for _, node := range nodes {
		for _, g := range d.gaps[node] {
			if g.Start <= end && g.End >= start {
				f(g)
			}
		}
		for of := range event.Sources {
			last, ok := d.beats[beat{node, event.Source(of)}]
			if ok && last < end.Add(-d.cfg.Idle) {
				f(Gap{Source: event.Source(of), Node: node, Start: last, End: end, Reason: "silent"})
			}
		}
	}
}

// Pod returns the pod that had the address at t, nil if none or nobody knows.
func (d *Directory) Pod(ip netip.Addr, t event.Time) *event.Workload {
	list := d.byIP[ip]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].from <= t && t <= list[i].to {
			return &list[i].pod.Workload
		}
	}
	return nil
}

// NodeOf says which node an event without one belongs to: that of its
// workload's pod, or the one that accepted the connection its peer made. It is
// empty when that is not known for certain.
func (d *Directory) NodeOf(e *event.Event) string {
	switch p := e.Payload.(type) {
	case *event.Span:
		if n := d.nodeOfWorkload(&p.Workload, e.Time); n != "" {
			return n
		}
		if p.Kind == event.SpanKindServer && p.Peer.IsValid() {
			return d.acceptedBy(p.Peer, p.Start)
		}
	case *event.SpanLog:
		return d.nodeOfWorkload(&p.Workload, e.Time)
	case *event.EdgeRequest:
		if w := d.Pod(p.Backend, e.Time); w != nil {
			return w.Node
		}
	case *event.Flow:
		if w := d.Pod(p.Tuple.Src.Addr(), e.Time); w != nil {
			return w.Node
		}
		if w := d.Pod(p.Tuple.Dst.Addr(), e.Time); w != nil {
			return w.Node
		}
	}
	return ""
}

func (d *Directory) nodeOfWorkload(w *event.Workload, t event.Time) string {
	if w.Node != "" {
		return w.Node
	}
	if p := d.byUID[w.PodUID]; p != nil {
		return p.pod.Workload.Node
	}
	list := d.byName[podName{w.Namespace, w.Pod}]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].from <= t && t <= list[i].to {
			return list[i].pod.Workload.Node
		}
	}
	return ""
}

func (d *Directory) acceptedBy(peer netip.AddrPort, t event.Time) string {
	node := ""
	for _, a := range d.accepted[peer] {
		if a.from > t || t > a.to {
			continue
		}
		if node != "" && node != a.node {
			return ""
		}
		node = a.node
	}
	return node
}

// ExpectsEdge reports whether this cluster's load balancer logs come in.
func (d *Directory) ExpectsEdge() bool { return d.edges }

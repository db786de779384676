package enginetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// Shape says what a random cluster is like.
type Shape struct {
	// Name is part of every name and address (Octet), so that two clusters have
	// nothing in common.
	Name     string
	Octet    byte
	Nodes    int
	Requests int
	Span     time.Duration // the requests begin within it
	Grain    time.Duration // times are multiples of it: a coarse one makes ties
	Skew     time.Duration // the nodes' clocks differ by up to it
	Drop     float64       // share of events that nobody reports
	Reuse    float64       // share of requests under a trace id that was used before
	Names    int           // how many pids, ports and sock addresses there are, 0: so few that they come back at once
	NoEdge   bool
}

// cluster makes events. It knows no answer: it is for laws that hold whatever
// the events are.
type cluster struct {
	Shape
	rng    *rand.Rand
	events []event.Event
	nodes  []*machine
	pods   []*pod
	traces []event.TraceID
	serial uint64
}

type machine struct {
	name   string
	skew   time.Duration
	cookie uint64
	pid    uint32
}

type pod struct {
	w     event.Workload
	ip    netip.Addr
	on    *machine
	exec  event.ExecID
	proc  event.ProcessRef
	conns []*conn // that it accepted
	model *conn   // one HTTP/2 connection for all model calls
}

// conn is one connection as one of its ends, or both, see it.
type conn struct {
	client, server             *pod // nil: outside
	tuple                      event.Tuple
	clientCookie, serverCookie uint64
	clientAddr, serverAddr     event.SockAddr
	h2                         bool
	count                      uint32
	opened, busy, closed       time.Duration
	original                   netip.AddrPort
}

// Random makes the events of a small cluster, in no order. Equal seeds and
// shapes give equal events.
func Random(rng *rand.Rand, s Shape) []event.Event {
	c := &cluster{Shape: s, rng: rng}
	for i := range max(1, s.Nodes) {
		m := &machine{name: fmt.Sprintf("%s-n%d", s.Name, i), cookie: uint64(i) * 1000, pid: 100}
		if s.Skew > 0 {
			m.skew = time.Duration(rng.Int64N(int64(2*s.Skew))) - s.Skew
		}
		c.nodes = append(c.nodes, m)
	}
	for i := range len(c.nodes) + 1 {
		c.newPod(i)
	}
	for range s.Requests {
		c.request()
	}
	c.noise()
	return c.events
}

func (c *cluster) chance(p float64) bool { return c.rng.Float64() < p }

func (c *cluster) between(from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return from + time.Duration(c.rng.Int64N(int64(to-from)))
}

func (c *cluster) at(d time.Duration) event.Time {
	if c.Grain > 0 {
		d -= d % c.Grain
	}
	return Base.Add(time.Minute + d)
}

// add reports an event as a machine's clock shows it; nil is nobody's.
func (c *cluster) add(k event.Kind, m *machine, at time.Duration, p event.Payload) {
	if c.chance(c.Drop) {
		return
	}
	e := event.Event{Kind: k, Source: sources[k], Time: c.at(at), Payload: p}
	if e.Source == event.SourceUnknown {
		e.Source = event.SourceSocket
	}
	if m != nil {
		e.Node, e.Time = m.name, c.at(at+m.skew)
		if k == event.KindSpan && c.chance(0.5) {
			e.Node = ""
		}
	}
	if k == event.KindSpan || k == event.KindSpanLog || k == event.KindEdgeRequest {
		e.Boot = event.BootID{}
	}
	c.events = append(c.events, Named(e))
}

func (c *cluster) newPod(i int) {
	m := c.nodes[i%len(c.nodes)]
	p := &pod{ip: netip.AddrFrom4([4]byte{10, c.Octet, byte(i), 1}), on: m}
	p.w = event.Workload{Namespace: c.Name, Pod: fmt.Sprintf("p%d", i), PodUID: fmt.Sprintf("%s-uid%d", c.Name, i)}
	named := p.w
	named.Node = m.name
	if c.chance(0.9) {
		c.add(event.KindPod, nil, -30*time.Second, &event.Pod{Workload: named, IPs: []netip.Addr{p.ip}})
	}
	p.exec, p.proc = c.newExec(m), c.newProcess(m)
	c.add(event.KindProcessExec, m, -20*time.Second, &event.Process{ExecID: p.exec, Process: p.proc, Binary: "/bin/agent", Inventory: true})
	c.pods = append(c.pods, p)
}

func (c *cluster) newExec(m *machine) event.ExecID {
	c.serial++
	return event.ExecID(fmt.Sprintf("%s-e%d", m.name, c.serial))
}

// newProcess reuses pids: there are only a few.
func (c *cluster) newProcess(m *machine) event.ProcessRef {
	m.pid++
	c.serial++
	p := event.ProcessRef{PID: 100 + m.pid%uint32(max(7, c.Names))}
	if c.chance(0.5) {
		p.StartNS = c.serial * uint64(3*time.Second)
	}
	return p
}

func (c *cluster) newTrace() event.TraceID {
	if len(c.traces) > 0 && c.chance(c.Reuse) {
		return c.traces[c.rng.IntN(len(c.traces))]
	}
	var t event.TraceID
	c.serial++
	copy(t[:], fmt.Sprintf("%s%x", c.Name, c.serial*0x9e3779b9))
	c.traces = append(c.traces, t)
	return t
}

func (c *cluster) newSpan() event.SpanID {
	c.serial++
	return Span(fmt.Sprintf("s%x", c.serial))
}

// dial opens a connection; ports and sock addresses are few and come back.
func (c *cluster) dial(client, server *pod, at time.Duration) *conn {
	x := &conn{client: client, server: server, h2: c.chance(0.4), opened: at, busy: at}
	src := netip.AddrFrom4([4]byte{203, 0, 113, c.Octet})
	dst := netip.AddrFrom4([4]byte{198, 51, 100, c.Octet})
	port := uint16(443)
	if client != nil {
		src = client.ip
		client.on.cookie++
		x.clientCookie, x.clientAddr = client.on.cookie, event.SockAddr(0x1000+client.on.cookie%uint64(max(5, c.Names)))
	}
	if server != nil {
		dst, port = server.ip, 8080
		server.on.cookie++
		x.serverCookie, x.serverAddr = server.on.cookie, event.SockAddr(0x1000+server.on.cookie%uint64(max(5, c.Names)))
	}
	x.tuple = event.Tuple{
		Proto: event.ProtoTCP, Src: netip.AddrPortFrom(src, uint16(40000+c.rng.IntN(max(20, c.Names)))), Dst: netip.AddrPortFrom(dst, port),
	}
	if server != nil && client != nil && c.chance(0.5) {
		x.original = netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 20, c.Octet, 1}), 80)
	}
	c.sockets(x, event.KindSocketOpen, at)
	return x
}

func (c *cluster) hangUp(x *conn, at time.Duration) {
	x.closed = at
	c.sockets(x, event.KindSocketClose, at)
}

func (c *cluster) sockets(x *conn, k event.Kind, at time.Duration) {
	if x.client != nil {
		c.add(k, x.client.on, at, &event.Socket{
			Cookie: event.SocketCookie(x.clientCookie), Addr: x.clientAddr, Tuple: x.tuple, Original: x.original,
			Role: event.RoleClient, Opened: c.at(x.opened + x.client.on.skew), Process: x.client.proc,
		})
	}
	if x.server != nil {
		c.add(k, x.server.on, at+time.Millisecond, &event.Socket{
			Cookie: event.SocketCookie(x.serverCookie), Addr: x.serverAddr, Tuple: x.tuple.Reverse(),
			Role: event.RoleServer, Opened: c.at(x.opened + time.Millisecond + x.server.on.skew),
		})
	}
}

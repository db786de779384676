package simulate

import (
	"net/netip"
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
)

// target is somewhere to connect to.
type target struct {
	addr netip.AddrPort // as asked for: a cluster address, or one outside
	svc  *service       // nil: outside
	host string
	tls  bool
	h2   bool
	// opaque: nobody decodes it, so only its bytes and its ClientHello are seen.
	opaque bool
}

// conn is one TCP connection with the socket at each end that somebody
// observes.
type conn struct {
	t        *target
	pool     *pool
	cli, srv *end           // nil where nobody observes
	peer     *pod           // the pod behind the server's end
	original netip.AddrPort // the address asked for, when it was translated
	latency  int64          // one way
	inUse    int
	ordinal  uint32
	stream   uint32
	closed   bool
	doomed   bool // closes when its last exchange is over
	noise    bool
}

// pool is the connections of one client to one target.
type pool struct {
	conns []*conn
	avail []*conn // with room for one more exchange, used last first
}

func (p *pod) poolFor(addr netip.AddrPort) *pool {
	pl := p.pools[addr]
	if pl == nil {
		pl = &pool{}
		p.pools[addr] = pl
	}
	return pl
}

// sortedPools and sortedConns give an order that is the same in every run.
func sortedPools(m map[netip.AddrPort]*pool) []*pool {
	keys := make([]netip.AddrPort, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, netip.AddrPort.Compare)
	out := make([]*pool, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out
}

func sortedConns(m map[*conn]struct{}) []*conn {
	out := make([]*conn, 0, len(m))
	for c := range m {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *conn) int { return int(int64(a.srv.cookie) - int64(b.srv.cookie)) })
	return out
}

// capacity is how many exchanges the connection carries at once.
func (w *world) capacity(c *conn) int {
	if c.t.h2 {
		return w.o.InFlight
	}
	return 1
}

// acquire takes a connection from the pool of a process, or opens one.
func (w *world) acquire(t *task, pl *pool, from *pod, pr *process, tg *target, r *request) *conn {
	for len(pl.avail) > 0 {
		c := pl.avail[len(pl.avail)-1]
		if c.srv != nil && c.srv.pod.draining { // a readiness change: new requests go elsewhere
			pl.avail = pl.avail[:len(pl.avail)-1]
			c.doomed = true
			if c.inUse == 0 {
				w.closeConn(c)
			}
			continue
		}
		w.occupy(c)
		return c
	}
	c := w.dial(t, pl, from, pr, tg, r)
	return c
}

func (w *world) occupy(c *conn) {
	c.inUse++
	if c.inUse >= w.capacity(c) {
		c.pool.avail = slices.DeleteFunc(c.pool.avail, func(o *conn) bool { return o == c })
	}
	if c.srv != nil {
		c.srv.pod.busy++
	}
}

// release gives a connection back; now and then one is closed instead.
func (w *world) release(c *conn, keep float64) {
	c.inUse--
	if c.srv != nil {
		c.srv.pod.busy--
	}
	if !c.doomed && !w.rng.chance(keep) {
		c.doomed = true
		c.pool.avail = slices.DeleteFunc(c.pool.avail, func(o *conn) bool { return o == c })
	}
	switch {
	case c.doomed && c.inUse == 0:
		w.closeConn(c)
	case !c.doomed && c.inUse == w.capacity(c)-1:
		c.pool.avail = append(c.pool.avail, c)
	}
	if c.srv != nil {
		w.retire(c.srv.pod)
	}
}

// dial opens a connection: SYN, SYN-ACK, and the ClientHello where there is one.
func (w *world) dial(t *task, pl *pool, from *pod, pr *process, tg *target, r *request) *conn {
	if tg.svc == nil && from != nil {
		w.lookup(t, from, tg.host, tg.addr.Addr(), r)
	}
	c := &conn{t: tg, pool: pl, noise: r == nil, latency: w.rng.between(80*us, 400*us)}
	pl.conns = append(pl.conns, c)
	background := r == nil
	server := tg.addr
	var sp *pod
	if tg.svc != nil {
		sp = tg.svc.pick()
		server = netip.AddrPortFrom(sp.ip, tg.svc.port)
		if server != tg.addr {
			c.original = tg.addr
		}
		if sp.node == from.nodeOrNil() {
			c.latency /= 3
		}
	} else {
		c.latency = w.rng.between(4*ms, 12*ms)
	}
	if from != nil {
		c.cli = w.newEnd(c, from, pr, event.RoleClient)
		c.cli.local, c.cli.remote = netip.AddrPortFrom(from.ip, uint16(from.ports.take())), server
	}
	if sp != nil {
		c.peer = sp
		sp.busy++ // dialled, so its exchange is coming
	}
	c.inUse = 1
	if w.capacity(c) > 1 {
		pl.avail = append(pl.avail, c)
	}
	if c.cli != nil {
		w.connecting(c, r)
	}
	t.sleep(c.latency)
	if sp != nil {
		w.accepted(c, sp, background)
	}
	t.sleep(c.latency)
	if c.cli != nil {
		w.endFlow(c.cli, flagsSYNACK, true, "TO_ENDPOINT", flowTrace, background)
		if tg.tls {
			w.helloP = event.TLSHello{Cookie: c.cli.cookie, Tuple: c.cli.tuple(), SNI: tg.host, ALPN: "h2,http/1.1"}
			from.node.emit(event.KindTLSHello, w.s.now, uint64(c.cli.cookie), &w.helloP, background)
		}
	}
	if tg.tls {
		t.sleep(2 * c.latency)
	}
	return c
}

func (p *pod) nodeOrNil() *node {
	if p == nil {
		return nil
	}
	return p.node
}

// connecting is what the client's node sees of a SYN.
func (w *world) connecting(c *conn, r *request) {
	background := r == nil
	e := c.cli
	n := e.pod.node
	w.socketOpen(e, background)
	if e.pod.watched() {
		at := w.kprobeSock(e.proc, "tcp_connect", e, 0, background)
		if at.at != 0 && e.proc.fact != nil && r != nil {
			w.syscallFact(r, e.proc, "tcp_connect", at, e.addr)
		}
	}
	if c.original.IsValid() && n.socketLB {
		f := flow{
			src: netip.AddrPortFrom(e.pod.ip, 0), dst: c.original, srcPod: e.pod, kind: flowSock, egress: true,
			cookie: e.cookie, cgroup: e.pod.cgroup, translation: preTranslation,
		}
		w.flow(n, &f, background)
		f.dst, f.dstPod, f.translation = e.remote, c.peer, postTranslation
		w.flow(n, &f, background)
	}
	w.endFlow(e, flagsSYN, false, "", flowVerdict, background)
	w.endFlow(e, flagsSYN, false, "TO_STACK", flowTrace, background)
	if c.peer != nil && c.peer.node != n {
		w.endFlow(e, flagsSYN, false, "TO_OVERLAY", flowTrace, background)
	}
}

// accepted is what the server's node sees of it.
func (w *world) accepted(c *conn, p *pod, background bool) {
	e := w.newEnd(c, p, p.main, event.RoleServer)
	c.srv = e
	p.servers[c] = struct{}{}
	e.local = netip.AddrPortFrom(p.ip, p.svc.port)
	if c.cli != nil {
		e.remote = c.cli.local
	} else {
		e.remote = w.outsideEnd(c)
	}
	if c.cli != nil && c.cli.pod.node != p.node {
		w.endFlow(e, flagsSYN, false, "FROM_OVERLAY", flowTrace, background)
	}
	w.endFlow(e, flagsSYN, false, "TO_ENDPOINT", flowTrace, background)
	w.socketOpen(e, background)
}

// endFlow writes a flow of a connection as the node of one end sees it: sent by
// that end, or, with reply for the client's end and without for the server's,
// received by it.
func (w *world) endFlow(e *end, flags string, reply bool, point string, kind int, background bool) (event.ID, event.Time, bool) {
	c := e.c
	client, server := e.local, e.remote
	cp, sp := e.pod, c.peer
	if e.role == event.RoleServer {
		client, server = e.remote, e.local
		cp, sp = nil, e.pod
		if c.cli != nil {
			cp = c.cli.pod
		}
	} else if c.original.IsValid() && !e.pod.node.socketLB && point == "" {
		server, sp = c.original, nil // the packet before the datapath translates it
	}
	f := flow{src: client, dst: server, srcPod: cp, dstPod: sp, kind: kind, reply: reply, flags: flags, point: point}
	f.egress = e.role == event.RoleClient
	if kind == flowVerdict {
		f.policy = "allow-mesh"
	}
	if c.t.svc == nil && e.role == event.RoleClient {
		f.dstName = c.t.host
	}
	if reply {
		f.src, f.dst, f.srcPod, f.dstPod = f.dst, f.src, f.dstPod, f.srcPod
		f.dstName = ""
	}
	return w.flow(e.pod.node, &f, background)
}

// watched says whether Tetragon's network policy covers the pod.
func (p *pod) watched() bool { return p.svc.agent != "" }

// closeConn ends a connection from its client's side.
func (w *world) closeConn(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	same := func(o *conn) bool { return o == c }
	c.pool.conns = slices.DeleteFunc(c.pool.conns, same)
	c.pool.avail = slices.DeleteFunc(c.pool.avail, same)
	if e := c.cli; e != nil {
		w.endFlow(e, flagsFINACK, false, "TO_STACK", flowTrace, c.noise)
		if e.pod.watched() && !e.proc.dead {
			w.kprobeSock(e.proc, "tcp_close", e, 0, c.noise)
		}
		w.socketClose(e, event.VerdictUnknown, c.noise)
	}
	w.s.at(w.s.now+c.latency, func() {
		if e := c.srv; e != nil {
			w.endFlow(e, flagsFINACK, false, "TO_ENDPOINT", flowTrace, c.noise)
			w.socketClose(e, event.VerdictUnknown, c.noise)
			delete(e.pod.servers, c)
		}
		if c.cli != nil {
			c.cli.pod.ports.give(uint32(c.cli.local.Port()))
		} else if c.srv != nil {
			w.proxyPorts.give(uint32(c.srv.remote.Port()))
		}
	})
}

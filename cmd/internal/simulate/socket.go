package simulate

import (
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// emit writes one record of the eBPF shim, or of the node agent itself. It
// reports whether the record was written.
func (n *node) emit(k event.Kind, at int64, key uint64, p event.Payload, background bool) bool {
	w := n.w
	b := n.socket.begin(w.outRNG.between(1*ms, 20*ms))
	if b == nil {
		return false
	}
	n.records++
	e := &w.scratch
	*e = event.Event{
		ID:   n.ids.Reset(k).String(n.name).Uint(uint64(at)).Uint(key).Uint(n.records).Sum(),
		Kind: k, Source: event.SourceSocket, Cluster: w.cluster, Node: n.name, Boot: n.boot,
		Time: n.clock(at), Observed: n.clock(n.socket.at), Payload: p,
	}
	n.socket.end(e.AppendJSON(b), 1, background)
	return true
}

// emitLoss writes that a source of the node lost records.
func (n *node) emitLoss(of event.Source, from, to int64, count uint64, reason string) {
	n.emit(event.KindLoss, to, uint64(of), &event.Loss{
		Of: of, Count: count, From: n.clock(from), To: n.clock(to), Reason: reason,
	}, true)
}

// heartbeat writes, for each source of the node, that it is alive and up to
// which event time it has sent everything, delays beyond the usual left aside.
func (n *node) heartbeat() {
	now := n.w.s.now
	for _, src := range [...]struct {
		out  *output
		of   event.Source
		held int64 // the longest usual delay of a record
	}{
		{n.socket, event.SourceSocket, 50 * ms},
		{n.tetragon, event.SourceTetragon, 2 * s1},
		{n.hubble, event.SourceHubble, 100 * ms},
		{n.otlp, event.SourceOTLP, sdkDelay + 500*ms},
	} {
		src.out.settleLoss()
		if src.out.silentNow() {
			continue
		}
		n.w.clockP = event.Clock{
			Of: src.of, BootNS: n.sinceBoot(now), Wall: n.clock(now), Watermark: n.clock(now - src.held),
		}
		n.emit(event.KindClock, now, uint64(src.of), &n.w.clockP, true)
	}
}

// end is one side of a connection: a socket of a pod, or of somebody outside
// whom nobody observes (pod nil).
type end struct {
	c       *conn
	pod     *pod
	proc    *process
	role    event.Role
	cookie  event.SocketCookie
	addr    event.SockAddr
	slab    uint32
	local   netip.AddrPort
	remote  netip.AddrPort
	opened  int64
	owned   bool // its owner has been published
	lost    bool // its open record was lost
	open    []*exchange
	flowed  int64 // when data was last reported by Hubble
	out, in uint64
}

func (e *end) tuple() event.Tuple {
	return event.Tuple{Proto: event.ProtoTCP, Src: e.local, Dst: e.remote}
}

// newEnd gives an observed socket its names.
func (w *world) newEnd(c *conn, p *pod, pr *process, role event.Role) *end {
	n := p.node
	n.cookie++
	e := &end{c: c, pod: p, proc: pr, role: role, cookie: event.SocketCookie(n.cookie), opened: w.s.now, flowed: -1 << 62}
	e.slab = n.socks.take()
	e.addr = sockAddr(e.slab)
	return e
}

// record fills the bridge record of a socket.
func (e *end) record(s *event.Socket) {
	n := e.pod.node
	*s = event.Socket{
		Cookie: e.cookie, Addr: e.addr, Netns: 4026531840 + e.pod.netns, Cgroup: e.pod.cgroup,
		Tuple: e.tuple(), Role: e.role, Opened: n.clock(e.opened), Workload: e.pod.workload,
	}
	if e.role == event.RoleClient {
		s.Original = e.c.original
	}
	if e.role == event.RoleClient || e.owned {
		s.Process, s.TID = e.proc.ref, e.pod.tid(e.proc)
	}
}

func (w *world) socketOpen(e *end, background bool) {
	e.record(&w.socketP)
	e.lost = !e.pod.node.emit(event.KindSocketOpen, w.s.now, uint64(e.cookie), &w.socketP, background)
}

// socketOwner publishes the process of an accepted socket, known at its first
// read.
func (w *world) socketOwner(e *end, background bool) {
	e.owned = true
	e.record(&w.socketP)
	if e.pod.node.emit(event.KindSocketOwner, w.s.now, uint64(e.cookie), &w.socketP, background) {
		e.lost = false
	}
}

func (w *world) socketClose(e *end, verdict event.Verdict, background bool) {
	e.record(&w.socketP)
	w.socketP.Verdict = verdict
	w.socketP.BytesOut, w.socketP.BytesIn = e.out, e.in
	if verdict == event.VerdictUnknown {
		w.socketP.SRTTUS = uint32(w.rng.between(180, 900))
	}
	e.pod.node.emit(event.KindSocketClose, w.s.now, uint64(e.cookie), &w.socketP, background)
	e.pod.node.socks.give(e.slab)
}

// tid is the thread that does a process's work now. Go and Java move between
// threads, Python's workers keep theirs.
func (p *pod) tid(pr *process) uint32 {
	if pr != p.main {
		return pr.pid
	}
	return pr.pid + uint32(p.node.w.rng.intn(6))
}

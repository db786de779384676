package bind

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// holds reports whether the socket can be meant at t.
func (s *socket) holds(t event.Time) bool {
	return s.opened.Add(-slack) <= t && t <= s.closed.Add(slack)
}

// slack is how far two observers' stamps of one moment may differ on one node:
// Tetragon converts kernel time on its own, Hubble stamps when it reads.
const slack = 20 * time.Millisecond

// sockets is the node's index of sockets. Cookies are unique in a boot; every
// other name is reused and holds only from open to close.
type sockets struct {
	ablate    Ablation
	all       *slab[socket]
	cookies   table
	tuples    table
	originals table // by the tuple before translation
	remotes   table // accepted ones, by peer
	addrs     table
	boots     []event.BootID
	bootsSeen int
	closing   fifo[uint32]
	leaving   []uint32  // forgotten, but for evidence that still waits
	found     []*socket // scratch
}

func newSockets(a Ablation) sockets {
	all := new(slab[socket])
	return sockets{
		ablate:    a,
		all:       all,
		cookies:   table{all: all, hash: func(s *socket) uint64 { return hashCookie(s.cookie) }},
		tuples:    table{all: all, hash: func(s *socket) uint64 { return hashTuple(s.tuple()) }},
		originals: table{all: all, hash: func(s *socket) uint64 { return hashTuple(s.asked()) }},
		remotes:   table{all: all, hash: func(s *socket) uint64 { return hashEnd(s.peer()) }},
		addrs:     table{all: all, hash: func(s *socket) uint64 { return hashAddr(s.addr) }},
	}
}

func hashCookie(c event.SocketCookie) uint64 { return scramble(uint64(c)) }
func hashAddr(a event.SockAddr) uint64       { return scramble(uint64(a)) }

// maxBoots is how many boots of a node are told apart. A boot closes the sockets
// of the one before, and these are forgotten long before as many have passed.
const maxBoots = 256

// bootOf numbers the boots of the node.
func (i *sockets) bootOf(b event.BootID) uint8 {
	at := slices.Index(i.boots, b)
	if at < 0 {
		at = i.bootsSeen % maxBoots
		if at == len(i.boots) {
			i.boots = append(i.boots, b)
		}
		i.boots[at] = b
		i.bootsSeen++
	}
	return uint8(at)
}

func (i *sockets) byCookie(boot event.BootID, c event.SocketCookie) *socket {
	at := slices.Index(i.boots, boot)
	if at < 0 {
		return nil
	}
	i.found = i.cookies.find(hashCookie(c), i.found[:0], func(s *socket) bool { return s.cookie == c && s.boot == uint8(at) })
	if len(i.found) == 0 {
		return nil
	}
	return i.found[0]
}

// withTuple lists the sockets of a connection, those that asked for it last.
func (i *sockets) withTuple(t event.Tuple) []*socket {
	h, r := hashTuple(t), t.Reverse()
	i.found = i.tuples.find(h, i.found[:0], func(s *socket) bool { u := s.tuple(); return u == t || u == r })
	i.found = i.originals.find(h, i.found, func(s *socket) bool { u := s.asked(); return u == t || u == r })
	return i.found
}

func (i *sockets) withAddr(a event.SockAddr) []*socket {
	i.found = i.addrs.find(hashAddr(a), i.found[:0], func(s *socket) bool { return s.addr == a })
	return i.found
}

func (i *sockets) withPeer(p netip.AddrPort) []*socket {
	i.found = i.remotes.find(hashEnd(p), i.found[:0], func(s *socket) bool { return s.peer() == p })
	return i.found
}

// byTuple finds the socket of a connection at t. Where both ends are on the
// node, prefer decides.
func (i *sockets) byTuple(t event.Tuple, at event.Time, prefer event.Role) *socket {
	if i.tuples.n == 0 || !t.Complete() {
		return nil
	}
	return pick(i.withTuple(t), at, prefer, i.ablate.NoIntervals)
}

// byAddr finds the socket that had a kernel address at t; its tuple must agree
// where the caller knows one.
func (i *sockets) byAddr(a event.SockAddr, t event.Tuple, at event.Time) *socket {
	s := pick(i.withAddr(a), at, event.RoleUnknown, i.ablate.NoSockExpiry)
	if s == nil || !i.ablate.NoSockExpiry && t.Complete() && !s.agrees(t) {
		return nil
	}
	return s
}

func (s *socket) agrees(t event.Tuple) bool {
	u := s.tuple()
	if !u.Complete() || u == t || u == t.Reverse() {
		return true
	}
	original := s.translated()
	return original.IsValid() && (t.Src == u.Src && t.Dst == original || t.Dst == u.Src && t.Src == original)
}

// speaksTo reports whether a tuple can be the socket's, as far as addresses of
// its own end go: the peer's may be before or after translation, and a port may
// be missing.
func (s *socket) speaksTo(t event.Tuple) bool {
	own := s.source().Addr()
	return !own.IsValid() || !t.Src.Addr().IsValid() || t.Src.Addr() == own || t.Dst.Addr() == own
}

// pick returns the one socket of the list that holds at t: of the preferred
// role if both ends are there, the newest if a name was handed on within slack.
func pick(list []*socket, at event.Time, prefer event.Role, anyTime bool) *socket {
	var best *socket
	for j := len(list) - 1; j >= 0; j-- {
		s := list[j]
		if !anyTime && !s.holds(at) {
			continue
		}
		switch {
		case best == nil:
			best = s
		case prefer != event.RoleUnknown && s.role == prefer && best.role != prefer:
			best = s
		case s.role == best.role && best.opened > at && s.opened <= at:
			best = s // best opens only after the moment: it holds thanks to slack
		}
	}
	return best
}

// indexSocket takes in what the shim says of a socket.
func (n *Node) indexSocket(e *event.Event, p *event.Socket) {
	n.booted(e)
	s := n.socket(e.Boot, p.Cookie, p.Tuple, p.Role, e.Time)
	i := &n.sockets
	if e.Kind == event.KindSocketOpen && !n.ablate.NoIntervals {
		n.supersede(s, i.withTuple(s.tuple()), e.Time)
	}
	if p.Opened != 0 && (s.opened == 0 || e.Kind == event.KindSocketOpen) {
		s.opened = p.Opened
	} else if e.Kind == event.KindSocketOpen {
		s.opened = e.Time
	}
	if p.Addr != 0 && s.addr == 0 {
		s.addr = p.Addr
		if !i.ablate.NoSockExpiry {
			n.supersede(s, i.withAddr(p.Addr), e.Time)
		}
		i.addrs.add(s)
	}
	if p.Original.IsValid() && !s.translated().IsValid() {
		s.more().original = p.Original
		if s.ends != noTuple {
			i.originals.add(s)
		}
	}
	if p.Workload.Pod != "" || p.Workload.PodUID != "" {
		s.workload = n.named(&p.Workload, s.workload)
	}
	if !p.Process.IsZero() && s.owner == nil {
		s.owner = n.processes.at(p.Process, e.Time)
		if s.owner == nil {
			s.owner = n.processes.add(p.Process, "", e.Time)
		}
	}
	if s.owner != nil && s.role == event.RoleServer {
		s.owner.serves = true
	}
	if p.Verdict.Denied() {
		s.verdict = p.Verdict
	}
	n.findWorkload(s, e.Time)
	n.serves = n.serves || s.role == event.RoleServer && s.workload == nil
	if e.Kind == event.KindSocketClose && s.closed == event.Never {
		s.closed = e.Time
		i.closing.push(n.now.Add(n.memory()), s.number)
	}
	n.forgetSockets()
}

// supersede closes the sockets that had a name before s took it: their own
// close was lost.
func (n *Node) supersede(s *socket, before []*socket, at event.Time) {
	for _, o := range before {
		if o != s && o.closed == event.Never && (o.tuple() == s.tuple() || o.addr == s.addr && s.addr != 0) {
			o.closed = at
			n.sockets.closing.push(n.now.Add(n.memory()), o.number)
		}
	}
}

// booted takes note of the node's boot. What was open before another boot is
// no more.
func (n *Node) booted(e *event.Event) {
	if e.Boot == n.bootID || e.Boot.IsZero() {
		return
	}
	if !n.bootID.IsZero() {
		boot := n.sockets.bootOf(n.bootID)
		for _, number := range n.sockets.cookies.slots {
			if number == 0 {
				continue
			}
			if s := n.sockets.all.at(number); s.boot == boot && s.closed == event.Never {
				s.closed = e.Time
				n.sockets.closing.push(n.now.Add(n.memory()), number)
			}
		}
		for _, list := range n.processes.byPID {
			for _, p := range list {
				if p.ended == event.Never && p.started < e.Time {
					p.ended = e.Time
					n.processes.ended.push(n.now.Add(n.memory()), p)
				}
			}
		}
	}
	n.bootID = e.Boot
}

// socket returns the socket with the cookie, making it if it is new: a socket
// may have been open before anybody looked.
func (n *Node) socket(boot event.BootID, c event.SocketCookie, t event.Tuple, role event.Role, at event.Time) *socket {
	i := &n.sockets
	s := i.byCookie(boot, c)
	if s == nil {
		var number uint32
		number, s = i.all.add()
		*s = socket{number: number, cookie: c, boot: i.bootOf(boot), closed: event.Never}
		i.cookies.add(s)
	}
	if s.role == event.RoleUnknown {
		s.role = role
	}
	if s.ends == noTuple && t.Complete() {
		s.setTuple(t)
		i.tuples.add(s)
		if s.role != event.RoleClient {
			i.remotes.add(s)
		}
		n.findWorkload(s, at)
	}
	return s
}

func (n *Node) findWorkload(s *socket, at event.Time) {
	if s.workload == nil && s.ends != noTuple {
		s.workload = n.dir.Pod(s.source().Addr(), at)
	}
	s.sum()
}

// forgetSockets drops closed sockets whom no evidence can concern any more.
func (n *Node) forgetSockets() {
	i := &n.sockets
	for at := n.now; i.closing.due(&at); at = n.now {
		number := i.closing.pop()
		s := i.all.at(number)
		i.cookies.remove(s)
		if s.ends != noTuple {
			i.tuples.remove(s)
			i.remotes.remove(s)
			if s.translated().IsValid() {
				i.originals.remove(s)
			}
		}
		if s.addr != 0 {
			i.addrs.remove(s)
		}
		i.leaving = append(i.leaving, number)
	}
	i.leaving = slices.DeleteFunc(i.leaving, i.leave)
}

// leave gives the place of a forgotten socket free, unless evidence waits there.
// Exchanges on it get a copy.
func (i *sockets) leave(number uint32) bool {
	s := i.all.at(number)
	if s.pending != 0 {
		return false
	}
	if s.use != nil {
		last := *s
		s.use.s = &last
	}
	i.all.drop(number)
	return true
}

// accepted returns the accepted socket whose peer a server span names, at the
// span's time and of the span's workload. Two such sockets are one too many.
func (n *Node) accepted(p *event.Span, end event.Time) *socket {
	var found *socket
	for _, s := range n.sockets.withPeer(p.Peer) {
		switch {
		case s.role == event.RoleClient || !binds(&p.Workload, s.workload):
			continue
		case !n.ablate.NoIntervals && (s.opened > end.Add(slack) || s.closed < p.Start.Add(-slack)):
			continue
		case p.Local.IsValid() && p.Local != s.source():
			continue
		}
		if found == nil {
			found = s
			continue
		}
		// One peer port, two local ports: the server's own port tells.
		a, b := found.source().Port() == p.ServerPort, s.source().Port() == p.ServerPort
		switch {
		case b && !a:
			found = s
		case a == b && !n.ablate.NoIntervals:
			return nil
		}
	}
	return found
}

// dialled returns the socket that a client span names by cookie or local end.
func (n *Node) dialled(e *event.Event, p *event.Span) *socket {
	if p.Cookie != 0 {
		if s := n.sockets.byCookie(n.boot(e), p.Cookie); s != nil && binds(&p.Workload, s.workload) && s.holds(p.Start) {
			return s
		}
		return nil
	}
	if p.Local.IsValid() && p.Peer.IsValid() {
		t := event.Tuple{Proto: event.ProtoTCP, Src: p.Local, Dst: p.Peer}
		if s := n.sockets.byTuple(t, p.Start, event.RoleClient); s != nil && s.source() == p.Local && binds(&p.Workload, s.workload) {
			return s
		}
	}
	return nil
}

// socketOfFlow finds the socket a flow is about and the rung it was found by.
func (n *Node) socketOfFlow(e *event.Event, p *event.Flow) (*socket, correlate.Method) {
	if p.Cookie != 0 {
		// Hubble knows cookies, not boots: the present boot is meant.
		if s := n.sockets.byCookie(n.boot(e), p.Cookie); s != nil && s.holds(e.Time) && s.speaksTo(p.Tuple) {
			return s, correlate.SocketCookie
		}
	}
	return n.sockets.byTuple(p.Tuple, cmp.Or(p.Start, e.Time), roleOf(p.Egress)), correlate.FiveTuple
}

// boot is the boot an event of another source belongs to: the one the shim
// reported last.
func (n *Node) boot(e *event.Event) event.BootID {
	if !e.Boot.IsZero() {
		return e.Boot
	}
	return n.bootID
}

func roleOf(egress bool) event.Role {
	if egress {
		return event.RoleClient
	}
	return event.RoleServer
}

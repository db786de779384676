package bind

import (
	"net/netip"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// socket is one socket of the node under all its names. Most are open for long
// and never asked for, so what only few need is apart.
type socket struct {
	cookie   event.SocketCookie
	addr     event.SockAddr
	opened   event.Time // 0: before anything was seen
	closed   event.Time // Never while open
	owner    *process
	workload *event.Workload
	use      *usedSocket     // nil until a request or a span used it
	original *netip.AddrPort // nil where the peer was not translated
	src, dst [16]byte        // the tuple, local end first
	pending  pending         // evidence not yet placed
	pid      uint32
	srcPort  uint16
	dstPort  uint16
	boot     uint32 // in the list of the node's
	proto    event.Proto
	role     event.Role
	verdict  event.Verdict
	ends     tupleForm
	joined   bool // some request used it
}

// usedSocket is what a socket has that requests went over.
type usedSocket struct {
	conn   correlate.Conn
	recent []*exchange // in order of their ends, for the horizon
	claims []*claim    // spans that name this socket and want an exchange
	odd    event.Tuple // one that a socket has no room for
}

// tupleForm says how the addresses of a tuple are written.
type tupleForm uint8

const (
	noTuple  tupleForm = iota
	tuple4             // four bytes each
	tuple6             // sixteen
	tupleOdd           // of two kinds, or with a zone
)

func (s *socket) setTuple(t event.Tuple) {
	a, b := t.Src.Addr(), t.Dst.Addr()
	s.proto, s.srcPort, s.dstPort = t.Proto, t.Src.Port(), t.Dst.Port()
	switch {
	case a.Is4() && b.Is4():
		s.ends = tuple4
		x, y := a.As4(), b.As4()
		copy(s.src[:], x[:])
		copy(s.dst[:], y[:])
	case a.Is6() && b.Is6() && a.Zone() == "" && b.Zone() == "":
		s.ends, s.src, s.dst = tuple6, a.As16(), b.As16()
	default:
		s.ends, s.used().odd = tupleOdd, t
	}
}

// source is the local end, zero when it is not known, as are the others.
func (s *socket) source() netip.AddrPort { return s.end(&s.src, s.srcPort) }

// peer is the other end.
func (s *socket) peer() netip.AddrPort {
	if s.ends == tupleOdd {
		return s.use.odd.Dst
	}
	return s.end(&s.dst, s.dstPort)
}

func (s *socket) end(ip *[16]byte, port uint16) netip.AddrPort {
	switch s.ends {
	case tuple4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[:4])), port)
	case tuple6:
		return netip.AddrPortFrom(netip.AddrFrom16(*ip), port)
	case tupleOdd:
		return s.use.odd.Src
	}
	return netip.AddrPort{}
}

// tuple is the connection, local end first, complete or zero.
func (s *socket) tuple() event.Tuple {
	if s.ends == noTuple {
		return event.Tuple{}
	}
	return event.Tuple{Proto: s.proto, Src: s.source(), Dst: s.peer()}
}

// asked is the connection that the process asked for when it was translated,
// else zero.
func (s *socket) asked() event.Tuple {
	if s.original == nil || s.ends == noTuple {
		return event.Tuple{}
	}
	return event.Tuple{Proto: s.proto, Src: s.source(), Dst: *s.original}
}

// used returns what only sockets in use have.
func (s *socket) used() *usedSocket {
	if s.use == nil {
		s.use = &usedSocket{conn: correlate.Conn{Cookie: s.cookie}}
		s.sum()
	}
	return s.use
}

// conn returns the connection's summary.
func (s *socket) conn() *correlate.Conn { return &s.used().conn }

// sum puts what is known now into the summary, if there is one.
func (s *socket) sum() {
	if s.use != nil {
		c := &s.use.conn
		c.Opened, c.Verdict, c.Workload, c.PID = s.opened, s.verdict, s.workload, s.pid
	}
}

// recent lists the exchanges on it in order of their ends.
func (s *socket) recent() []*exchange {
	if s.use == nil {
		return nil
	}
	return s.use.recent
}

// sni is the name in the TLS hello, empty when none was seen.
func (s *socket) sni() string {
	if s.use == nil {
		return ""
	}
	return s.use.conn.SNI
}

package bind

import (
	"net/netip"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// socket is one socket of the node under all its names. Most are open for long
// and never asked for, so what only few need is apart. Its place is used again
// once it is forgotten: who keeps a pointer to it has its number on a list of
// pending evidence, or finds it through usedSocket.
type socket struct {
	cookie   event.SocketCookie
	addr     event.SockAddr
	opened   event.Time // 0: before anything was seen
	closed   event.Time // Never while open
	owner    *process
	workload *event.Workload
	use      *usedSocket // nil until a request or a span used it
	names    *moreNames  // nil where none is needed
	src, dst [4]byte     // the tuple's addresses where they are IPv4, local end first
	number   uint32      // its own
	pending  uint32      // evidence not yet placed: the last, whose next is the first; 0 for none
	srcPort  uint16
	dstPort  uint16
	boot     uint8 // in the list of the node's
	role     event.Role
	verdict  event.Verdict
	ends     tupleForm
}

// usedSocket is what a socket has that requests went over.
type usedSocket struct {
	s      *socket // a copy once it is forgotten
	conn   correlate.Conn
	recent []*exchange // in order of their ends, for the horizon
	claims []*claim    // spans that name this socket and want an exchange
	joined bool        // some request used it
}

// moreNames is what only few sockets are called by.
type moreNames struct {
	original netip.AddrPort // of the peer before it was translated
	src, dst netip.Addr     // where tuple4 does not do
	proto    event.Proto
}

// tupleForm says how the addresses of a tuple are written.
type tupleForm uint8

const (
	noTuple   tupleForm = iota
	tuple4              // TCP, four bytes each
	tupleWide           // in moreNames
)

func (s *socket) setTuple(t event.Tuple) {
	a, b := t.Src.Addr(), t.Dst.Addr()
	s.srcPort, s.dstPort = t.Src.Port(), t.Dst.Port()
	if t.Proto == event.ProtoTCP && a.Is4() && b.Is4() {
		s.ends, s.src, s.dst = tuple4, a.As4(), b.As4()
		return
	}
	more := s.more()
	s.ends, more.src, more.dst, more.proto = tupleWide, a, b, t.Proto
}

func (s *socket) proto() event.Proto {
	if s.ends == tupleWide {
		return s.names.proto
	}
	return event.ProtoTCP
}

func (s *socket) more() *moreNames {
	if s.names == nil {
		s.names = new(moreNames)
	}
	return s.names
}

// source is the local end, zero when it is not known, as are the others.
func (s *socket) source() netip.AddrPort {
	switch s.ends {
	case tuple4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.src), s.srcPort)
	case tupleWide:
		return netip.AddrPortFrom(s.names.src, s.srcPort)
	}
	return netip.AddrPort{}
}

// peer is the other end.
func (s *socket) peer() netip.AddrPort {
	switch s.ends {
	case tuple4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.dst), s.dstPort)
	case tupleWide:
		return netip.AddrPortFrom(s.names.dst, s.dstPort)
	}
	return netip.AddrPort{}
}

// translated is the peer that the process asked for, zero where it is the one that
// it got.
func (s *socket) translated() netip.AddrPort {
	if s.names == nil {
		return netip.AddrPort{}
	}
	return s.names.original
}

// tuple is the connection, local end first, complete or zero.
func (s *socket) tuple() event.Tuple {
	if s.ends == noTuple {
		return event.Tuple{}
	}
	return event.Tuple{Proto: s.proto(), Src: s.source(), Dst: s.peer()}
}

// asked is the connection that the process asked for when it was translated,
// else zero.
func (s *socket) asked() event.Tuple {
	original := s.translated()
	if !original.IsValid() || s.ends == noTuple {
		return event.Tuple{}
	}
	return event.Tuple{Proto: s.proto(), Src: s.source(), Dst: original}
}

// used returns what only sockets in use have.
func (s *socket) used() *usedSocket {
	if s.use == nil {
		s.use = &usedSocket{s: s, conn: correlate.Conn{Cookie: s.cookie}}
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
		c.Opened, c.Verdict, c.Workload = s.opened, s.verdict, s.workload
		if s.owner != nil {
			c.PID = s.owner.ref.PID
		}
	}
}

// pid is the owner's, 0 when nobody told.
func (s *socket) pid() uint32 {
	switch {
	case s.owner != nil:
		return s.owner.ref.PID
	case s.use != nil:
		return s.use.conn.PID
	}
	return 0
}

// joined reports whether some request used it.
func (s *socket) joined() bool { return s.use != nil && s.use.joined }

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

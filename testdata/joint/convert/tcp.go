package convert

import (
	"net/netip"
	"slices"
	"sort"

	"github.com/sennit-io/sennit/schemas/event"
)

// connection is one TCP connection, from both ends.
type connection struct {
	ends  [2]endpoint // the client, the server
	began event.Time  // the first SYN
	reset bool        // it was refused or reset
	wire  bool        // the capture has it
}

// Index of the ends of a connection.
const (
	client = 0
	server = 1
)

// endpoint is one socket of a connection.
type endpoint struct {
	addr   netip.AddrPort
	opened event.Time // established, zero if it never was
	closed event.Time // zero while open
	fin    event.Time // when it said that it has no more to send
	sent   stream

	// Known of the agent's own sockets only.
	process event.ProcessRef
	tid     uint32     // of the connect or accept
	owned   event.Time // when the accept returned

	cookie event.SocketCookie
}

// find returns the connection with the end from at t, the newest that began
// before; nil if none did.
func find(all []*connection, from, to netip.AddrPort, t event.Time) (*connection, int) {
	for i := len(all) - 1; i >= 0; i-- {
		c := all[i]
		if c.began > t {
			continue
		}
		for side := range c.ends {
			if c.ends[side].addr == from && c.ends[1-side].addr == to {
				return c, side
			}
		}
	}
	return nil, 0
}

// connections takes a capture apart, in order of the first SYNs. A connection
// that was open before the capture began is left out.
func connections(capture []segment) []*connection {
	var all []*connection
	for i := range capture {
		s := &capture[i]
		if s.flags&(flagSYN|flagACK) == flagSYN {
			if c, side := find(all, s.src, s.dst, s.at); c == nil || side != client || c.ends[client].sent.first != s.seq+1 {
				c := &connection{began: s.at, wire: true}
				c.ends[client] = endpoint{addr: s.src, sent: stream{first: s.seq + 1}}
				c.ends[server] = endpoint{addr: s.dst}
				all = append(all, c)
			}
			continue
		}
		if c, side := find(all, s.src, s.dst, s.at); c != nil {
			c.take(s, side)
		}
	}
	for _, c := range all {
		for side := range c.ends {
			c.ends[side].sent.assemble()
		}
	}
	return all
}

// take follows the states of RFC 9293 as far as a socket's life needs them.
func (c *connection) take(s *segment, side int) {
	from, to := &c.ends[side], &c.ends[1-side]
	if s.flags&flagSYN != 0 { // the server's, with ACK
		from.sent.first = s.seq + 1
		to.opened = s.at
		return
	}
	if from.opened == 0 && to.opened == 0 && s.flags&flagRST != 0 { // refused
		c.reset, c.ends[client].closed = true, s.at
		return
	}
	if from.opened == 0 && side == server {
		return // half open: nothing counts yet
	}
	if side == client && to.opened == 0 && from.opened != 0 {
		to.opened = s.at
	}
	from.sent.add(s)
	if s.flags&flagFIN != 0 && from.fin == 0 {
		from.fin = s.at
	}
	if s.flags&flagRST != 0 {
		c.reset = true
	}
	if c.reset || from.fin != 0 && to.fin != 0 {
		for i := range c.ends {
			if c.ends[i].closed == 0 {
				c.ends[i].closed = s.at
			}
		}
	}
}

// stream is one direction of a connection: its bytes, and when each was first
// seen.
type stream struct {
	first  uint32 // sequence number of the first byte
	pieces []piece
	data   []byte
	marks  []mark
	holes  bool // bytes are missing: data ends before them
}

type piece struct {
	offset int
	at     event.Time
	data   []byte
}

// mark says that the bytes up to end came at that time.
type mark struct {
	end int
	at  event.Time
}

func (s *stream) add(seg *segment) {
	if len(seg.data) == 0 {
		return
	}
	// The difference wraps with the sequence numbers; a keep-alive repeats the
	// byte before the first.
	s.pieces = append(s.pieces, piece{int(int32(seg.seq - s.first)), seg.at, seg.data})
}

// assemble puts the pieces in order. What is sent twice counts when it was seen
// first.
func (s *stream) assemble() {
	slices.SortStableFunc(s.pieces, func(a, b piece) int { return a.offset - b.offset })
	for _, p := range s.pieces {
		skip := len(s.data) - p.offset
		if skip < 0 {
			s.holes = true
			break
		}
		if skip >= len(p.data) {
			continue
		}
		s.data = append(s.data, p.data[skip:]...)
		s.marks = append(s.marks, mark{len(s.data), p.at})
	}
	s.pieces = nil
	// A byte that filled a hole was not there for the reader before it came, nor
	// was anything behind it.
	for i := 1; i < len(s.marks); i++ {
		s.marks[i].at = max(s.marks[i].at, s.marks[i-1].at)
	}
}

// at is when the byte at the offset could be read.
func (s *stream) at(offset int) event.Time {
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].end > offset })
	return s.marks[i].at
}

package convert

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// addFtrace takes from the kernel's socket states which thread dialled, and the
// connections that the capture does not have.
func addFtrace(all []*connection, c clock, t *table, points []tracepoint) []*connection {
	for i := range points {
		p := &points[i]
		local, remote, ok := p.socket()
		if !ok {
			continue
		}
		at := c.wall(p.bootNS)
		established := p.fields["newstate"] == "TCP_ESTABLISHED"
		dialled := p.fields["oldstate"] == "TCP_SYN_SENT"
		// The clocks of trace and capture agree to some ten microseconds.
		conn, side := find(all, local, remote, at.Add(apart))
		if conn == nil {
			if !established || !dialled {
				continue // its other end comes first, its dialling was before
			}
			conn, side = &connection{began: at}, client
			conn.ends[client].addr, conn.ends[server].addr = local, remote
			all = append(all, conn)
		}
		end := &conn.ends[side]
		if established && dialled && !p.soft {
			end.tid, end.process = p.tid, t.process(p.tid)
		}
		if conn.wire {
			continue // both ends by one clock: the capture's
		}
		if established {
			end.opened = at
		}
		if p.fields["newstate"] == "TCP_CLOSE" {
			end.closed = at
		}
	}
	slices.SortStableFunc(all, func(a, b *connection) int { return cmp.Compare(a.began, b.began) })
	return all
}

// apart is more than two observers' stamps of one packet differ by.
const apart = time.Millisecond

// addStrace takes from the calls which thread accepted.
func addStrace(all []*connection, t *table, calls []call) {
	for i := range calls {
		k := &calls[i]
		if k.name != "accept4" {
			continue
		}
		local, remote, ok := tcpEnds(k.result)
		if !ok {
			continue
		}
		if c, side := find(all, local, remote, k.end); c != nil {
			end := &c.ends[side]
			end.tid, end.process, end.owned = k.tid, t.process(k.tid), k.end
		}
	}
}

// socketEvents returns what the shim says of every socket of every connection,
// and numbers them.
func socketEvents(all []*connection) []event.Event {
	var out []event.Event
	cookies := event.SocketCookie(0)
	for _, c := range all {
		for side := range c.ends {
			if side == server && c.ends[client].opened == 0 {
				continue // refused: there was none
			}
			cookies++
			end := &c.ends[side]
			end.cookie = cookies
			open := c.socket(side)
			if side == server {
				open.Process, open.TID = event.ProcessRef{}, 0 // known from its accept on
			}
			if end.opened != 0 {
				out = append(out, event.Event{Kind: event.KindSocketOpen, Time: end.opened, Payload: open})
			}
			if end.owned != 0 {
				out = append(out, event.Event{Kind: event.KindSocketOwner, Time: max(end.owned, end.opened), Payload: c.socket(side)})
			}
			if end.closed != 0 {
				x := c.socket(side)
				x.BytesOut, x.BytesIn = uint64(len(end.sent.data)), uint64(len(c.ends[1-side].sent.data))
				if c.reset {
					x.Verdict = event.VerdictReset
				}
				out = append(out, event.Event{Kind: event.KindSocketClose, Time: end.closed, Payload: x})
			}
		}
	}
	return out
}

func (c *connection) tuple(side int) event.Tuple {
	return event.Tuple{Proto: event.ProtoTCP, Src: c.ends[side].addr, Dst: c.ends[1-side].addr}
}

func (c *connection) socket(side int) *event.Socket {
	end := &c.ends[side]
	return &event.Socket{
		Cookie: end.cookie, Addr: sockAddr(end.cookie), Tuple: c.tuple(side), Role: roles[side],
		Process: end.process, TID: end.tid, Opened: cmp.Or(end.opened, c.began),
	}
}

var roles = [2]event.Role{client: event.RoleClient, server: event.RoleServer}

// sockAddr makes up an address in the kernel's direct map, spaced as the slab
// of TCP sockets spaces them.
func sockAddr(c event.SocketCookie) event.SockAddr {
	return event.SockAddr(0xffff_8880_0000_0000 + uint64(c)*2432)
}

// transfers are the calls that moved bytes over a connection of the agent, in
// order, by the local end first.
type transfers map[[2]netip.AddrPort][]*call

func newTransfers(calls []call) transfers {
	out := transfers{}
	for i := range calls {
		k := &calls[i]
		if k.name != "read" && k.name != "write" {
			continue
		}
		if n, ok := k.returned(); !ok || n == 0 {
			continue
		}
		if local, remote, ok := tcpEnds(k.args); ok {
			key := [2]netip.AddrPort{local, remote}
			out[key] = append(out[key], k)
		}
	}
	return out
}

// wrote is the thread that sent what the capture has at t; strace stamps a call
// when it is entered.
func (tr transfers) wrote(local, remote netip.AddrPort, t event.Time) (tid uint32) {
	for _, k := range tr[[2]netip.AddrPort{local, remote}] {
		if k.name == "write" && k.start <= t {
			tid = k.tid
		}
	}
	return tid
}

// read is the thread that first read what came between two times.
func (tr transfers) read(local, remote netip.AddrPort, from, to event.Time) uint32 {
	for _, k := range tr[[2]netip.AddrPort{local, remote}] {
		if k.name == "read" && k.end >= from && k.end <= to {
			return k.tid
		}
	}
	return 0
}

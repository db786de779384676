package bind

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// TestAForgottenSocketIsNobodyElse holds that the place of a socket is used again
// only when no evidence waits there, and that an exchange keeps the one it was on.
func TestAForgottenSocketIsNobodyElse(t *testing.T) {
	n := newSteady().node
	n.now, n.out = base, new(Out)
	boot := event.BootID{1}
	tuple := func(port uint16) event.Tuple {
		return event.Tuple{
			Proto: event.ProtoTCP, Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), 80),
			Dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 2}), port),
		}
	}
	s := n.socket(boot, 7, tuple(7), event.RoleServer, base)
	number, x := s.number, &exchange{u: s.used()}
	e := &event.Event{Time: base, Kind: event.KindFlow, Payload: &event.Flow{}}
	n.await(decision{e: e}, s)
	s.closed = base
	n.sockets.closing.push(base.Add(time.Second), number)
	n.now = base.Add(2 * time.Second)
	n.forgetSockets()
	if n.sockets.byCookie(boot, 7) != nil || n.sockets.byTuple(tuple(7), base, event.RoleServer) != nil {
		t.Error("a forgotten socket is found")
	}
	if other := n.socket(boot, 8, tuple(8), event.RoleServer, base); other.number == number {
		t.Error("a place where evidence waits is used again")
	}
	place, w, due := n.waits[short].pop()
	if got := n.timeOf(place|uint32(short+1)<<placeBits, &w, due); got != base {
		t.Errorf("evidence of %d is of %d", base, got)
	}
	n.unlink(place|uint32(short+1)<<placeBits, w.next, s)
	n.forgetSockets()
	other := n.socket(boot, 9, tuple(9), event.RoleServer, base)
	if other.number != number {
		t.Errorf("the place %d is not used again: %d", number, other.number)
	}
	if x.u.s == other || x.u.s.cookie != 7 || x.u.s.tuple() != tuple(7) {
		t.Errorf("the exchange on socket 7 is on socket %d", x.u.s.cookie)
	}
}

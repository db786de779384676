package bind

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"github.com/sennit-io/sennit/schemas/event"
)

// TestTableIsAMapOfLists holds a table to a map of lists while sockets come and
// go; few names and a poor hash make long runs.
func TestTableIsAMapOfLists(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 3))
	sockets := new(slab[socket])
	tab := table{all: sockets, hash: func(s *socket) uint64 { return uint64(s.addr) / 3 }}
	want := map[event.SockAddr][]*socket{}
	var all []*socket
	for step := range 60_000 {
		most := []int{5, 400, 20, 1000, 0}[step/12_000]
		if grow := len(all) < most; grow != (rnd.IntN(6) == 0) {
			number, s := sockets.add()
			s.number, s.addr = number, event.SockAddr(rnd.IntN(200))
			tab.add(s)
			all = append(all, s)
			want[s.addr] = append(want[s.addr], s)
		} else if len(all) > 0 {
			i := rnd.IntN(len(all))
			s := all[i]
			all = slices.Delete(all, i, i+1)
			list := want[s.addr]
			want[s.addr] = slices.Delete(list, slices.Index(list, s), slices.Index(list, s)+1)
			tab.remove(s)
			tab.remove(s) // not there: nothing happens
		}
		a := event.SockAddr(rnd.IntN(200))
		got := tab.find(uint64(a)/3, nil, func(s *socket) bool { return s.addr == a })
		if !slices.Equal(got, want[a]) {
			t.Fatalf("step %d: %d sockets found, want %d, in the order in which they came", step, len(got), len(want[a]))
		}
	}
	if len(tab.slots) > 64*4 {
		t.Errorf("a table of %d sockets has %d places", tab.n, len(tab.slots))
	}
}

// TestASocketIsSmall is what a million open ones are budgeted with.
func TestASocketIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(socket{}); size > 88 {
		t.Errorf("a socket takes %d bytes, want at most 88, of which 46 and a header are 4 KiB", size)
	}
}

func TestSocketKeepsItsTuple(t *testing.T) {
	f := func(src, dst string, proto event.Proto) {
		t.Helper()
		want := event.Tuple{Proto: proto, Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
		s := &socket{}
		if s.tuple() != (event.Tuple{}) {
			t.Errorf("a socket without a tuple has %v", s.tuple())
		}
		s.setTuple(want)
		if got := s.tuple(); got != want {
			t.Errorf("%v is kept as %v", want, got)
		}
		if hashTuple(want) != hashTuple(want.Reverse()) {
			t.Errorf("%v and its reverse have different hashes", want)
		}
	}
	f("10.0.0.1:80", "192.168.1.2:40000", event.ProtoTCP)
	f("10.0.0.1:80", "192.168.1.2:40000", event.ProtoUDP)
	f("[2001:db8::1]:80", "[fd00::2]:40000", event.ProtoUDP)
	f("[fe80::1%eth0]:80", "[fe80::2%eth0]:40000", event.ProtoTCP)
	f("10.0.0.1:80", "[2001:db8::1]:443", event.ProtoTCP)
	f("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:443", event.ProtoTCP)
}

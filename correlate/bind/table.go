package bind

import (
	"encoding/binary"
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// table finds sockets by one of their names, in four bytes a place: their
// numbers, while the names are read off the sockets. Several may have the same;
// they are found in the order in which they came. It is an open hash with linear
// probing, and removal shifts back, so that order stays.
type table struct {
	all   *slab[socket]
	hash  func(*socket) uint64
	slots []uint32 // a power of two
	n     int
}

// find appends to list the sockets of a hash that is accepted.
func (t *table) find(h uint64, list []*socket, is func(*socket) bool) []*socket {
	if t.n == 0 {
		return list
	}
	mask := uint64(len(t.slots) - 1)
	for at := h & mask; t.slots[at] != 0; at = (at + 1) & mask {
		if s := t.all.at(t.slots[at]); is(s) {
			list = append(list, s)
		}
	}
	return list
}

func (t *table) add(s *socket) {
	if 4*(t.n+1) > 3*len(t.slots) {
		t.resize(max(8, 2*len(t.slots)))
	}
	t.n++
	t.put(s.number)
}

func (t *table) put(n uint32) {
	mask := uint64(len(t.slots) - 1)
	at := t.hash(t.all.at(n)) & mask
	for t.slots[at] != 0 {
		at = (at + 1) & mask
	}
	t.slots[at] = n
}

// resize moves all sockets, run by run, so that those of one name keep their
// order.
func (t *table) resize(size int) {
	was := t.slots
	t.slots = make([]uint32, size)
	first := 0
	for first < len(was) && was[first] != 0 {
		first++
	}
	for i := range was {
		if n := was[(first+i)&(len(was)-1)]; n != 0 {
			t.put(n)
		}
	}
}

// remove takes a socket out, if it is there.
func (t *table) remove(s *socket) {
	if t.n == 0 {
		return
	}
	mask := uint64(len(t.slots) - 1)
	hole := t.hash(s) & mask
	for t.slots[hole] != s.number {
		if t.slots[hole] == 0 {
			return
		}
		hole = (hole + 1) & mask
	}
	for at := (hole + 1) & mask; t.slots[at] != 0; at = (at + 1) & mask {
		home := t.hash(t.all.at(t.slots[at])) & mask
		if (at-home)&mask >= (at-hole)&mask {
			t.slots[hole], hole = t.slots[at], at
		}
	}
	t.slots[hole] = 0
	if t.n--; len(t.slots) > 64 && 8*t.n < len(t.slots) {
		t.resize(len(t.slots) / 4)
	}
}

// scramble is the finaliser of SplitMix64.
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func hashEnd(a netip.AddrPort) uint64 {
	ip := a.Addr().As16()
	return scramble(binary.LittleEndian.Uint64(ip[:8]) ^ scramble(binary.LittleEndian.Uint64(ip[8:])+uint64(a.Port())))
}

// hashTuple is the same for both directions.
func hashTuple(t event.Tuple) uint64 { return scramble(hashEnd(t.Src) + hashEnd(t.Dst)) }

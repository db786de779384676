package simulate

import (
	"encoding/base64"
	"net/netip"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// node is one machine: its clocks, its kernel's names for things, and the
// exporters that run on it.
type node struct {
	w          *world
	name       string // plain, as Tetragon has it
	hubbleName string // "cluster/node", as Hubble has it
	ip         netip.Addr
	boot       event.BootID
	booted     int64 // true time
	skew       int64 // of every clock of the node
	// socketLB says that cluster addresses are translated in connect(), so that
	// no packet ever carries one; else they are on the first packets' flows.
	socketLB bool

	ips     ring[netip.Addr]
	pids    numbers
	socks   numbers // index of struct sock in its slab: last in, first out
	cookie  uint64
	netns   uint32
	cgroups uint64
	ids     event.Hasher
	records uint64

	hubble, tetragon, otlp, socket, policy *output
}

// clock is what the node's wall clock shows at a true time.
func (n *node) clock(t int64) event.Time { return event.Time(t + n.skew) }

// sinceBoot is what the node's boot clock shows.
func (n *node) sinceBoot(t int64) uint64 { return uint64(t - n.booted) }

// execID is Tetragon's name of a process.
func (n *node) execID(started int64, pid uint32) event.ExecID {
	b := append([]byte(nil), n.name...)
	b = strconv.AppendUint(append(b, ':'), n.sinceBoot(started), 10)
	b = strconv.AppendUint(append(b, ':'), uint64(pid), 10)
	return event.ExecID(base64.StdEncoding.EncodeToString(b))
}

// sockAddr is the kernel address of the struct sock with an index.
func sockAddr(index uint32) event.SockAddr {
	return event.SockAddr(0xffff888100000000 + uint64(index)*2304)
}

// numbers hands out small numbers that are reused when they are free again:
// either the last freed one first (a slab), or in a circle (pids and ports).
type numbers struct {
	lo, size, next uint32
	slab           bool
	free           []uint32
	used           map[uint32]struct{}
}

func newNumbers(lo, size uint32, slab bool) numbers {
	return numbers{lo: lo, size: size, slab: slab, used: map[uint32]struct{}{}}
}

func (a *numbers) take() uint32 {
	if a.slab {
		if k := len(a.free); k > 0 {
			n := a.free[k-1]
			a.free = a.free[:k-1]
			return n
		}
		a.next++
		return a.lo + a.next - 1
	}
	if uint32(len(a.used))+1 > a.size-a.size/8 {
		a.size += a.size/4 + 4
	}
	for {
		n := a.lo + a.next%a.size
		a.next++
		if _, taken := a.used[n]; !taken {
			a.used[n] = struct{}{}
			return n
		}
	}
}

func (a *numbers) give(n uint32) {
	if a.slab {
		a.free = append(a.free, n)
		return
	}
	delete(a.used, n)
}

// ring hands out the values given back last first.
type ring[T any] struct{ free []T }

func (r *ring[T]) take() T {
	v := r.free[len(r.free)-1]
	r.free = r.free[:len(r.free)-1]
	return v
}

func (r *ring[T]) give(v T) { r.free = append(r.free, v) }

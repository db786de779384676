package event

import "net/netip"

// The Copy methods return a copy of a decoder's list that lives as long as the
// batch, nil for an empty one. The copy is full: appending to it moves it.

// CopyAddrs copies addresses.
func (b *Batch) CopyAddrs(v []netip.Addr) []netip.Addr { return b.lists.addrs.copy(v) }

// CopyAddrPorts copies addresses with ports.
func (b *Batch) CopyAddrPorts(v []netip.AddrPort) []netip.AddrPort { return b.lists.addrPorts.copy(v) }

// CopyPorts copies ports.
func (b *Batch) CopyPorts(v []uint16) []uint16 { return b.lists.ports.copy(v) }

// CopyLinks copies span links.
func (b *Batch) CopyLinks(v []SpanLink) []SpanLink { return b.lists.links.copy(v) }

// CopyContainers copies containers.
func (b *Batch) CopyContainers(v []Container) []Container { return b.lists.containers.copy(v) }

type lists struct {
	addrs      list[netip.Addr]
	addrPorts  list[netip.AddrPort]
	ports      list[uint16]
	links      list[SpanLink]
	containers list[Container]
}

func (l *lists) reset() {
	l.addrs.reset()
	l.addrPorts.reset()
	l.ports.reset()
	l.links.reset()
	l.containers.reset()
}

func (l *lists) rest() lists {
	return lists{addrs: l.addrs.rest(), addrPorts: l.addrPorts.rest(), ports: l.ports.rest(), links: l.links.rest(), containers: l.containers.rest()}
}

// list cuts slices from chunks that never move, as slab does single values.
type list[T any] struct {
	chunks [][]T // each as long as it is used
	at     int
}

const listChunk = 256

func (l *list[T]) copy(v []T) []T {
	if len(v) == 0 {
		return nil
	}
	if len(v) > listChunk { // not worth keeping for the next batch
		return append([]T(nil), v...)
	}
	for l.at < len(l.chunks) && cap(l.chunks[l.at])-len(l.chunks[l.at]) < len(v) {
		l.at++
	}
	if l.at == len(l.chunks) {
		l.chunks = append(l.chunks, make([]T, 0, listChunk))
	}
	c := l.chunks[l.at]
	n := len(c)
	c = append(c, v...)
	l.chunks[l.at] = c
	return c[n:len(c):len(c)]
}

func (l *list[T]) reset() {
	for i := range l.chunks {
		l.chunks[i] = l.chunks[i][:0]
	}
	l.at = 0
}

// rest is what is left of the chunk that was begun last.
func (l *list[T]) rest() list[T] {
	if l.at == len(l.chunks) {
		return list[T]{}
	}
	c := l.chunks[l.at]
	return list[T]{chunks: [][]T{c[len(c):len(c):cap(c)]}}
}

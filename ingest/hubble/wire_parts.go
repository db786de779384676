package hubble

import (
	"math"
	"net/netip"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// The messages within a flow, as protobuf. Each reads one whole message; nil is
// one that is not there.

func (d *Decoder) ipWire(msg []byte) {
	p, r := &d.p, &d.r
	var source, destination, translated []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case text1:
			source = w.Bytes
		case text2:
			destination = w.Bytes
		case text5:
			translated = w.Bytes
		}
	}
	p.End(&w)
	r.src, r.dst, r.translated = p.Addr(source), p.Addr(destination), p.Addr(translated)
}

func (d *Decoder) layer4Wire(msg []byte) {
	p, r := &d.p, &d.r
	var protocol []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		i := w.Tag>>3 - 1
		if w.Tag&7 != scan.WireBytes || i >= uint64(len(layer4Protos)) {
			continue
		}
		if r.proto != layer4Protos[i] {
			r.proto, protocol = layer4Protos[i], nil
		}
		protocol = p.Merge(protocol, w.Bytes)
	}
	p.End(&w)
	switch r.proto {
	case event.ProtoTCP, event.ProtoUDP, event.ProtoSCTP:
		d.portsWire(protocol)
	}
}

func (d *Decoder) portsWire(msg []byte) {
	p, r := &d.p, &d.r
	var source, destination uint64
	var set []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case number1:
			source = w.Num
		case number2:
			destination = w.Num
		case text3: // of TCP alone
			set = p.Merge(set, w.Bytes)
		}
	}
	p.End(&w)
	r.srcPort, r.dstPort = p.Uint16(source), p.Uint16(destination)
	if r.proto == event.ProtoTCP {
		d.tcpFlagsWire(set)
	}
}

// tcpFlagsWire reads flow.TCPFlags, whose fields are numbered as flagNames are
// ordered.
func (d *Decoder) tcpFlagsWire(msg []byte) {
	w := scan.Wire{Buf: msg}
	for w.Next() {
		i := w.Tag>>3 - 1
		if w.Tag&7 != scan.WireVarint || i >= uint64(len(flagNames)) {
			continue
		}
		if d.r.flags &^= 1 << i; w.Num != 0 {
			d.r.flags |= 1 << i
		}
	}
	d.p.End(&w)
}

func (d *Decoder) endpointWire(e *endpoint, msg []byte, a netip.Addr) {
	set := d.ends.set(a)
	if known := set.findWire(msg); known != nil {
		*e = *known
		return
	}
	var cluster, namespace, pod []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case number1:
			e.local = uint32(w.Num) != 0
		case text3:
			namespace = w.Bytes
		case text5:
			pod = w.Bytes
		case text7:
			cluster = w.Bytes
		}
	}
	d.p.End(&w)
	e.workload.Cluster, e.workload.Namespace, e.workload.Pod = d.name(cluster), d.name(namespace), d.name(pod)
	if d.p.Err() == nil {
		set.keep(msg, true, *e)
	}
}

// policyWire reads one policy of the list of a rank, which is the first that has
// a name.
func (d *Decoder) policyWire(rank int, msg []byte) {
	if d.r.policy[rank] != "" {
		return
	}
	var name, namespace []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case text1:
			name = w.Bytes
		case text2:
			namespace = w.Bytes
		}
	}
	d.p.End(&w)
	d.r.policy[rank] = d.policyName(d.name(namespace), d.name(name))
}

func (d *Decoder) eventTypeWire(msg []byte) {
	w := scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag == number1 {
			d.r.eventType = enum(w.Num)
		}
	}
	d.p.End(&w)
}

func (d *Decoder) traceContextWire(msg []byte) {
	var parent, id []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag == text1 {
			parent = d.p.Merge(parent, w.Bytes)
		}
	}
	d.p.End(&w)
	w = scan.Wire{Buf: parent}
	for w.Next() {
		if w.Tag == text1 {
			id = w.Bytes
		}
	}
	d.p.End(&w)
	if !scan.Hex(d.r.traceParent[:], id) {
		d.r.traceParent = event.TraceID{}
	}
}

func (d *Decoder) aggregateWire(msg []byte) {
	var n [3]uint32 // ingress, egress, unknown direction
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case number1, number2, number3:
			n[w.Tag>>3-1] = uint32(w.Num)
		}
	}
	d.p.End(&w)
	d.r.count = uint32(min(uint64(n[0])+uint64(n[1])+uint64(n[2]), math.MaxUint32))
}

func (d *Decoder) lostWire(msg []byte) {
	p, l := &d.p, &d.r.lost
	var cpu, first, last []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case number1:
			l.source = nameAt(lostSources[:], enum(w.Num))
		case number2:
			l.count = w.Num
		case text3:
			cpu = p.Merge(cpu, w.Bytes)
		case text4:
			first = p.Merge(first, w.Bytes)
		case text5:
			last = p.Merge(last, w.Bytes)
		}
	}
	p.End(&w)
	if cpu != nil {
		l.cpu = d.cpu(enum(p.Wrapped(cpu)))
	}
	l.first, l.last = p.Time(first), p.Time(last)
}

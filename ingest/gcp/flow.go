package gcp

import (
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

func (r *record) tuple() event.Tuple {
	c := &r.connection
	return event.Tuple{
		Proto: c.proto,
		Src:   netip.AddrPortFrom(c.src, c.srcPort),
		Dst:   netip.AddrPortFrom(c.dst, c.dstPort),
	}
}

// policyEvent makes the event of a network policy's verdict. Denials are
// aggregated: Count says how many connections one stands for.
func (d *Decoder) policyEvent(b *event.Batch) {
	r := &d.r
	e := b.Add(event.KindPolicyVerdict, event.SourceGCP)
	e.Time, e.Observed = r.payloadTimestamp, r.received
	if e.Time == 0 {
		e.Time = r.timestamp
	}
	for _, side := range [...]*side{&r.src, &r.dst} {
		if side.workload.Namespace == "" {
			side.workload.Namespace = side.namespace
		}
	}
	// The verdict falls on the node of the pod whose policy it is.
	local := &r.dst
	if r.connection.egress {
		local = &r.src
	}
	e.Cluster, e.Node = r.clusterName, local.workload.Node
	if e.Node == "" {
		e.Node = r.payloadNode
	}
	if e.Node == "" {
		e.Node = r.nodeName
	}
	local.workload.Node = e.Node

	p := b.NewFlow()
	p.Tuple = r.tuple()
	p.Verdict = r.disposition
	if p.Verdict == event.VerdictDropped {
		p.DropReason = "POLICY_DENIED" // Hubble's word for it
	}
	p.Policy = r.policy
	p.Egress = r.connection.egress
	p.SrcWorkload, p.DstWorkload = r.src.workload, r.dst.workload
	p.Count = r.count
	e.Payload = p
	if !d.entryID(e) {
		h := d.ids.Reset(e.Kind).String(e.Cluster).String(e.Node)
		d.flowID(e, h, p)
	}
}

// vpcEvent makes the event of a VPC flow: one direction of a connection during an
// interval, seen at one of its ends. Bytes and packets are scaled up from samples
// by Google.
func (d *Decoder) vpcEvent(b *event.Batch) {
	r := &d.r
	e := b.Add(event.KindFlow, event.SourceGCP)
	e.Time, e.Observed = r.end, r.received
	if e.Time == 0 {
		e.Time = r.start
	}
	if e.Time == 0 {
		e.Time = r.timestamp
	}
	for _, side := range [...]*side{&r.src, &r.dst} {
		if side.pod {
			side.workload.Node = side.vm
		}
	}
	p := b.NewFlow()
	p.Tuple = r.tuple()
	p.Egress = r.reporter == "src"
	p.Point = r.reporter
	p.SrcWorkload, p.DstWorkload = r.src.workload, r.dst.workload
	p.Start = r.start
	p.Bytes, p.Packets = r.bytes, r.packets
	e.Payload = p
	if !d.entryID(e) {
		d.flowID(e, d.ids.Reset(e.Kind), p)
	}
}

// flowID hashes what was read of a flow or verdict.
func (d *Decoder) flowID(e *event.Event, h *event.Hasher, p *event.Flow) {
	h.Uint(uint64(e.Time)).Uint(uint64(p.Tuple.Proto))
	hashEnd(h, p.Tuple.Src)
	hashEnd(h, p.Tuple.Dst)
	egress := uint64(0)
	if p.Egress {
		egress = 1
	}
	h.Uint(uint64(p.Verdict)<<1 | egress).String(p.Policy).String(p.Point).Uint(uint64(p.Count))
	h.Uint(uint64(p.Start)).Uint(p.Bytes).Uint(p.Packets)
	hashWorkload(h, &p.SrcWorkload)
	hashWorkload(h, &p.DstWorkload)
	e.ID = h.Sum()
}

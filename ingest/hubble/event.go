package hubble

import (
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// eventTypePolicyVerdict is Cilium's MessageTypePolicyVerdict.
const eventTypePolicyVerdict = 5

// flowEvent makes the event of a flow.
func (d *Decoder) flowEvent(b *event.Batch) {
	r := &d.r
	if r.node == "" {
		r.node = r.outerNode
	}
	if r.cluster == "" {
		r.cluster = r.outerCluster
	}
	if r.time == 0 {
		r.time = r.outerTime
	}
	for _, side := range [...]*endpoint{&r.source, &r.destination} {
		if side.local {
			side.workload.Node = r.node
		}
	}
	var e *event.Event
	switch {
	case r.l7 == l7HTTP:
		e = b.Add(event.KindHTTPFlow, event.SourceHubble)
		e.Payload = d.httpFlow(b)
	case r.l7 == l7DNS:
		e = b.Add(event.KindDNS, event.SourceHubble)
		e.Payload = d.dnsFlow(b)
	case r.eventType == eventTypePolicyVerdict:
		e = b.Add(event.KindPolicyVerdict, event.SourceHubble)
		e.Payload = d.flow(b)
	default:
		e = b.Add(event.KindFlow, event.SourceHubble)
		e.Payload = d.flow(b)
	}
	e.Cluster, e.Node, e.Time = r.cluster, r.node, r.time
	if e.ID = r.uuid; e.ID.IsZero() {
		e.ID = d.hash(e)
	}
}

func (r *record) tuple() event.Tuple {
	return event.Tuple{
		Proto: r.proto,
		Src:   netip.AddrPortFrom(r.src, r.srcPort),
		Dst:   netip.AddrPortFrom(r.dst, r.dstPort),
	}
}

// isResponse tells whether a layer 7 record is an answer. Cilium sends those with
// source and destination swapped.
func (r *record) isResponse() bool {
	return r.l7Type == l7Response || r.l7Type == l7Unknown && r.isReplying()
}

// isReplying reads is_reply, else the deprecated reply, else the direction of
// the socket translation.
func (r *record) isReplying() bool {
	if r.isReply != absent {
		return r.isReply == yes
	}
	return r.reply || r.xlateReply
}

func (d *Decoder) flow(b *event.Batch) *event.Flow {
	r, p := &d.r, b.NewFlow()
	p.Tuple = r.tuple()
	if r.translated.IsValid() {
		p.Translated = netip.AddrPortFrom(r.translated, r.srcPort)
	}
	p.Reply = r.isReplying()
	p.Verdict = r.verdict
	p.DropReason = r.dropReason
	if p.DropReason == "" {
		p.DropReason = d.dropName(int64(r.dropNumber))
	}
	for _, policy := range r.policy {
		if p.Policy == "" {
			p.Policy = policy
		}
	}
	p.Egress = r.egress
	if p.Point = r.point; p.Point == "" {
		p.Point = r.xlate
	}
	p.Flags = d.flagText(r.flags)
	p.Cookie, p.Cgroup = r.cookie, r.cgroup
	p.SrcWorkload, p.DstWorkload = r.source.workload, r.destination.workload
	p.SrcName, p.DstName = r.srcName, r.dstName
	p.Count = r.count
	return p
}

func (d *Decoder) httpFlow(b *event.Batch) *event.HTTPFlow {
	r, p := &d.r, b.NewHTTPFlow()
	p.Tuple = r.tuple()
	p.SrcWorkload, p.DstWorkload = r.source.workload, r.destination.workload
	if p.Response = r.isResponse(); p.Response {
		p.Tuple = p.Tuple.Reverse()
		p.SrcWorkload, p.DstWorkload = p.DstWorkload, p.SrcWorkload
	}
	p.Trace = r.trace()
	p.HTTP = r.http
	p.RequestID = r.headers.requestID
	p.LatencyNS = r.latencyNS
	p.Verdict = r.verdict
	p.Egress = r.egress
	return p
}

func (d *Decoder) dnsFlow(b *event.Batch) *event.DNS {
	r, p := &d.r, b.NewDNS()
	p.Tuple, p.Workload = r.tuple(), r.source.workload
	if p.Response = r.isResponse(); p.Response {
		p.Tuple, p.Workload = p.Tuple.Reverse(), r.destination.workload
	}
	p.Query, p.Type, p.RCode = r.query, r.qtype, r.rcode
	p.Answers = b.CopyAddrs(d.answers)
	p.Verdict = r.verdict
	p.Latency = r.latencyNS
	return p
}

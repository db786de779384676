package hubble

import (
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// hash makes the id of a flow without a uuid (Cilium before 1.11, or a field
// mask) from its kind, node, time and everything that was read of it.
func (d *Decoder) hash(e *event.Event) event.ID {
	r, h := &d.r, d.ids.Reset(e.Kind)
	h.String(e.Cluster).String(e.Node).Uint(uint64(e.Time)).Bytes(d.uuidText)
	hashEnd(h, r.src, r.srcPort)
	hashEnd(h, r.dst, r.dstPort)
	hashEnd(h, r.translated, 0)
	h.Uint(uint64(r.proto)<<48 | uint64(r.flags)<<32 | uint64(r.verdict)<<24 | uint64(r.l7Type)<<16 |
		bit(r.isReplying())<<1 | bit(r.egress))
	h.String(r.dropReason).Uint(uint64(r.dropNumber)<<32 | uint64(r.count))
	for _, policy := range r.policy {
		h.String(policy)
	}
	h.String(r.point).String(r.xlate).Uint(uint64(r.cookie)).Uint(uint64(r.cgroup))
	hashWorkload(h, &r.source.workload)
	hashWorkload(h, &r.destination.workload)
	h.String(r.srcName).String(r.dstName)
	switch e.Kind {
	case event.KindHTTPFlow:
		tc := r.trace()
		h.Bytes(tc.TraceID[:]).Bytes(tc.SpanID[:]).String(r.headers.requestID).Uint(r.latencyNS)
		h.String(r.http.Method).String(r.http.Host).String(r.http.Path).Uint(uint64(r.http.Status))
	case event.KindDNS:
		h.String(r.query).String(r.qtype).Uint(uint64(r.rcode))
		for _, a := range d.answers {
			hashEnd(h, a, 0)
		}
	}
	return h.Sum()
}

func hashEnd(h *event.Hasher, a netip.Addr, port uint16) {
	b := a.As16()
	h.Bytes(b[:]).Uint(uint64(a.BitLen())<<16 | uint64(port))
}

func hashWorkload(h *event.Hasher, w *event.Workload) {
	h.String(w.Cluster).String(w.Namespace).String(w.Pod).String(w.Node)
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

package simulate

import (
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// lookupTTL is how long a pod's resolver keeps an answer.
const lookupTTL = 30 * s1

// lookup asks the cluster's DNS unless the pod still knows the answer.
func (w *world) lookup(t *task, p *pod, name string, answer netip.Addr, r *request) {
	if p.lookups[name] > w.s.now {
		return
	}
	p.lookups[name] = w.s.now + lookupTTL
	server := w.dns.pods[0]
	port := p.ports.take()
	f := flow{
		src: addrPort(p, port), dst: netip.AddrPortFrom(server.ip, 53), srcPod: p, dstPod: server, proto: event.ProtoUDP,
		kind: flowL7, egress: true, dns: &dnsFlow{query: name, answer: answer},
	}
	for _, response := range [...]bool{false, true} {
		if response {
			t.sleep(w.rng.between(300*us, 3*ms))
			f.dns.response, f.reply = true, true
			f.src, f.dst, f.srcPod, f.dstPod = f.dst, f.src, f.dstPod, f.srcPod
		}
		id, at, ok := w.flow(p.node, &f, r == nil)
		if !ok {
			continue
		}
		fact := r.fact(kindFlow, p.node)
		fact.event, fact.start, fact.end = id, at, at
		fact.inferred = []string{timeline.DNSName}
		w.background(fact)
	}
	p.ports.give(port)
}

func addrPort(p *pod, port uint32) netip.AddrPort { return netip.AddrPortFrom(p.ip, uint16(port)) }

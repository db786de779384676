package simulate

import (
	"net/netip"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// makeNoise is one worker of the background: it adds records of workloads that
// serve no request until they are the wished share of the requests' records.
func (w *world) makeNoise(t *task) {
	for !w.done {
		wanted := w.o.Noise * float64(w.sum.Events-w.sum.Background)
		if float64(w.sum.Background-w.control) >= wanted {
			t.sleep(w.rng.between(5*ms, 50*ms))
			continue
		}
		w.noiseOnce(t)
		t.sleep(w.rng.exp(2 * ms))
	}
}

func (w *world) noiseOnce(t *task) {
	svc := w.noise[w.rng.intn(len(w.noise))]
	p := svc.pick()
	p.busy++
	defer func() {
		p.busy--
		w.retire(p)
	}()
	h := &hop{pod: p, proc: p.main, g: 3}
	switch w.rng.intn(10) {
	case 0, 1, 2, 3: // services that call each other
		peer := w.noise[w.rng.intn(len(w.noise))]
		m := &message{method: "GET", path: "/api/items", host: peer.name, status: 200, out: 300, in: uint64(w.rng.between(200, 9000))}
		w.call(t, h, peer.target(), m, w.serve)
	case 4: // a health check of an agent's pod
		all := w.agents[w.rng.intn(len(w.agents))]
		w.healthCheck(t, all.target())
	case 5, 6: // a cron job
		pr := w.process(h, p.main, "/usr/bin/logrotate", "/etc/logrotate.conf", nil, nil)
		t.sleep(w.rng.lognormal(20*ms, 0.8))
		w.exitProcess(pr, "")
	case 7: // a program in an agent's pod that has nothing to do with a request
		q := w.agents[w.rng.intn(len(w.agents))].pick()
		side := &hop{pod: q, proc: q.main}
		pr := w.process(side, q.main, "/usr/bin/find", "/tmp -mmin +60 -delete", nil, nil)
		t.sleep(w.rng.lognormal(10*ms, 0.8))
		if at := w.kprobeFile(pr, "/tmp/cache", "KPROBE_ACTION_POST", true); at.at != 0 {
			w.background(w.syscallFact(nil, pr, "security_file_permission", at, 0))
		}
		w.exitProcess(pr, "")
	case 8:
		w.lookup(t, p, "item-"+strconv.Itoa(w.rng.intn(500))+".shop.svc.cluster.local", netip.AddrFrom4([4]byte{10, 96, 1, 1}), nil)
	default: // ambient packets
		q := w.pods[w.rng.intn(len(w.pods))]
		for range 4 {
			port := p.ports.take()
			f := flow{src: addrPort(p, port), dst: netip.AddrPortFrom(q.ip, 9100), srcPod: p, dstPod: q, kind: flowTrace, egress: true, flags: flagsSYN, point: "TO_STACK"}
			if id, at, ok := w.flow(p.node, &f, true); ok {
				fact := (*request)(nil).fact(kindFlow, p.node)
				fact.event, fact.start, fact.end = id, at, at
				w.background(fact)
			}
			p.ports.give(port)
			t.sleep(w.rng.exp(1 * ms))
		}
	}
}

// healthCheck is the kubelet's: a new connection from the node, one GET.
func (w *world) healthCheck(t *task, tg *target) {
	pl := &pool{}
	plain := *tg
	plain.h2 = false
	m := &message{method: "GET", path: "/healthz", host: "", status: 200, out: 120, in: 90, trace: event.TraceContext{}}
	c := w.acquire(t, pl, nil, nil, &plain, nil)
	w.roundTrip(t, c, m, nil, w.serve)
	w.release(c, 0)
}

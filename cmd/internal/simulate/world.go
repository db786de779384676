package simulate

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
)

// world is the whole cluster under way.
type world struct {
	o       Options
	s       sched
	rng     rng // what happens
	outRNG  rng // what becomes of the records about it
	sum     Summary
	outs    *outputs
	cluster string
	nodes   []*node
	pods    []*pod

	gateway, planner, researcher, billing, vectors, dns *service
	agents, noise                                       []*service

	lb                 pool // the load balancer's connections to the gateways
	lbTarget           target
	proxyPorts         numbers
	models             map[*service]*target
	web, blocked, evil target

	issued   int
	inflight []*request
	sessions []event.TraceID
	done     bool // every request is over
	control  int  // background records that are no noise: heartbeats, objects, losses

	cloud, k8s *output
	ids        ids
	truth      *truthFile
	actsFile   *truthFile // nil without rogue acts

	// Scratch values, so that writing a record allocates nothing.
	scratch   event.Event
	socketP   event.Socket
	exchangeP event.Exchange
	helloP    event.TLSHello
	clockP    event.Clock
	truthBuf  []byte
	possible  []string
	attrs     [][]byte // of spans that have ended, for reuse
}

// lag draws how long an exporter holds a record: usually little, with a tail
// below two seconds.
func (w *world) lag(typical, tail int64) int64 {
	return min(typical+w.outRNG.exp(tail), 1900*ms)
}

// outsideEnd is the far end of a connection whose client nobody observes: the
// load balancer's proxies, or the kubelet that checks a pod's health.
func (w *world) outsideEnd(c *conn) netip.AddrPort {
	addr := netip.AddrFrom4([4]byte{35, 191, 0, 37})
	if c.noise {
		addr = c.peer.node.ip
	}
	return netip.AddrPortFrom(addr, uint16(w.proxyPorts.take()))
}

// build makes the nodes, the services and their first pods.
func (w *world) build() {
	w.cluster = "sim"
	w.cloud = w.outs.open("cloud.gcp.jsonl", event.SourceGCP, nil)
	w.k8s = w.outs.open("cluster.k8s.jsonl", event.SourceK8s, nil)
	w.proxyPorts = newNumbers(1024, 24, false)
	for i := range w.o.Nodes {
		w.nodes = append(w.nodes, w.addNode(i))
	}
	w.addServices()
	external := func(a, b, c, d byte, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{a, b, c, d}), port)
	}
	w.lbTarget = target{svc: w.gateway, host: "agents.example.com"}
	w.models = map[*service]*target{}
	for i, svc := range w.agents {
		w.models[svc] = &target{
			addr: external(142, 250, 74, byte(10+i), 443), host: "aiplatform.googleapis.com", tls: true, h2: svc.lang != langPython,
		}
	}
	w.web = target{addr: external(93, 184, 215, 14, 443), host: "example.com", tls: true}
	w.blocked = target{addr: external(169, 254, 169, 254, 80), host: "metadata.google.internal"}
	w.evil = target{addr: external(198, 51, 100, 66, 443), host: "paste.evil.example", tls: true, opaque: true}
	all := slices.Concat([]*service{w.dns, w.gateway, w.vectors}, w.agents, w.noise)
	for _, svc := range all {
		w.writeService(svc)
		for range svc.replicas {
			w.addPod(svc, w.nodes[w.place()])
		}
		w.writeEndpoints(svc, "ADDED")
	}
}

// place spreads pods over the nodes.
func (w *world) place() int { return len(w.pods) % len(w.nodes) }

func (w *world) addNode(i int) *node {
	n := &node{
		w: w, name: fmt.Sprintf("gke-sim-pool-1-%04x", 0xa1b2+i*7), ip: netip.AddrFrom4([4]byte{10, 128, 0, byte(10 + i)}),
		booted: w.s.now - w.rng.between(2*24*3600*s1, 40*24*3600*s1), socketLB: i%2 == 0,
		pids: newNumbers(2000, 48, false), socks: newNumbers(0, 0, true), cookie: 4096, cgroups: 9000 + uint64(i)*100000,
		netns: uint32(i) * 1000,
	}
	n.hubbleName = w.cluster + "/" + n.name
	w.rng.fill(n.boot[:])
	if d := int64(w.o.Skew); d > 0 {
		n.skew = w.rng.between(-d, d)
	}
	for ip := byte(250); ip >= 10; ip-- {
		n.ips.give(netip.AddrFrom4([4]byte{10, 84, byte(i), ip}))
	}
	n.socket = w.outs.open(n.name+".socket.jsonl", event.SourceSocket, n)
	n.tetragon = w.outs.open(n.name+".tetragon.jsonl", event.SourceTetragon, n)
	n.hubble = w.outs.open(n.name+".hubble.jsonl", event.SourceHubble, n)
	n.otlp = w.outs.open(n.name+".otlp.jsonl", event.SourceOTLP, n)
	n.policy = w.outs.open(n.name+".gcp.jsonl", event.SourceGCP, n)
	return n
}

// addServices makes the workloads. How far each carries trace context is set by
// the run's TraceContext; what else they do is the same in every run, so that
// each rung of the ladder has somebody to climb it.
func (w *world) addServices() {
	clusterIPs, identity := byte(20), uint32(20000)
	add := func(namespace, name string, lang language, port uint16, replicas int) *service {
		clusterIPs++
		identity += 17
		return &service{
			name: name, namespace: namespace, lang: lang, port: port, replicas: replicas, identity: identity,
			cluster: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, 0, clusterIPs}), 80),
		}
	}
	w.gateway = add("edge", "gateway", langGo, 8080, 2)
	w.planner = add("agents", "planner", langGo, 8081, 2)
	w.researcher = add("agents", "researcher", langPython, 8082, 3)
	w.billing = add("agents", "billing", langJava, 8083, 2)
	w.vectors = add("tools", "vector-db", langGo, 6333, 2)
	w.dns = add("kube-system", "kube-dns", langGo, 53, 1)
	w.agents = []*service{w.planner, w.researcher, w.billing}
	for _, name := range []string{"shop-web", "shop-cart", "reports"} {
		svc := add("shop", name, langGo, 9000, 2)
		svc.serve = serveIdle
		w.noise = append(w.noise, svc)
	}
	w.gateway.serve, w.gateway.sameGo = serveGateway, true
	w.vectors.serve = serveVectors
	w.planner.agent, w.planner.model = "coordinator", "gemini-2.5-flash"
	w.researcher.agent, w.researcher.model, w.researcher.l7, w.researcher.cookies = "researcher", "gemini-2.5-pro", true, true
	w.billing.agent, w.billing.model, w.billing.h2, w.billing.responses = "billing", "gemini-2.5-flash-lite", true, true
	w.planner.peers = []*service{w.researcher, w.billing}
	for _, svc := range w.agents {
		svc.serve = serveAgent
	}
	traced := []*service{w.gateway, w.planner, w.researcher, w.billing}
	for _, svc := range traced {
		svc.spans = true
		svc.sends = w.o.TraceContext == TraceAll
		svc.takes = svc.sends
		svc.environ = svc.sends
	}
	if w.o.TraceContext == TraceMixed {
		w.gateway.sends, w.gateway.takes = true, true
		w.planner.plain = true
		w.researcher.sends, w.researcher.takes, w.researcher.environ = true, true, true
		w.billing.takes = true
	}
	without := int(w.o.Uninstrumented*float64(len(traced)) + 0.5)
	for _, i := range w.rng.r.Perm(len(traced))[:without] {
		svc := traced[i]
		svc.spans, svc.sends, svc.takes, svc.environ, svc.plain = false, false, false, false, false
	}
}

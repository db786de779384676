package simulate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
)

// language says which SDK a service is written with, and so what its spans
// look like and which threads do its work.
type language string

const (
	langGo     language = "go"
	langPython language = "python"
	langJava   language = "java"
)

// service is a workload: its pods behind a cluster address, and how its code
// behaves.
type service struct {
	name, namespace string
	lang            language
	cluster         netip.AddrPort
	port            uint16
	pods            []*pod
	next            int // round robin over the pods
	identity        uint32
	replicas        int

	spans     bool // instrumented: server, client and agent spans
	sends     bool // puts traceparent on the wire
	takes     bool // takes a traceparent over (an instrumented service)
	plain     bool // ADK without HTTP instrumentation: no server span, no client span
	h2        bool // its server speaks HTTP/2
	l7        bool // its ingress goes through the proxy (Hubble L7 flows)
	sameGo    bool // calls out on the goroutine that serves the request
	responses bool // its model spans carry the response id
	cookies   bool // its client spans carry the socket cookie
	environ   bool // its tool processes get TRACEPARENT
	serve     handler
	agent     string // name of its agent, empty for none
	model     string
	peers     []*service // agents it may hand work to
	asTarget  *target
}

// pod is one instance of a service during its life.
type pod struct {
	svc         *service
	node        *node
	name, uid   string
	ip          netip.Addr
	container   string // 64 hex digits
	cgroup      event.CgroupID
	nameless    int64 // when a program last began in it that names neither trace nor tool
	netns       uint32
	endpoint    uint32 // Hubble's endpoint id
	main        *process
	created     int64
	ports       numbers
	pools       map[netip.AddrPort]*pool
	servers     map[*conn]struct{} // connections it accepted
	busy        int                // requests in it
	draining    bool
	gone        bool
	goroutines  uint64
	threads     uint32
	sdk         *sdk
	lookups     map[string]int64 // DNS name → answer valid until
	local, peer []byte           // rendered Hubble endpoints, at home and elsewhere
	tetragon    []byte           // rendered Tetragon pod block
	workload    event.Workload
}

// addPod starts an instance of a service.
func (w *world) addPod(svc *service, n *node) *pod {
	now := w.s.now
	p := &pod{
		svc: svc, node: n, ip: n.ips.take(), created: now,
		ports: newNumbers(32768, 24, false), pools: map[netip.AddrPort]*pool{}, servers: map[*conn]struct{}{},
		goroutines: 1, lookups: map[string]int64{},
	}
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	suffix := func(k int) string {
		b := make([]byte, k)
		for i := range b {
			b[i] = letters[w.rng.intn(len(letters))]
		}
		return string(b)
	}
	p.name = fmt.Sprintf("%s-%s-%s", svc.name, suffix(9), suffix(5))
	p.uid = string(appendUUID(nil, w.rng.uuid()))
	var id [32]byte
	w.rng.fill(id[:])
	p.container = string(appendHex(nil, id[:]))
	n.cgroups += 37
	p.cgroup = event.CgroupID(n.cgroups)
	n.netns++
	p.netns = n.netns
	p.endpoint = uint32(w.rng.between(100, 4000))
	p.threads = 0
	p.workload = event.Workload{Cluster: w.cluster, Namespace: svc.namespace, Pod: p.name, PodUID: p.uid, Container: svc.name, Node: n.name}
	p.render()
	p.sdk = newSDK(p)
	w.pods = append(w.pods, p)
	svc.pods = append(svc.pods, p)
	w.writePod(p, "ADDED")
	binary, args := "/app/"+svc.name, "-listen :"+fmt.Sprint(svc.port)
	switch svc.lang {
	case langPython:
		binary, args = "/usr/local/bin/python3", "-m uvicorn "+strings.ReplaceAll(svc.name, "-", "_")+":app --port "+fmt.Sprint(svc.port)
	case langJava:
		binary, args = "/opt/java/bin/java", "-jar /app/"+svc.name+".jar --port "+fmt.Sprint(svc.port)
	}
	p.main = w.exec(p, nil, binary, args, nil, nil)
	p.threads = p.main.pid
	return p
}

// render prepares what every record about the pod repeats.
func (p *pod) render() {
	svc := p.svc
	rest := fmt.Sprintf(`"identity":%d,"cluster_name":%q,"namespace":%q,"labels":["k8s:app=%s","k8s:io.cilium.k8s.policy.cluster=%s","k8s:io.kubernetes.pod.namespace=%s"],"pod_name":%q,"workloads":[{"name":%q,"kind":"Deployment"}]}`,
		svc.identity, p.node.w.cluster, svc.namespace, svc.name, p.node.w.cluster, svc.namespace, p.name, svc.name)
	p.local = []byte(fmt.Sprintf(`{"ID":%d,%s`, p.endpoint, rest))
	p.peer = []byte("{" + rest)
	started := string(appendTime(nil, p.node.clock(p.created)))
	p.tetragon = []byte(fmt.Sprintf(`"pod":{"namespace":%q,"name":%q,"uid":%q,"container":{"id":"containerd://%s","name":%q,"image":{"id":"registry.example.com/%s@sha256:%s","name":"registry.example.com/%s:1.4.2"},"start_time":%q,"pid":1},"pod_labels":{"app":%q},"workload":%q,"workload_kind":"Deployment"},"docker":%q`,
		svc.namespace, p.name, p.uid, p.container, svc.name, svc.name, p.container, svc.name, started, svc.name, svc.name, p.container[:31]))
}

// pick returns the next pod of the service that takes requests.
func (svc *service) pick() *pod {
	for range len(svc.pods) {
		p := svc.pods[svc.next%len(svc.pods)]
		svc.next++
		if !p.draining {
			return p
		}
	}
	return svc.pods[0]
}

// replace rolls one pod of a service: a new one takes the requests, the old one
// ends when its last request has; its address goes to the next pod of the node.
func (w *world) replace(p *pod) {
	p.draining = true
	w.addPod(p.svc, w.nodes[w.rng.intn(len(w.nodes))])
	w.writeEndpoints(p.svc, "MODIFIED")
	w.retire(p)
}

// retire ends a draining pod once nothing runs in it.
func (w *world) retire(p *pod) {
	if !p.draining || p.gone || p.busy > 0 {
		return
	}
	p.gone = true
	for _, pl := range sortedPools(p.pools) {
		for _, c := range slices.Clone(pl.conns) {
			w.closeConn(c)
		}
	}
	for _, c := range sortedConns(p.servers) {
		w.closeConn(c)
	}
	w.s.at(w.s.now+20*ms, func() {
		w.exit(p.main, 0, "SIGTERM")
		p.sdk.flush()
		w.writePod(p, "DELETED")
		p.node.ips.give(p.ip)
		p.svc.pods = slices.DeleteFunc(p.svc.pods, func(q *pod) bool { return q == p })
		w.pods = slices.DeleteFunc(w.pods, func(q *pod) bool { return q == p })
	})
}

package bind

import (
	"net/netip"
	"strings"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/schemas/event"
)

// workload is a pod of the node; what is in none, or in one that nobody knows,
// is one workload together. Who made which call is found out within it.
type workload struct {
	name  podName
	agent bool    // has agent spans: claims may come late
	calls pairing // its requests and spans, and the calls and processes that they caused
	edges pairing // the load balancer's requests to it, and those it served
	flows pairing // what a proxy saw come in, and the spans of its servers
	used  event.Time
}

// maxWorkloads bounds the pods of a node; what names others is one workload with
// all that is in none.
const maxWorkloads = 4096

// workloadOf returns the workload, new if it was not known.
func (n *Node) workloadOf(w *event.Workload) *workload {
	name := n.nameOf(w)
	l := n.workloads[name]
	if l == nil && len(n.workloads) >= maxWorkloads { // spans may name any pod
		name = podName{}
		l = n.workloads[name]
	}
	if l == nil {
		l = &workload{name: name}
		l.calls = newPairing(correlate.Assignment)
		l.edges = newPairing(correlate.EdgeWindow)
		l.flows = newPairing(correlate.Assignment)
		n.workloads[name] = l
		n.inOrder = append(n.inOrder, l)
	}
	l.used = n.now
	return l
}

func (n *Node) nameOf(w *event.Workload) podName {
	switch {
	case w == nil:
		return podName{}
	case w.Pod != "" || w.PodUID == "":
		return podName{w.Namespace, w.Pod}
	}
	if p := n.dir.byUID[w.PodUID]; p != nil {
		return podName{p.pod.Workload.Namespace, p.pod.Workload.Pod}
	}
	return podName{pod: w.PodUID}
}

// named returns what is known of a workload whose observer knows its uid alone.
// It does not keep the event that names it.
func (n *Node) named(w, before *event.Workload) *event.Workload {
	if w.Pod == "" {
		if p := n.dir.byUID[w.PodUID]; p != nil {
			return &p.pod.Workload
		}
	}
	if before != nil && *before == *w {
		return before
	}
	if k := n.known[*w]; k != nil {
		return k
	}
	if len(n.known) >= maxWorkloads {
		clear(n.known)
	}
	k := new(event.Workload)
	*k = *w
	n.known[*k] = k
	return k
}

// agentic reports whether the workload is known to have agent spans.
func (n *Node) agentic(w *event.Workload) bool {
	l := n.workloads[n.nameOf(w)]
	return l != nil && l.agent
}

// mayUse returns the workload if its requests may have caused something that no
// identifier joins: it is a pod, or requests were seen there, or somebody there
// waits for them. nil if not.
func (n *Node) mayUse(w *event.Workload) *workload {
	name := n.nameOf(w)
	if l := n.workloads[name]; l != nil && l.calls.wide != nil {
		return l
	}
	if name == (podName{}) && !n.serves {
		return nil
	}
	return n.workloadOf(w)
}

// forgetWorkloads drops those that nothing has been heard of for long.
func (n *Node) forgetWorkloads() {
	kept := n.inOrder[:0]
	for _, w := range n.inOrder {
		if w.used.Add(n.cfg.Retention) > n.now || w.calls.waits() || w.edges.waits() || w.flows.waits() {
			kept = append(kept, w)
		} else {
			delete(n.workloads, w.name)
		}
	}
	clear(n.inOrder[len(kept):])
	n.inOrder = kept
}

// names numbers names from 1; those beyond its limit share 0.
type names[K comparable] struct {
	ids   map[K]uint32
	limit int
}

func (l *names[K]) of(k K) uint32 {
	id, ok := l.ids[k]
	if !ok && len(l.ids) < l.limit {
		if l.ids == nil {
			l.ids = make(map[K]uint32)
		}
		id = uint32(len(l.ids) + 1)
		l.ids[k] = id
	}
	return id
}

// class names requests that behave alike.
type class struct {
	kind       ownerKind
	name, path string
}

// destination names what is called: a host or an address, or a binary that is
// run.
type destination struct {
	name string
	addr netip.AddrPort
}

// route is a path without what looks like an identifier: requests of one route
// behave alike.
func route(path string) string {
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	const depth = 4
	end, segments := len(path), 0
	for i := range len(path) {
		if path[i] == '/' {
			if segments++; segments > depth {
				end = i
				break
			}
		}
	}
	path = path[:end]
	if !strings.ContainsAny(path, "0123456789") {
		return path
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.ContainsAny(p, "0123456789") && !(len(p) <= 3 && p[0] == 'v') { // not a version
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// label is a number for a name that both sides of a pair must agree on.
func label(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	if s == "" {
		return 0
	}
	return max(1, h)
}

func (n *Node) newLinker() *link.Linker {
	return link.New(link.Config{Horizon: n.cfg.Horizon, Workspace: &n.space.link})
}

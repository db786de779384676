package pods

import (
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"github.com/sennit-io/sennit/schemas/event"
)

// Keep is how long a pod that has ended is still known: what it did last is told
// later than that it ended. Another pod gets its address at once.
const Keep = event.Time(60e9)

// maxPods bounds a directory; a cluster of Kubernetes has 150,000 at most.
const maxPods = 200_000

// Directory knows pods. The zero value is empty and ready. It may be used from
// several goroutines at once.
type Directory struct {
	mu          sync.RWMutex
	byUID       map[string]*event.Pod
	byContainer map[string]*event.Pod
	byName      map[podName]*event.Pod
	byIP        map[netip.Addr]*event.Pod // no pods on their node's network
	onNode      map[netip.Addr]int        // how many pods are on the network that has the address
	asked       chan struct{}
	refused     uint64
}

type podName struct{ namespace, pod string }

func nameOf(p *event.Pod) podName { return podName{p.Workload.Namespace, p.Workload.Pod} }

// Put takes in the newest state of a pod, of which it keeps a copy, and reports
// whether that says anything new. A pod without a uid is not taken.
func (d *Directory) Put(p *event.Pod) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byUID == nil {
		d.byUID, d.byContainer = map[string]*event.Pod{}, map[string]*event.Pod{}
		d.byName, d.byIP, d.onNode = map[podName]*event.Pod{}, map[netip.Addr]*event.Pod{}, map[netip.Addr]int{}
	}
	old := d.byUID[p.Workload.PodUID]
	switch {
	case p.Workload.PodUID == "", old != nil && reflect.DeepEqual(old, p):
		return false
	case old == nil && len(d.byUID) >= maxPods:
		d.refused++
		return false
	case old != nil:
		d.remove(old)
	}
	kept := *p
	kept.IPs, kept.Containers = slices.Clone(p.IPs), slices.Clone(p.Containers)
	d.byUID[kept.Workload.PodUID] = &kept
	if follows(&kept, d.byName[nameOf(p)]) { // a StatefulSet uses its names again
		d.byName[nameOf(p)] = &kept
	}
	for _, c := range kept.Containers {
		if c.ID != "" {
			d.byContainer[c.ID] = &kept
		}
	}
	for _, ip := range kept.IPs {
		if kept.HostNetwork {
			d.onNode[ip]++
		} else if follows(&kept, d.byIP[ip]) {
			d.byIP[ip] = &kept
		}
	}
	return true
}

// follows reports whether what a pod has is not, or no longer, another's.
func follows(p, other *event.Pod) bool {
	return other == nil || other.ValidTo != 0 || p.ValidTo == 0 && p.ValidFrom >= other.ValidFrom
}

// remove forgets a pod. d.mu is held.
func (d *Directory) remove(p *event.Pod) {
	delete(d.byUID, p.Workload.PodUID)
	if d.byName[nameOf(p)] == p {
		delete(d.byName, nameOf(p))
	}
	for _, c := range p.Containers {
		if d.byContainer[c.ID] == p {
			delete(d.byContainer, c.ID)
		}
	}
	for _, ip := range p.IPs {
		switch {
		case p.HostNetwork:
			if d.onNode[ip]--; d.onNode[ip] <= 0 {
				delete(d.onNode, ip)
			}
		case d.byIP[ip] == p:
			delete(d.byIP, ip)
		}
	}
}

// Forget drops the pods that ended Keep before now.
func (d *Directory) Forget(now event.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.byUID {
		if p.ValidTo != 0 && p.ValidTo+Keep < now {
			d.remove(p)
		}
	}
}

// UIDs are those of the pods that are known, in no order.
func (d *Directory) UIDs() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	list := make([]string, 0, len(d.byUID))
	for uid := range d.byUID {
		list = append(list, uid)
	}
	return list
}

// Len is how many pods are known, Refused how many there was no room for.
func (d *Directory) Len() (known int, refused uint64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.byUID), d.refused
}

// Pod returns what is known of the pod with a uid, which is not to be changed;
// nil if nothing is.
func (d *Directory) Pod(uid string) *event.Pod {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byUID[uid]
}

// Of returns whose a container is, as the pod's workload with the container's
// name; of one whose id is not known, or of none, the pod's alone. The kubelet
// calls a static pod by another uid than the API server, so the container counts
// more than the uid.
func (d *Directory) Of(c Container) (event.Workload, bool) {
	if d == nil || c == (Container{}) {
		return event.Workload{}, false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.byContainer[c.ID]
	if p == nil {
		p = d.byUID[c.PodUID]
	}
	if p == nil {
		if c.PodUID != "" {
			d.miss()
		}
		return event.Workload{}, false
	}
	w := p.Workload
	for _, one := range p.Containers {
		if c.ID != "" && one.ID == c.ID {
			w.Container = one.Name
		}
	}
	return w, true
}

// At returns the pod that has an address for itself; nil if none has, or nobody
// knows.
func (d *Directory) At(ip netip.Addr) *event.Pod {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.byIP[ip.WithZone("")]
	if p == nil && d.onNode[ip.WithZone("")] == 0 && !ip.IsLoopback() {
		d.miss()
	}
	return p
}

// Named returns the pod that a claim names, by uid or by namespace and name; nil
// if there is none, and false if what it names is not one pod.
func (d *Directory) Named(claim *event.Workload) (p *event.Pod, agrees bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if claim.Pod != "" {
		p = d.byName[podName{claim.Namespace, claim.Pod}]
	}
	if of := d.byUID[claim.PodUID]; of != nil {
		if p != nil && p != of && nameOf(p) != nameOf(of) || claim.Pod != "" && claim.Pod != of.Workload.Pod {
			return of, false
		}
		p = of
	}
	return p, p == nil || Agree(claim, &p.Workload)
}

// Missed tells, with one token for any number of questions, that somebody asked
// for a pod that is not known: a source that only looks now and then looks.
func (d *Directory) Missed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked == nil {
		d.asked = make(chan struct{}, 1)
	}
	return d.asked
}

// miss notes a question without an answer. d.mu is held.
func (d *Directory) miss() {
	select {
	case d.asked <- struct{}{}:
	default: // nil, or there is one already
	}
}

// Agree reports whether a claim names nothing but what is known of a workload.
// Who is known to be in no pod may not claim one.
func Agree(claim, known *event.Workload) bool {
	same := func(claim, known string) bool { return claim == "" || known == "" || claim == known }
	if known.Pod == "" && (claim.Pod != "" || claim.PodUID != "") {
		return false
	}
	return same(claim.Cluster, known.Cluster) && same(claim.Namespace, known.Namespace) && same(claim.Pod, known.Pod) &&
		same(claim.PodUID, known.PodUID) && same(claim.Node, known.Node)
}

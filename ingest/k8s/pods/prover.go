package pods

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/sennit-io/sennit/schemas/event"
)

// Prover tells whose the far end of a TCP connection to this machine is: the pod
// that has the peer's address, or, where the peer is on this machine's own
// network, the pod or process whose cgroup the socket at that end is of. It may
// be used from several goroutines at once.
type Prover struct {
	Directory *Directory
	// Trusted speak for others, as collectors do.
	Trusted Trusted
	// Cluster and Node are where this process runs; they complete what is proven.
	Cluster, Node string

	mu      sync.Mutex
	cgroups *Cgroups // nil: nobody on the network of the machine is known
}

// NewProver returns a prover that tells processes on the machine's network by
// their cgroups, which may be nil; it must be its own.
func NewProver(d *Directory, cgroups *Cgroups) *Prover {
	return &Prover{Directory: d, cgroups: cgroups}
}

// Proof is what a connection proves.
type Proof struct {
	// Workload is whose the far end is, if Proven: a pod, or nothing but node and
	// cluster for a process of this machine that is in no pod.
	Workload event.Workload
	Proven   bool
	// Relay is set for one that is trusted to speak for others.
	Relay bool

	directory *Directory
	peer      netip.Addr
}

// Prove tells whose the far end of the connection from peer to local is.
func (p *Prover) Prove(peer, local netip.AddrPort) Proof {
	proof := Proof{directory: p.Directory, peer: peer.Addr().WithZone("")}
	pod := p.Directory.At(peer.Addr())
	switch {
	case pod != nil:
		proof.Workload, proof.Proven = pod.Workload, true
	case peer.Addr().IsValid() && local.Addr().IsValid():
		proof.Workload, proof.Proven = p.owner(peer, local)
		if proof.Workload.PodUID != "" {
			pod = p.Directory.Pod(proof.Workload.PodUID)
		}
	}
	proof.Relay = p.Trusted.has(peer.Addr(), pod)
	proof.Workload.Cluster = cmp.Or(proof.Workload.Cluster, p.Cluster)
	return proof
}

// owner finds whose a socket of this machine is.
func (p *Prover) owner(peer, local netip.AddrPort) (event.Workload, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cgroups == nil {
		return event.Workload{}, false
	}
	id, err := cgroupOf(peer, local)
	if err != nil || id == 0 { // it is on another machine, or behind a NAT
		return event.Workload{}, false
	}
	c, known := p.cgroups.Of(id)
	if !known {
		return event.Workload{}, false
	}
	w, found := p.Directory.Of(c)
	if !found {
		return event.Workload{Node: p.Node}, c.PodUID == ""
	}
	w.Container = "" // within its pod, a program may say which
	return w, true
}

// Admit completes a claim with what is known, and reports whether that leaves it
// standing, and whether the connection proves it. What is proven refutes every
// other claim. Of one who is trusted, a claim stands unless it contradicts what is
// known of the pod that it names. Of one who is neither, that the pod is known
// refutes it: it would have been recognised. For the node of a claim that is not
// proven only the directory is believed.
func (p *Proof) Admit(claim *event.Workload) (stands, proven bool) {
	own := p.Proven && Agree(claim, &p.Workload)
	if p.Relay { // what names no pod may be anybody's
		own = own && (claim.Pod != "" || claim.PodUID != "")
	}
	switch {
	case own:
		complete(claim, &p.Workload)
		return true, true
	case p.Proven && !p.Relay:
		return false, false
	}
	pod, agrees := p.directory.Named(claim)
	switch {
	case !agrees:
		return false, false
	case pod == nil:
		claim.Node = ""
		return true, false
	case !p.Relay && !(pod.HostNetwork && slices.Contains(pod.IPs, p.peer)): // then it is of that node, though of whom there is not known
		return false, false
	}
	complete(claim, &pod.Workload)
	return true, false
}

// complete keeps of a claim what is known nowhere else: within its pod, a program
// may say in which container it is.
func complete(claim, known *event.Workload) {
	container, cluster := claim.Container, claim.Cluster
	*claim = *known
	claim.Container = cmp.Or(container, claim.Container)
	claim.Cluster = cmp.Or(claim.Cluster, cluster)
}

// Trusted are those who speak for others.
type Trusted struct {
	nets   []netip.Prefix
	owners []ownerName
}

type ownerName struct{ namespace, owner string }

// ParseTrusted reads addresses (10.0.0.7), networks (10.0.0.0/8), and owners of
// pods as NAMESPACE/KIND/NAME (monitoring/DaemonSet/otel-collector).
func ParseTrusted(list []string) (t Trusted, err error) {
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			a = a.Unmap().WithZone("")
			t.nets = append(t.nets, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		if net, err := netip.ParsePrefix(s); err == nil {
			t.nets = append(t.nets, net.Masked())
			continue
		}
		parts := strings.Split(s, "/")
		if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
			return Trusted{}, fmt.Errorf("%q is no address, network or NAMESPACE/KIND/NAME of what owns a pod", s)
		}
		t.owners = append(t.owners, ownerName{parts[0], parts[1] + "/" + parts[2]})
	}
	return t, nil
}

func (t *Trusted) has(peer netip.Addr, pod *event.Pod) bool {
	for _, net := range t.nets {
		if net.Contains(peer.WithZone("")) {
			return true
		}
	}
	for _, o := range t.owners {
		if pod != nil && o == (ownerName{pod.Workload.Namespace, pod.Owner}) {
			return true
		}
	}
	return false
}

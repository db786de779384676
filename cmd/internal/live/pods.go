package live

import (
	"net/netip"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest/k8s/pods"
	"github.com/sennit-io/sennit/ingest/k8s/watch"
	"github.com/sennit-io/sennit/ingest/otlp/receiver"
	"github.com/sennit-io/sennit/schemas/event"
)

// PodOptions say where pods are known from: "api", "kubelet", or a file; "" for
// nowhere.
type PodOptions struct {
	From       string
	Connection watch.Connection
	// Trusted speak for others.
	Trusted pods.Trusted
}

// Asks reports whether something is said of whom to ask.
func (o *PodOptions) Asks() bool { return o.Connection != watch.Connection{} }

// openPods prepares the directory of pods. What it knows proves whose spans are,
// and names sockets and processes; its pods are those of the node, if there is one.
func (i *intake) openPods() (err error) {
	o := &i.options.Pods
	if o.From == "" {
		return nil
	}
	i.directory = new(pods.Directory)
	report := i.report(event.SourceK8s, "pods", o.From)
	cfg := watch.Config{
		Node: i.options.OTLP.Node, Cluster: i.options.OTLP.Cluster, Directory: i.directory,
		Connected: report.connected, Records: report.records,
	}
	switch o.From {
	case "api":
		i.pods, err = watch.API(cfg, o.Connection)
	case "kubelet":
		i.pods, err = watch.Kubelet(cfg, o.Connection)
	default:
		i.pods, err = watch.File(cfg, o.From)
	}
	i.metrics.pods = i.directory.Len
	return err
}

// proving has the receiver believe a connection more than what comes over it.
func (i *intake) proving() func(peer, local netip.AddrPort) receiver.Proof {
	if i.directory == nil {
		return nil
	}
	var cgroups *pods.Cgroups
	if root, err := bpf.CgroupRoot(); err != nil {
		i.service.Log.Warn("spans of this machine's own network are mere claims", "error", err)
	} else {
		cgroups = pods.NewCgroups(root)
	}
	p := pods.NewProver(i.directory, cgroups)
	p.Trusted, p.Cluster, p.Node = i.options.Pods.Trusted, i.options.OTLP.Cluster, i.options.OTLP.Node
	return func(peer, local netip.AddrPort) receiver.Proof {
		proof := p.Prove(peer, local)
		return &proof
	}
}

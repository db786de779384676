package k8s

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// pod collects what is kept of a Pod beside its metadata.
type pod struct {
	node, account string
	hostNetwork   bool
	addrs         []netip.Addr
	containers    []event.Container
	started       event.Time
	stopped       event.Time // the last end of a container
	finished      bool       // phase Succeeded or Failed
}

func (d *Decoder) readPod(b *event.Batch) error {
	s, p := &d.object, &d.pod
	*p = pod{addrs: p.addrs[:0], containers: p.containers[:0]}
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "metadata":
			d.readMetadata()
		case "spec":
			for s.Object(); s.Next(); {
				switch string(s.Key()) {
				case "nodeName":
					p.node = d.names.String(s.Bytes())
				case "serviceAccountName":
					p.account = d.names.String(s.Bytes())
				case "hostNetwork":
					p.hostNetwork = s.Bool()
				default:
					s.Skip()
				}
			}
		case "status":
			d.readPodStatus()
		default:
			s.Skip()
		}
	}
	if err := s.End(); err != nil {
		return err
	}
	d.emitPod(b)
	return nil
}

func (d *Decoder) readPodStatus() {
	s, p := &d.object, &d.pod
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "phase":
			phase := s.Bytes()
			p.finished = string(phase) == "Succeeded" || string(phase) == "Failed"
		case "startTime":
			p.started = d.meta.saw(s.Time())
		case "podIP":
			addAddr(&p.addrs, s.Addr())
		case "podIPs":
			for s.Array(); s.Next(); {
				for s.Object(); s.Next(); {
					if string(s.Key()) == "ip" {
						addAddr(&p.addrs, s.Addr())
						continue
					}
					s.Skip()
				}
			}
		case "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses":
			for s.Array(); s.Next(); {
				d.readContainer()
			}
		case "conditions":
			for s.Array(); s.Next(); {
				for s.Object(); s.Next(); {
					if string(s.Key()) == "lastTransitionTime" {
						d.meta.saw(s.Time())
						continue
					}
					s.Skip()
				}
			}
		default:
			s.Skip()
		}
	}
}

func (d *Decoder) readContainer() {
	s, p := &d.object, &d.pod
	var c event.Container
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "name":
			c.Name = d.names.String(s.Bytes())
		case "containerID":
			id := s.Bytes()
			if i := bytes.Index(id, []byte("://")); i >= 0 {
				id = id[i+3:]
			}
			c.ID = d.names.String(id)
		case "state":
			for s.Object(); s.Next(); {
				if string(s.Key()) != "terminated" {
					s.Skip()
					continue
				}
				for s.Object(); s.Next(); {
					if string(s.Key()) != "finishedAt" {
						s.Skip()
						continue
					}
					p.stopped = max(p.stopped, d.meta.saw(s.Time()))
				}
			}
		default:
			s.Skip()
		}
	}
	p.containers = append(p.containers, c)
}

func (d *Decoder) emitPod(b *event.Batch) {
	p, m := &d.pod, &d.meta
	started, ended := p.started, m.deletion
	if started == 0 {
		started = m.created
	}
	if p.finished && p.stopped != 0 {
		ended = p.stopped
	}
	e, out := b.Add(event.KindPod, event.SourceK8s), b.NewPod()
	e.Payload, e.Node = out, p.node
	out.Workload = event.Workload{Namespace: m.namespace, Pod: m.name, PodUID: m.uid, Node: p.node}
	out.IPs = b.CopyAddrs(p.addrs)
	out.HostNetwork = p.hostNetwork
	out.Containers = b.CopyContainers(p.containers)
	out.Owner, out.ServiceAccount = d.owner(), p.account
	out.ValidFrom, out.ValidTo = started, d.place(e, started, ended)

	h := d.id(e).Uint(uint64(out.ValidFrom)).Uint(uint64(out.ValidTo)).String(out.Owner).String(out.ServiceAccount)
	if out.HostNetwork {
		h.String("host")
	}
	h.Uint(uint64(len(out.IPs)))
	for _, a := range out.IPs {
		hashAddr(h, a)
	}
	for _, c := range out.Containers {
		h.String(c.Name).String(c.ID)
	}
	e.ID = h.Sum()
}

// id starts the id of an event: an object that has not changed is the same
// event however often it is listed.
func (d *Decoder) id(e *event.Event) *event.Hasher {
	m := &d.meta
	return d.ids.Reset(e.Kind).String(e.Node).Uint(uint64(e.Time)).String(m.namespace).String(m.name).String(m.uid)
}

func hashAddr(h *event.Hasher, a netip.Addr) {
	raw := a.As16()
	h.Bytes(raw[:])
}

// addAddr adds an address once: podIP is the first of podIPs.
func addAddr(list *[]netip.Addr, a netip.Addr) {
	if a.IsValid() && !slices.Contains(*list, a) {
		*list = append(*list, a)
	}
}

// addText adds what is an address: "None" and host names are not.
func addText(list *[]netip.Addr, b []byte) {
	if a, ok := scan.Addr(b); ok {
		addAddr(list, a)
	}
}

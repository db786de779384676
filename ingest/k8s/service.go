package k8s

import (
	"fmt"
	"net/netip"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// errNoService is the error of a slice that no service owns.
var errNoService = fmt.Errorf("%w: Kubernetes EndpointSlice of no service", ingest.ErrUnknownType)

func (d *Decoder) resetService() *service {
	d.service = service{addrs: d.service.addrs[:0], ports: d.service.ports[:0], endpoints: d.service.endpoints[:0]}
	return &d.service
}

// readService keeps every address at which the service is reached: cluster,
// external and load balancer addresses.
func (d *Decoder) readService(b *event.Batch) error {
	s, v := &d.object, d.resetService()
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "metadata":
			d.readMetadata()
		case "spec":
			for s.Object(); s.Next(); {
				switch string(s.Key()) {
				case "clusterIP", "loadBalancerIP":
					addText(&v.addrs, s.Bytes())
				case "clusterIPs", "externalIPs":
					for s.Array(); s.Next(); {
						addText(&v.addrs, s.Bytes())
					}
				case "ports":
					d.readPorts()
				default:
					s.Skip()
				}
			}
		case "status":
			d.readServiceStatus()
		default:
			s.Skip()
		}
	}
	if err := s.End(); err != nil {
		return err
	}
	d.emitService(b, d.meta.name, d.meta.created)
	return nil
}

func (d *Decoder) readServiceStatus() {
	s, v := &d.object, &d.service
	for s.Object(); s.Next(); {
		if string(s.Key()) != "loadBalancer" {
			s.Skip()
			continue
		}
		for s.Object(); s.Next(); {
			if string(s.Key()) != "ingress" {
				s.Skip()
				continue
			}
			for s.Array(); s.Next(); {
				for s.Object(); s.Next(); {
					if string(s.Key()) != "ip" {
						s.Skip()
						continue
					}
					addText(&v.addrs, s.Bytes())
				}
			}
		}
	}
}

func (d *Decoder) readPorts() {
	s, v := &d.object, &d.service
	for s.Array(); s.Next(); {
		for s.Object(); s.Next(); {
			if string(s.Key()) != "port" {
				s.Skip()
				continue
			}
			if port := s.Uint16(); port != 0 {
				v.ports = append(v.ports, port)
			}
		}
	}
}

// readSlice keeps all endpoints, those that are not ready too: an endpoint on
// its way out still answers what it was sent.
func (d *Decoder) readSlice(b *event.Batch) error {
	s, v := &d.object, d.resetService()
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "metadata":
			d.readMetadata()
		case "ports":
			d.readPorts()
		case "endpoints":
			for s.Array(); s.Next(); {
				for s.Object(); s.Next(); {
					if string(s.Key()) != "addresses" {
						s.Skip()
						continue
					}
					for s.Array(); s.Next(); {
						addText(&v.addrs, s.Bytes())
					}
				}
			}
		default:
			s.Skip()
		}
	}
	if err := s.End(); err != nil {
		return err
	}
	m := &d.meta
	name := m.service
	if name == "" && m.ownerKind == "Service" {
		name = m.ownerName
	}
	if name == "" {
		return errNoService
	}
	for _, a := range v.addrs {
		for _, port := range v.ports {
			v.endpoints = append(v.endpoints, netip.AddrPortFrom(a, port))
		}
	}
	v.addrs, v.ports = v.addrs[:0], v.ports[:0] // the endpoints' own, not the service's
	from := m.created
	if d.watch.modified && m.changed > from {
		from = m.changed // before that it had other endpoints
	}
	d.emitService(b, name, from)
	return nil
}

func (d *Decoder) emitService(b *event.Batch, name string, from event.Time) {
	m, v := &d.meta, &d.service
	e, out := b.Add(event.KindService, event.SourceK8s), b.NewService()
	e.Payload = out
	out.Namespace, out.Name = m.namespace, name
	out.IPs, out.Ports, out.Endpoints = b.CopyAddrs(v.addrs), b.CopyPorts(v.ports), b.CopyAddrPorts(v.endpoints)
	out.ValidFrom, out.ValidTo = from, d.place(e, from, m.deletion)

	h := d.id(e).String(name).Uint(uint64(out.ValidFrom)).Uint(uint64(out.ValidTo)).Uint(uint64(len(out.IPs)))
	for _, a := range out.IPs {
		hashAddr(h, a)
	}
	h.Uint(uint64(len(out.Ports)))
	for _, p := range out.Ports {
		h.Uint(uint64(p))
	}
	for _, a := range out.Endpoints {
		hashAddr(h, a.Addr())
		h.Uint(uint64(a.Port()))
	}
	e.ID = h.Sum()
}

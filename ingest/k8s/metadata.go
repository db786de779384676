package k8s

import (
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// metadata is what is kept of an ObjectMeta.
type metadata struct {
	namespace, name, uid string
	created, deletion    event.Time
	// latest is the last moment that the object speaks of, apart from its
	// deletion: it lived at that time.
	latest event.Time
	// changed is when the endpoints of a slice last changed.
	changed      event.Time
	service      string // label of a slice: the service's name
	templateHash string // label of a pod: its ReplicaSet's name ends in it
	ownerKind    string
	ownerName    string
	controlled   bool // the owner is the controller
}

func (m *metadata) reset() { *m = metadata{} }

// saw notes a moment at which the object existed.
func (m *metadata) saw(t event.Time) event.Time {
	m.latest = max(m.latest, t)
	return t
}

func (d *Decoder) readMetadata() {
	s, m := &d.object, &d.meta
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "namespace":
			m.namespace = d.names.String(s.Bytes())
		case "name":
			m.name = d.names.String(s.Bytes())
		case "uid":
			m.uid = d.names.String(s.Bytes())
		case "creationTimestamp":
			m.created = m.saw(s.Time())
		case "deletionTimestamp":
			m.deletion = s.Time()
		case "labels":
			for s.Object(); s.Next(); {
				switch string(s.Key()) {
				case "kubernetes.io/service-name":
					m.service = d.names.String(s.Bytes())
				case "pod-template-hash":
					m.templateHash = d.names.String(s.Bytes())
				default:
					s.Skip()
				}
			}
		case "annotations":
			for s.Object(); s.Next(); {
				if string(s.Key()) != "endpoints.kubernetes.io/last-change-trigger-time" {
					s.Skip()
					continue
				}
				m.changed, _ = scan.Time(s.Bytes())
				m.saw(m.changed)
			}
		case "ownerReferences":
			d.readOwners()
		case "managedFields":
			for s.Array(); s.Next(); {
				for s.Object(); s.Next(); {
					if string(s.Key()) == "time" {
						m.saw(s.Time())
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

// readOwners keeps the controller, else the first owner.
func (d *Decoder) readOwners() {
	s, m := &d.object, &d.meta
	for s.Array(); s.Next(); {
		var kind, name string
		controller := false
		for s.Object(); s.Next(); {
			switch string(s.Key()) {
			case "kind":
				kind = d.names.String(s.Bytes())
			case "name":
				name = d.names.String(s.Bytes())
			case "controller":
				controller = s.Bool()
			default:
				s.Skip()
			}
		}
		if m.ownerName == "" || controller && !m.controlled {
			m.ownerKind, m.ownerName, m.controlled = kind, name, controller
		}
	}
}

// owner is the workload as people know it: the Deployment and not its
// ReplicaSet, whose name is the Deployment's and the hash of the template.
func (d *Decoder) owner() string {
	m := &d.meta
	if m.ownerName == "" {
		return ""
	}
	kind, name := m.ownerKind, m.ownerName
	if cut := len(name) - len(m.templateHash) - 1; kind == "ReplicaSet" && m.templateHash != "" && cut > 0 &&
		name[cut] == '-' && name[cut+1:] == m.templateHash {
		kind, name = "Deployment", name[:cut]
	}
	d.buf = append(append(append(d.buf[:0], kind...), '/'), name...)
	return d.names.String(d.buf)
}

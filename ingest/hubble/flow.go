package hubble

import (
	"math"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// flowField reads one member of a flow, and tells whether it is one that only
// flows have.
func (d *Decoder) flowField() bool {
	s, r := &d.s, &d.r
	switch string(s.Key()) {
	case "time":
		r.time = s.Time()
	case "node_name", "nodeName":
		r.cluster, r.node = d.node()
	case "uuid":
		d.uuid()
	case "verdict":
		r.verdict = d.verdict()
	case "drop_reason", "dropReason":
		r.dropNumber = s.Uint32()
	case "drop_reason_desc", "dropReasonDesc":
		r.dropReason = d.dropReason()
	case "IP":
		d.ip()
	case "l4":
		d.layer4()
	case "source":
		d.endpoint(&r.source)
	case "destination":
		d.endpoint(&r.destination)
	case "source_names", "sourceNames":
		r.srcName = d.firstName()
	case "destination_names", "destinationNames":
		r.dstName = d.firstName()
	case "l7":
		d.layer7()
	case "reply":
		r.reply = s.Bool()
	case "is_reply", "isReply":
		switch {
		case s.Peek() == 'n':
			s.Skip()
		case s.Bool():
			r.isReply = yes
		default:
			r.isReply = no
		}
	case "event_type", "eventType":
		for s.Object(); s.Next(); {
			if string(s.Key()) == "type" {
				r.eventType = s.Int64()
			} else {
				s.Skip()
			}
		}
	case "traffic_direction", "trafficDirection":
		r.egress = d.isEgress()
	case "trace_observation_point", "traceObservationPoint":
		r.point = d.point()
	case "sock_xlate_point", "sockXlatePoint":
		d.xlatePoint()
	case "trace_context", "traceContext":
		d.traceContext()
	case "socket_cookie", "socketCookie":
		r.cookie = event.SocketCookie(s.Uint64())
	case "cgroup_id", "cgroupId":
		r.cgroup = event.CgroupID(s.Uint64())
	case "egress_denied_by", "egressDeniedBy":
		r.policy[0] = d.firstPolicy()
	case "ingress_denied_by", "ingressDeniedBy":
		r.policy[1] = d.firstPolicy()
	case "egress_allowed_by", "egressAllowedBy":
		r.policy[2] = d.firstPolicy()
	case "ingress_allowed_by", "ingressAllowedBy":
		r.policy[3] = d.firstPolicy()
	case "aggregate":
		d.aggregate()
	case "Type", "Summary", "ethernet":
		s.Skip() // nothing we need, and a mark of a bare flow
	default:
		s.Skip()
		return false
	}
	return true
}

// uuid reads the flow's own id. One that is no UUID still names the flow.
func (d *Decoder) uuid() {
	b := d.s.Bytes()
	var id event.ID
	if len(b) == 36 && b[8] == '-' && b[13] == '-' && b[18] == '-' && b[23] == '-' &&
		scan.Hex(id[0:4], b[0:8]) && scan.Hex(id[4:6], b[9:13]) && scan.Hex(id[6:8], b[14:18]) &&
		scan.Hex(id[8:10], b[19:23]) && scan.Hex(id[10:16], b[24:36]) {
		d.r.uuid, d.uuidText = id, d.uuidText[:0]
		return
	}
	d.r.uuid, d.uuidText = event.ID{}, append(d.uuidText[:0], b...)
}

func (d *Decoder) ip() {
	s, r := &d.s, &d.r
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "source":
			r.src = s.Addr()
		case "destination":
			r.dst = s.Addr()
		case "source_xlated", "sourceXlated":
			r.translated = s.Addr()
		default:
			s.Skip()
		}
	}
}

func (d *Decoder) layer4() {
	s, r := &d.s, &d.r
	for s.Object(); s.Next(); {
		proto := event.ProtoNone
		switch string(s.Key()) {
		case "TCP":
			proto = event.ProtoTCP
		case "UDP":
			proto = event.ProtoUDP
		case "SCTP":
			proto = event.ProtoSCTP
		case "ICMPv4":
			proto = event.ProtoICMP
		case "ICMPv6":
			proto = event.ProtoICMPv6
		case "IGMP":
			proto = protoIGMP
		case "VRRP":
			proto = protoVRRP
		}
		if proto == event.ProtoNone || s.Peek() == 'n' {
			s.Skip()
			continue
		}
		r.proto = proto
		for s.Object(); s.Next(); {
			switch string(s.Key()) {
			case "source_port", "sourcePort":
				r.srcPort = s.Uint16()
			case "destination_port", "destinationPort":
				r.dstPort = s.Uint16()
			case "flags":
				if proto == event.ProtoTCP {
					d.tcpFlags()
				} else {
					s.Skip()
				}
			default:
				s.Skip()
			}
		}
	}
}

// Protocols of layer 4 that have no constant in package event.
const (
	protoIGMP event.Proto = 2
	protoVRRP event.Proto = 112
)

func (d *Decoder) endpoint(e *endpoint) {
	s := &d.s
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "ID":
			e.local = s.Uint32() != 0
		case "cluster_name", "clusterName":
			e.workload.Cluster = d.names.String(s.Bytes())
		case "namespace":
			e.workload.Namespace = d.names.String(s.Bytes())
		case "pod_name", "podName":
			e.workload.Pod = d.names.String(s.Bytes())
		default:
			s.Skip()
		}
	}
}

// firstName reads a list of DNS names and returns the first, without its dot.
func (d *Decoder) firstName() (name string) {
	s := &d.s
	for s.Array(); s.Next(); {
		if name != "" {
			s.Skip()
			continue
		}
		name = d.names.String(trimDot(s.Bytes()))
	}
	return name
}

func trimDot(b []byte) []byte {
	if n := len(b); n > 1 && b[n-1] == '.' {
		return b[:n-1]
	}
	return b
}

// firstPolicy reads a list of policies and returns the first that has a name, as
// "namespace/name", or "name" for a cluster-wide one.
func (d *Decoder) firstPolicy() (policy string) {
	s := &d.s
	for s.Array(); s.Next(); {
		if policy != "" {
			s.Skip()
			continue
		}
		var namespace, name string
		for s.Object(); s.Next(); {
			switch string(s.Key()) {
			case "name":
				name = d.names.String(s.Bytes())
			case "namespace":
				namespace = d.names.String(s.Bytes())
			default:
				s.Skip()
			}
		}
		policy = name
		if namespace != "" && name != "" {
			d.buf = append(append(append(d.buf[:0], namespace...), '/'), name...)
			policy = d.names.String(d.buf)
		}
	}
	return policy
}

func (d *Decoder) traceContext() {
	s, r := &d.s, &d.r
	for s.Object(); s.Next(); {
		if string(s.Key()) != "parent" {
			s.Skip()
			continue
		}
		for s.Object(); s.Next(); {
			if string(s.Key()) != "trace_id" && string(s.Key()) != "traceId" {
				s.Skip()
				continue
			}
			if b := s.Bytes(); !scan.Hex(r.traceParent[:], b) {
				r.traceParent = event.TraceID{}
			}
		}
	}
}

// aggregate reads how many flows an aggregated one stands for.
func (d *Decoder) aggregate() {
	s := &d.s
	var n uint64
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "ingress_flow_count", "ingressFlowCount", "egress_flow_count", "egressFlowCount",
			"unknown_direction_flow_count", "unknownDirectionFlowCount":
			n += uint64(s.Uint32())
		default:
			s.Skip()
		}
	}
	d.r.count = uint32(min(n, math.MaxUint32))
}

package hubble

import (
	"math"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// readFlow reads the members of a flow.
func (d *Decoder) readFlow() {
	s := &d.s
	s.Object()
	for i := s.Member(flowNames, 0); i >= 0; i = s.Member(flowNames, i+1) {
		d.flowMember(i)
	}
}

// flowMember reads the value of the member that stands at i in flowNames.
func (d *Decoder) flowMember(i int) {
	s, r := &d.s, &d.r
	if i >= flowMembers {
		i = flowAlias(i)
	}
	switch i {
	case flowTime:
		r.time = s.Time()
	case flowUUID:
		d.uuid(s.Bytes())
	case flowVerdict:
		r.verdict = d.verdict()
	case flowDropReason:
		r.dropNumber = s.Uint32()
	case flowIP:
		d.ip()
	case flowL4:
		d.layer4()
	case flowSource:
		d.endpoint(&r.source, r.src)
	case flowDestination:
		d.endpoint(&r.destination, r.dst)
	case flowNodeName:
		r.cluster, r.node = d.node(s.Text())
	case flowSourceNames:
		r.srcName = d.firstName()
	case flowDestinationNames:
		r.dstName = d.firstName()
	case flowL7:
		d.layer7()
	case flowReply:
		r.reply = s.Bool()
	case flowEventType:
		for s.Object(); s.Next(); {
			if string(s.Key()) == "type" {
				r.eventType = s.Int64()
			} else {
				s.Skip()
			}
		}
	case flowTrafficDirection:
		r.egress = d.isEgress()
	case flowPoint:
		r.point = d.point()
	case flowDropReasonDesc:
		r.dropReason = d.dropReason()
	case flowIsReply:
		switch {
		case s.Peek() == 'n':
			s.Skip()
		case s.Bool():
			r.isReply = yes
		default:
			r.isReply = no
		}
	case flowTraceContext:
		d.traceContext()
	case flowXlatePoint:
		d.xlatePoint()
	case flowCookie:
		r.cookie = event.SocketCookie(s.Uint())
	case flowCgroup:
		r.cgroup = event.CgroupID(s.Uint())
	case flowEgressAllowed:
		r.policy[2] = d.firstPolicy()
	case flowIngressAllowed:
		r.policy[3] = d.firstPolicy()
	case flowEgressDenied:
		r.policy[0] = d.firstPolicy()
	case flowIngressDenied:
		r.policy[1] = d.firstPolicy()
	case flowAggregate:
		d.aggregate()
	default:
		s.Skip()
	}
}

// uuid reads the flow's own id. One that is no UUID still names the flow.
func (d *Decoder) uuid(b []byte) {
	var id event.ID
	if len(b) == 36 && b[8] == '-' && b[13] == '-' && b[18] == '-' && b[23] == '-' &&
		scan.Hex(id[0:4], b[0:8]) && scan.Hex(id[4:6], b[9:13]) && scan.Hex(id[6:8], b[14:18]) &&
		scan.Hex(id[8:10], b[19:23]) && scan.Hex(id[10:16], b[24:36]) {
		d.r.uuid, d.uuidText = id, d.uuidText[:0]
		return
	}
	d.r.uuid, d.uuidText = event.ID{}, append(d.uuidText[:0], b...)
}

var ipNames = scan.NewNames("source", "source_xlated", "destination", "ipVersion", "sourceXlated")

func (d *Decoder) ip() {
	s, r := &d.s, &d.r
	s.Object()
	for i := s.Member(ipNames, 0); i >= 0; i = s.Member(ipNames, i+1) {
		switch i {
		case 0:
			r.src = s.Addr()
		case 1, 4:
			r.translated = s.Addr()
		case 2:
			r.dst = s.Addr()
		default:
			s.Skip()
		}
	}
}

var (
	// In the order of their numbers in flow.Layer4.
	layer4Names  = scan.NewNames("TCP", "UDP", "ICMPv4", "ICMPv6", "SCTP", "VRRP", "IGMP")
	layer4Protos = [...]event.Proto{
		event.ProtoTCP, event.ProtoUDP, event.ProtoICMP, event.ProtoICMPv6, event.ProtoSCTP, protoVRRP, protoIGMP,
	}
	portNames = scan.NewNames("source_port", "destination_port", "flags", "sourcePort", "destinationPort")
)

func (d *Decoder) layer4() {
	s, r := &d.s, &d.r
	s.Object()
	for i := s.Member(layer4Names, 0); i >= 0; i = s.Member(layer4Names, i+1) {
		if i >= len(layer4Protos) || s.Peek() == 'n' {
			s.Skip()
			continue
		}
		r.proto = layer4Protos[i]
		s.Object()
		for j := s.Member(portNames, 0); j >= 0; j = s.Member(portNames, j+1) {
			switch {
			case j == 0 || j == 3:
				r.srcPort = d.port()
			case j == 1 || j == 4:
				r.dstPort = d.port()
			case j == 2 && r.proto == event.ProtoTCP:
				d.tcpFlags()
			default:
				s.Skip()
			}
		}
	}
}

func (d *Decoder) port() uint16 {
	v := d.s.Uint()
	if v > math.MaxUint16 {
		d.s.Fail(scan.Impossible("a port over 65535"))
	}
	return uint16(v)
}

// Protocols of layer 4 that have no constant in package event.
const (
	protoIGMP event.Proto = 2
	protoVRRP event.Proto = 112
)

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
		policy = d.policyName(namespace, name)
	}
	return policy
}

func (d *Decoder) policyName(namespace, name string) string {
	if namespace == "" || name == "" {
		return name
	}
	d.buf = append(append(append(d.buf[:0], namespace...), '/'), name...)
	return d.names.String(d.buf)
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

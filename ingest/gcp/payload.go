package gcp

import (
	"bytes"
	"math"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// payloadField reads one member of a jsonPayload, of any of the logs.
func (d *Decoder) payloadField() {
	s, r := &d.s, &d.r
	switch string(s.Key()) {
	// Load balancer.
	case "statusDetails":
		r.statusDetails = d.names.String(s.Bytes())
	case "remoteIp":
		r.payloadClient = d.addr()
	case "enforcedSecurityPolicy":
		d.securityPolicy(&r.enforced)
	case "enforcedEdgeSecurityPolicy":
		d.securityPolicy(&r.edge)

	// Cloud DNS.
	case "queryName":
		d.mark()
		r.query = d.names.Lower(trimDot(s.Bytes()))
	case "queryType":
		r.qtype = d.names.String(s.Bytes())
	case "responseCode":
		r.rcode = d.responseCode()
	case "rdata":
		d.rdata(s.Bytes())
	case "sourceIP":
		r.source = d.addr()
	case "destinationIP":
		r.resolver = d.addr()
	case "protocol":
		r.dnsProto = d.proto()
	case "serverLatency":
		r.serverLatencyNS = min(s.Uint64(), math.MaxInt64/1_000_000) * 1_000_000
	case "vmInstanceName":
		b := s.Bytes() // "<project number>.<name>"
		r.vmName = d.names.String(b[bytes.IndexByte(b, '.')+1:])

	// VPC flow.
	case "start_time":
		r.start = s.Time()
	case "end_time":
		r.end = s.Time()
	case "bytes_sent":
		r.bytes = s.Uint64()
	case "packets_sent":
		r.packets = s.Uint64()
	case "reporter":
		r.reporter = d.names.Lower(s.Bytes())
	case "src_gke_details":
		d.gkeDetails(&r.src)
	case "dest_gke_details":
		d.gkeDetails(&r.dst)
	case "src_instance":
		d.instance(&r.src)
	case "dest_instance":
		d.instance(&r.dst)

	case "timestamp": // of the verdict itself
		r.payloadTimestamp = s.Time()
	default:
		d.policyField()
	}
}

// policyField reads one member of a policy verdict. A VPC flow has a connection
// too.
func (d *Decoder) policyField() {
	s, r := &d.s, &d.r
	switch string(s.Key()) {
	case "connection":
		d.mark()
		d.connection()
	case "disposition":
		d.mark()
		switch string(s.Bytes()) {
		case "allow":
			r.disposition = event.VerdictForwarded
		case "deny":
			r.disposition = event.VerdictDropped
		}
	case "policies":
		d.policies()
	case "src":
		d.side(&r.src)
	case "dest":
		d.side(&r.dst)
	case "count":
		r.count = s.Uint32()
	case "node_name":
		r.payloadNode = d.names.String(s.Bytes())
	default:
		s.Skip()
	}
}

func (d *Decoder) securityPolicy(p *securityPolicy) {
	s := &d.s
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "name":
			p.name = d.names.String(s.Bytes())
		case "outcome":
			p.outcome = d.names.String(s.Bytes())
		case "preconfiguredExprIds":
			d.buf = d.buf[:0]
			for s.Array(); s.Next(); {
				if len(d.buf) > 0 {
					d.buf = append(d.buf, ',')
				}
				d.buf = append(d.buf, s.Bytes()...)
			}
			p.rules = d.names.String(d.buf)
		default:
			s.Skip()
		}
	}
}

func (d *Decoder) connection() {
	s, c := &d.s, &d.r.connection
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "src_ip":
			c.src = s.Addr()
		case "dest_ip":
			c.dst = s.Addr()
		case "src_port":
			c.srcPort = s.Uint16()
		case "dest_port":
			c.dstPort = s.Uint16()
		case "protocol":
			c.proto = d.proto()
		case "direction":
			c.egress = string(s.Bytes()) == "egress"
		default:
			s.Skip()
		}
	}
}

// proto reads a protocol as a number (VPC flows) or a name of either case.
func (d *Decoder) proto() event.Proto {
	s := &d.s
	if s.Peek() != '"' {
		n := s.Uint16()
		if n > 255 {
			s.Fail(scan.Impossible("an IP protocol over 255"))
		}
		return event.Proto(n)
	}
	b := s.Bytes()
	switch len(b) {
	case 3:
		switch {
		case bytes.EqualFold(b, tcp):
			return event.ProtoTCP
		case bytes.EqualFold(b, udp):
			return event.ProtoUDP
		}
	case 4:
		switch {
		case bytes.EqualFold(b, icmp):
			return event.ProtoICMP
		case bytes.EqualFold(b, sctp):
			return event.ProtoSCTP
		}
	case 6:
		if bytes.EqualFold(b, icmpv6) {
			return event.ProtoICMPv6
		}
	}
	if n, ok := scan.Uint(b); ok && n <= 255 {
		return event.Proto(n)
	}
	return event.ProtoNone
}

var tcp, udp, icmp, sctp, icmpv6 = []byte("tcp"), []byte("udp"), []byte("icmp"), []byte("sctp"), []byte("icmpv6")

// policies reads the policies that allowed a connection and keeps the first that
// has a name, as "namespace/name", or "name" for a cluster-wide one.
func (d *Decoder) policies() {
	s, r := &d.s, &d.r
	r.policy = ""
	for s.Array(); s.Next(); {
		if r.policy != "" {
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
		r.policy = name
		if namespace != "" && name != "" {
			d.buf = append(append(append(d.buf[:0], namespace...), '/'), name...)
			r.policy = d.names.String(d.buf)
		}
	}
}

// side reads src or dest of a policy verdict: a pod, a node, or an instance,
// which is an address once more.
func (d *Decoder) side(p *side) {
	s := &d.s
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "pod_name":
			p.workload.Pod = d.names.String(s.Bytes())
		case "pod_namespace":
			p.workload.Namespace = d.names.String(s.Bytes())
		case "namespace":
			p.namespace = d.names.String(s.Bytes())
		case "node_name":
			p.workload.Node = d.names.String(s.Bytes())
		default:
			s.Skip()
		}
	}
}

// gkeDetails reads what VPC flows know of a pod.
func (d *Decoder) gkeDetails(p *side) {
	s := &d.s
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "cluster":
			for s.Object(); s.Next(); {
				if string(s.Key()) == "cluster_name" {
					p.workload.Cluster = d.names.String(s.Bytes())
				} else {
					s.Skip()
				}
			}
		case "pod":
			for s.Object(); s.Next(); {
				switch string(s.Key()) {
				case "pod_name":
					p.workload.Pod = d.names.String(s.Bytes())
					p.pod = p.workload.Pod != ""
				case "pod_namespace":
					p.workload.Namespace = d.names.String(s.Bytes())
				default:
					s.Skip()
				}
			}
		default:
			s.Skip()
		}
	}
}

func (d *Decoder) instance(p *side) {
	s := &d.s
	for s.Object(); s.Next(); {
		if string(s.Key()) == "vm_name" {
			p.vm = d.names.String(s.Bytes())
		} else {
			s.Skip()
		}
	}
}

func trimDot(b []byte) []byte {
	if n := len(b); n > 1 && b[n-1] == '.' {
		return b[:n-1]
	}
	return b
}

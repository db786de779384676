package gcp

import (
	"bytes"
	"math"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// The members of the payloads that are read, all logs in one list in the order of
// the alphabet, with those that are passed over on the way.
const (
	_                 = iota // @type
	_                        // authAnswer
	_                        // backendTargetProjectNumber
	payloadBytes             // bytes_sent
	_                        // cacheDecision
	payloadConnection        // connection
	payloadDestGKE           // dest_gke_details
	payloadDestVM            // dest_instance
	payloadResolver          // destinationIP
	_                        // dns64Translated
	payloadEnd               // end_time
	payloadEdgePolicy        // enforcedEdgeSecurityPolicy
	payloadPolicy            // enforcedSecurityPolicy
	payloadPackets           // packets_sent
	payloadProtocol          // protocol
	payloadQuery             // queryName
	payloadType              // queryType
	payloadRdata             // rdata
	payloadRemoteIP          // remoteIp
	payloadReporter          // reporter
	payloadCode              // responseCode
	_                        // securityPolicyRequestData
	payloadLatency           // serverLatency
	payloadSource            // sourceIP
	_                        // sourceNetwork
	payloadSrcGKE            // src_gke_details
	payloadSrcVM             // src_instance
	payloadStart             // start_time
	payloadDetails           // statusDetails
	payloadTimestamp         // timestamp
	_                        // tls
	_                        // vmInstanceId
	_                        // vmInstanceIdString
	payloadVM                // vmInstanceName
	payloadMembers
)

var payloadNames = scan.NewNames(
	"@type", "authAnswer", "backendTargetProjectNumber", "bytes_sent", "cacheDecision", "connection",
	"dest_gke_details", "dest_instance", "destinationIP", "dns64Translated", "end_time",
	"enforcedEdgeSecurityPolicy", "enforcedSecurityPolicy", "packets_sent", "protocol", "queryName", "queryType",
	"rdata", "remoteIp", "reporter", "responseCode", "securityPolicyRequestData", "serverLatency", "sourceIP",
	"sourceNetwork", "src_gke_details", "src_instance", "start_time", "statusDetails", "timestamp", "tls",
	"vmInstanceId", "vmInstanceIdString", "vmInstanceName",
)

// payloadMember reads the value of the member that stands at i in payloadNames.
func (d *Decoder) payloadMember(i int) {
	s, r := &d.s, &d.r
	switch i {
	// Load balancer.
	case payloadDetails:
		r.statusDetails = d.names.String(s.Text())
	case payloadRemoteIP:
		r.payloadClient = d.addr()
	case payloadPolicy:
		d.securityPolicy(&r.enforced)
	case payloadEdgePolicy:
		d.securityPolicy(&r.edge)

	// Cloud DNS.
	case payloadQuery:
		d.mark()
		r.query = d.lower.Lower(trimDot(s.Text()))
	case payloadType:
		r.qtype = d.names.String(s.Text())
	case payloadCode:
		r.rcode = d.responseCode()
	case payloadRdata:
		d.rdata(s.Text())
	case payloadSource:
		r.source = d.addr()
	case payloadResolver:
		r.resolver = d.addr()
	case payloadProtocol:
		r.dnsProto = d.proto()
	case payloadLatency:
		r.serverLatencyNS = min(s.Uint64(), math.MaxInt64/1_000_000) * 1_000_000
	case payloadVM:
		b := s.Text() // "<project number>.<name>"
		r.vmName = d.names.String(b[bytes.IndexByte(b, '.')+1:])

	// VPC flow.
	case payloadStart:
		r.start = s.Time()
	case payloadEnd:
		r.end = s.Time()
	case payloadBytes:
		r.bytes = s.Uint64()
	case payloadPackets:
		r.packets = s.Uint64()
	case payloadReporter:
		r.reporter = d.lower.Lower(s.Text())
	case payloadSrcGKE:
		d.gkeDetails(&r.src)
	case payloadDestGKE:
		d.gkeDetails(&r.dst)
	case payloadSrcVM:
		d.instance(&r.src)
	case payloadDestVM:
		d.instance(&r.dst)

	case payloadTimestamp: // of the verdict itself
		r.payloadTimestamp = s.Time()
	case payloadConnection, payloadMembers:
		d.policyField()
	default:
		s.Skip()
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
		switch string(s.Text()) {
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
		r.payloadNode = d.names.String(s.Text())
	default:
		s.Skip()
	}
}

func (d *Decoder) securityPolicy(p *securityPolicy) {
	s := &d.s
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "name":
			p.name = d.names.String(s.Text())
		case "outcome":
			p.outcome = d.names.String(s.Text())
		case "preconfiguredExprIds":
			d.buf = d.buf[:0]
			for s.Array(); s.Next(); {
				if len(d.buf) > 0 {
					d.buf = append(d.buf, ',')
				}
				d.buf = append(d.buf, s.Text()...)
			}
			p.rules = d.names.String(d.buf)
		default:
			s.Skip()
		}
	}
}

var connectionNames = scan.NewNames("dest_ip", "dest_port", "direction", "protocol", "src_ip", "src_port")

func (d *Decoder) connection() {
	s, c := &d.s, &d.r.connection
	s.Object()
	for i := s.Member(connectionNames, 0); i >= 0; i = s.Member(connectionNames, i+1) {
		switch i {
		case 0:
			c.dst = s.Addr()
		case 1:
			c.dstPort = s.Uint16()
		case 2:
			c.egress = string(s.Text()) == "egress"
		case 3:
			c.proto = d.proto()
		case 4:
			c.src = s.Addr()
		case 5:
			c.srcPort = s.Uint16()
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
	b := s.Text()
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
				name = d.names.String(s.Text())
			case "namespace":
				namespace = d.names.String(s.Text())
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
			p.workload.Pod = d.names.String(s.Text())
		case "pod_namespace":
			p.workload.Namespace = d.names.String(s.Text())
		case "namespace":
			p.namespace = d.names.String(s.Text())
		case "node_name":
			p.workload.Node = d.names.String(s.Text())
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
					p.workload.Cluster = d.names.String(s.Text())
				} else {
					s.Skip()
				}
			}
		case "pod":
			for s.Object(); s.Next(); {
				switch string(s.Key()) {
				case "pod_name":
					p.workload.Pod = d.names.String(s.Text())
					p.pod = p.workload.Pod != ""
				case "pod_namespace":
					p.workload.Namespace = d.names.String(s.Text())
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
			p.vm = d.names.String(s.Text())
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

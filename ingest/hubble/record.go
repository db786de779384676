package hubble

import (
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// record is what one line says, in the order in which it comes; the event is
// made at its end, when its kind is known and nothing can fail any more.
type record struct {
	message                 message
	bare                    bool // the flow's members stand in the envelope's place
	outerTime, time         event.Time
	outerCluster, outerNode string
	cluster, node           string

	uuid event.ID

	src, dst, translated netip.Addr
	srcPort, dstPort     uint16
	proto                event.Proto
	flags                flags
	source, destination  endpoint
	srcName, dstName     string

	verdict     event.Verdict
	dropReason  string
	dropNumber  uint32
	policy      [4]string // by rank: denied before allowed, egress before ingress
	eventType   int64
	egress      bool
	reply       bool
	isReply     tri
	point       string
	xlate       string
	xlateReply  bool
	cookie      event.SocketCookie
	cgroup      event.CgroupID
	count       uint32
	traceParent event.TraceID

	l7        l7
	l7Type    l7Type
	latencyNS uint64
	http      event.HTTP
	headers   headers
	query     string
	qtype     string
	rcode     uint16

	lost lost
}

// tri is a protobuf BoolValue: absent, false or true.
type tri uint8

const (
	absent tri = iota
	no
	yes
)

// l7 is the record that a layer 7 flow carries, if it is one we read.
type l7 uint8

const (
	l7None l7 = iota
	l7HTTP
	l7DNS
)

// l7Type is flow.L7FlowType.
type l7Type uint8

const (
	l7Unknown l7Type = iota
	l7Request
	l7Response
	l7Sample
)

// headers are the trace contexts found in HTTP headers, one for each
// convention, and the request id. No other header is kept.
type headers struct {
	traceparent event.TraceContext
	cloud       event.TraceContext
	b3          event.TraceContext
	b3Trace     event.TraceID
	b3Span      event.SpanID
	requestID   string
}

// lost is flow.LostEvent.
type lost struct {
	source      string
	count       uint64
	first, last event.Time
	cpu         string
}

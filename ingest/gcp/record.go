package gcp

import (
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// record is what one entry says, in the order in which it comes: the log's name
// may stand behind the payload, so the event is made at its end.
type record struct {
	logName             string
	timestamp, received event.Time
	trace               event.TraceID
	span                event.SpanID
	has                 has
	hasHTTP             bool

	// resource
	resourceType                string
	backendService, backendName string
	clusterName, nodeName       string

	// httpRequest
	http                        event.HTTP
	requestBytes, responseBytes uint64
	client, server              netip.Addr
	latencyNS                   uint64

	// jsonPayload of a load balancer
	statusDetails  string
	payloadClient  netip.Addr
	enforced, edge securityPolicy

	// jsonPayload of Cloud DNS
	query, qtype     string
	rcode            uint16
	source, resolver netip.Addr
	dnsProto         event.Proto
	serverLatencyNS  uint64
	vmName           string

	// jsonPayload of a VPC flow or a policy verdict
	connection       connection
	src, dst         side
	start, end       event.Time
	bytes, packets   uint64
	reporter         string
	disposition      event.Verdict
	policy           string
	count            uint32
	payloadNode      string
	payloadTimestamp event.Time
}

// securityPolicy is a Cloud Armor policy that took part in a decision.
type securityPolicy struct {
	name, outcome, rules string
}

// connection is the five-tuple of a VPC flow or a policy verdict.
type connection struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
	proto            event.Proto
	egress           bool
}

// side is one end of a connection.
type side struct {
	workload  event.Workload
	namespace string // of the workload, where there is no pod_namespace
	vm        string
	pod       bool // gke_details name a pod, so that the VM is its node
}

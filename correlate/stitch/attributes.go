package stitch

import (
	"math/bits"
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// key is the place of an attribute in keyNames.
type key uint8

// The fixed names of attributes, OpenTelemetry's where it has one. They are in
// the order of the names, so that a set of them is sorted as it stands.
const (
	clientAddress key = iota
	containerID
	dnsQuestionName
	errorType
	filePath
	armorOutcome
	armorPolicy
	armorRules
	balancerStatus
	genAgentName
	genConversation
	genOperation
	genProvider
	genRequestModel
	genFinish
	genResponseID
	genResponseModel
	genToolArguments
	genToolCallID
	genToolName
	genToolType
	genInputTokens
	genOutputTokens
	httpMethod
	httpStatus
	http1Ordinal
	http2Stream
	hubbleDropReason
	hubbleVerdict
	k8sContainer
	k8sNamespace
	k8sPod
	ioReceived
	ioSent
	localAddress
	localPort
	originalAddress
	peerAddress
	peerPort
	networkPolicy
	networkProtocol
	observedEnd
	observedStart
	processArgs
	processExecutable
	processExitCode
	processExitSignal
	processPID
	processCWD
	serverAddress
	serverPort
	serviceName
	tetragonAction
	tetragonPolicy
	tlsServerName
	urlPath
	keyCount
)

var keyNames = [keyCount]string{
	"client.address",
	"container.id",
	"dns.question.name",
	"error.type",
	"file.path",
	"gcp.armor.outcome",
	"gcp.armor.policy",
	"gcp.armor.rules",
	"gcp.load_balancer.status_details",
	"gen_ai.agent.name",
	"gen_ai.conversation.id",
	"gen_ai.operation.name",
	"gen_ai.provider.name",
	"gen_ai.request.model",
	"gen_ai.response.finish_reasons",
	"gen_ai.response.id",
	"gen_ai.response.model",
	"gen_ai.tool.call.arguments",
	"gen_ai.tool.call.id",
	"gen_ai.tool.name",
	"gen_ai.tool.type",
	"gen_ai.usage.input_tokens",
	"gen_ai.usage.output_tokens",
	"http.request.method",
	"http.response.status_code",
	"http1.ordinal",
	"http2.stream_id",
	"hubble.drop_reason",
	"hubble.verdict",
	"k8s.container.name",
	"k8s.namespace.name",
	"k8s.pod.name",
	"network.io.received",
	"network.io.sent",
	"network.local.address",
	"network.local.port",
	"network.original.address",
	"network.peer.address",
	"network.peer.port",
	"network.policy",
	"network.protocol.name",
	"observed.end",
	"observed.start",
	"process.command_args",
	"process.executable.path",
	"process.exit.code",
	"process.exit.signal",
	"process.pid",
	"process.working_directory",
	"server.address",
	"server.port",
	"service.name",
	"tetragon.action",
	"tetragon.policy",
	"tls.client.server_name",
	"url.path",
}

// attributes collects a step's attributes; the first word on a key counts. It
// is used again for step after step.
type attributes struct {
	set  uint64
	vals [keyCount]timeline.Attribute
	text *text
}

func (a *attributes) str(k key, v string) {
	if v != "" && a.set&(1<<k) == 0 {
		a.set |= 1 << k
		a.vals[k] = timeline.Attribute{Key: keyNames[k], Str: v}
	}
}

func (a *attributes) num(k key, v int64) {
	if v != 0 && a.set&(1<<k) == 0 {
		a.set |= 1 << k
		a.vals[k] = timeline.Attribute{Key: keyNames[k], Num: v, IsNum: true}
	}
}

func (a *attributes) time(k key, t event.Time) {
	if a.set&(1<<k) == 0 {
		a.str(k, a.text.time(t))
	}
}

func (a *attributes) addr(k key, ip netip.Addr) {
	if ip.IsValid() && a.set&(1<<k) == 0 {
		a.str(k, a.text.addr(ip))
	}
}

func (a *attributes) local(p netip.AddrPort) {
	a.addr(localAddress, p.Addr())
	a.num(localPort, int64(p.Port()))
}

func (a *attributes) peer(p netip.AddrPort) {
	a.addr(peerAddress, p.Addr())
	a.num(peerPort, int64(p.Port()))
}

func (a *attributes) http(h *event.HTTP) {
	a.str(httpMethod, h.Method)
	a.str(urlPath, h.Path)
	a.num(httpStatus, int64(h.Status))
}

func (a *attributes) workload(w *event.Workload) {
	a.str(k8sPod, w.Pod)
	a.str(k8sNamespace, w.Namespace)
	a.str(k8sContainer, w.Container)
}

// take moves the attributes, sorted, to the end of list.
func (a *attributes) take(list timeline.Attributes) timeline.Attributes {
	for set := a.set; set != 0; set &= set - 1 {
		list = append(list, a.vals[bits.TrailingZeros64(set)])
	}
	a.set = 0
	return list
}

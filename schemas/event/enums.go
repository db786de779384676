package event

import "fmt"

// Kind says what an event reports and which payload it carries.
type Kind uint8

// Kinds, in the order of the design. The numbers are on the wire: append only.
const (
	KindNone          Kind = iota
	KindEdgeRequest        // *EdgeRequest: one request in a load balancer's log
	KindFlow               // *Flow: packets of one connection with a verdict
	KindHTTPFlow           // *HTTPFlow: one HTTP message seen by the proxy
	KindDNS                // *DNS: one lookup
	KindPolicyVerdict      // *Flow: a network policy decided
	KindSocketOpen         // *Socket: connect or accept
	KindSocketOwner        // *Socket: the process that uses a socket is known
	KindSocketClose        // *Socket: the end, with final statistics
	KindExchange           // *Exchange: one request and its response on a socket
	KindBurst              // *Exchange: bytes out and in on an opaque connection
	KindHTTPHead           // *Exchange: a request or response head alone
	KindTLSHello           // *TLSHello: a ClientHello with its server name
	KindProcessExec        // *Process
	KindProcessExit        // *Process
	KindSyscall            // *Syscall: kprobe, tracepoint, LSM or uprobe
	KindEnforcement        // *Syscall: one on which the kernel acted
	KindSpan               // *Span
	KindSpanLog            // *SpanLog
	KindPod                // *Pod
	KindService            // *Service
	KindLoss               // *Loss
	KindClock              // *Clock
	KindPeerTrace          // derived: the other end of a connection knows the trace
	KindAlias              // derived: two trace ids are one request
	kindCount
)

var kindNames = [kindCount]string{
	"", "edge_request", "flow", "http_flow", "dns", "policy_verdict", "socket_open", "socket_owner", "socket_close",
	"exchange", "burst", "http_head", "tls_hello", "process_exec", "process_exit", "syscall", "enforcement",
	"span", "span_log", "pod", "service", "loss", "clock", "peer_trace", "alias",
}

// Control reports whether events of the kind steer the engine and are no
// evidence themselves; their fate is "control".
func (k Kind) Control() bool { return k >= KindPod && k < kindCount }

// Source is where an event came from. The order is the source rank: among
// events of one time, a smaller source is decided first.
type Source uint8

// Sources. The numbers are on the wire: append only.
const (
	SourceUnknown  Source = iota
	SourceK8s             // Kubernetes objects
	SourceSocket          // Sennit's own eBPF shim
	SourceTetragon        // Tetragon
	SourceHubble          // Hubble
	SourceOTLP            // OpenTelemetry
	SourceGCP             // Google Cloud logs
	sourceCount
)

// Sources is the number of sources, for tables indexed by one.
const Sources = int(sourceCount)

var sourceNames = [sourceCount]string{"unknown", "k8s", "socket", "tetragon", "hubble", "otlp", "gcp"}

// Proto is an IP protocol number.
type Proto uint8

// The protocols that have ports, and ICMP.
const (
	ProtoNone   Proto = 0
	ProtoICMP   Proto = 1
	ProtoTCP    Proto = 6
	ProtoUDP    Proto = 17
	ProtoICMPv6 Proto = 58
	ProtoSCTP   Proto = 132
)

// Verdict is what was decided about a packet, a request or a call.
type Verdict uint8

// Verdicts, Hubble's words where it has one.
const (
	VerdictUnknown Verdict = iota
	VerdictForwarded
	VerdictDropped // by policy or by the datapath: DropReason says which
	VerdictError
	VerdictAudit
	VerdictRedirected
	VerdictTraced
	VerdictTranslated
	VerdictReset // the connection was refused or reset
	verdictCount
)

var verdictNames = [verdictCount]string{
	"", "forwarded", "dropped", "error", "audit", "redirected", "traced", "translated", "reset",
}

// Denied reports whether the verdict stopped the traffic.
func (v Verdict) Denied() bool { return v == VerdictDropped || v == VerdictReset }

// Role is the side of a connection an observer sat on.
type Role uint8

// Roles.
const (
	RoleUnknown Role = iota
	RoleClient       // opened the connection
	RoleServer       // accepted it
	roleCount
)

var roleNames = [roleCount]string{"", "client", "server"}

// SpanKind is OpenTelemetry's span kind.
type SpanKind uint8

// Span kinds, with OpenTelemetry's numbers.
const (
	SpanKindUnspecified SpanKind = iota
	SpanKindInternal
	SpanKindServer
	SpanKindClient
	SpanKindProducer
	SpanKindConsumer
	spanKindCount
)

var spanKindNames = [spanKindCount]string{"", "internal", "server", "client", "producer", "consumer"}

// Stage is what a span means in an agent's run, whatever framework wrote it.
type Stage uint8

// Stages: the five of the design, and the three shapes that look like one of
// them but must not be counted as one.
const (
	StageNone      Stage = iota
	StageAgent           // an agent, workflow or node at work
	StageModel           // one call of a model
	StageTool            // one use of a tool
	StageHTTP            // an HTTP or RPC client or server span
	StageRetrieval       // retrieval, memory or a guardrail
	StageHandoff         // transfer_to_agent: work passes to another agent
	StageToolGroup       // an umbrella over tools called in one turn
	stageCount
)

var stageNames = [stageCount]string{"", "agent", "model", "tool", "http", "retrieval", "handoff", "tool_group"}

// Status is how something ended.
type Status uint8

// Statuses. Unset counts as ok.
const (
	StatusUnset Status = iota
	StatusOK
	StatusError
	StatusDenied
	StatusKilled
	statusCount
)

var statusNames = [statusCount]string{"", "ok", "error", "denied", "killed"}

// Proof says how the workload of an event is known.
type Proof uint8

// Proofs, weakest first.
const (
	ProofClaimed Proof = iota // the sender says so
	ProofNode                 // the node's own observer says so
	ProofSocket               // proven by the socket it arrived on
	proofCount
)

var proofNames = [proofCount]string{"claimed", "node", "socket"}

func (k Kind) String() string     { return nameOf(kindNames[:], uint8(k)) }
func (s Source) String() string   { return nameOf(sourceNames[:], uint8(s)) }
func (v Verdict) String() string  { return nameOf(verdictNames[:], uint8(v)) }
func (r Role) String() string     { return nameOf(roleNames[:], uint8(r)) }
func (k SpanKind) String() string { return nameOf(spanKindNames[:], uint8(k)) }
func (s Stage) String() string    { return nameOf(stageNames[:], uint8(s)) }
func (s Status) String() string   { return nameOf(statusNames[:], uint8(s)) }
func (p Proof) String() string    { return nameOf(proofNames[:], uint8(p)) }

// String returns the protocol's usual name, else its number.
func (p Proto) String() string { return protoNames[p] }

// protoNames are made once: hot paths write protocols.
var protoNames = func() (names [256]string) {
	for i := range names {
		names[i] = fmt.Sprintf("ip-%d", i)
	}
	names[ProtoNone] = ""
	names[ProtoICMP] = "icmp"
	names[ProtoTCP] = "tcp"
	names[ProtoUDP] = "udp"
	names[ProtoICMPv6] = "icmpv6"
	names[ProtoSCTP] = "sctp"
	return names
}()

func nameOf(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("unknown-%d", i)
}

// MarshalText renders the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalText renders the name.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText renders the name.
func (p Proto) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// MarshalText renders the name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalText renders the name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// MarshalText renders the name.
func (k SpanKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalText renders the name.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText renders the name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText renders the name.
func (p Proof) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name.
func (k *Kind) UnmarshalText(b []byte) error { return parseName(kindNames[:], (*uint8)(k), b, "kind") }

// UnmarshalText reads the name.
func (s *Source) UnmarshalText(b []byte) error {
	return parseName(sourceNames[:], (*uint8)(s), b, "source")
}

// UnmarshalText reads the name.
func (v *Verdict) UnmarshalText(b []byte) error {
	return parseName(verdictNames[:], (*uint8)(v), b, "verdict")
}

// UnmarshalText reads the name.
func (r *Role) UnmarshalText(b []byte) error { return parseName(roleNames[:], (*uint8)(r), b, "role") }

// UnmarshalText reads the name.
func (k *SpanKind) UnmarshalText(b []byte) error {
	return parseName(spanKindNames[:], (*uint8)(k), b, "span kind")
}

// UnmarshalText reads the name.
func (s *Stage) UnmarshalText(b []byte) error {
	return parseName(stageNames[:], (*uint8)(s), b, "stage")
}

// UnmarshalText reads the name.
func (s *Status) UnmarshalText(b []byte) error {
	return parseName(statusNames[:], (*uint8)(s), b, "status")
}

// UnmarshalText reads the name.
func (p *Proof) UnmarshalText(b []byte) error {
	return parseName(proofNames[:], (*uint8)(p), b, "proof")
}

// UnmarshalText reads the name, or "ip-" and the number.
func (p *Proto) UnmarshalText(b []byte) error {
	for _, known := range [...]Proto{ProtoTCP, ProtoUDP, ProtoNone, ProtoICMP, ProtoICMPv6, ProtoSCTP} {
		if protoNames[known] == string(b) {
			*p = known
			return nil
		}
	}
	if len(b) > 3 && len(b) <= 6 && string(b[:3]) == "ip-" {
		n := 0
		for _, c := range b[3:] {
			if c < '0' || c > '9' {
				n = 256
				break
			}
			n = n*10 + int(c-'0')
		}
		if n < 256 {
			*p = Proto(n)
			return nil
		}
	}
	return fmt.Errorf("unknown protocol %q", b)
}

func parseName(names []string, dst *uint8, b []byte, what string) error {
	for i, n := range names {
		if n == string(b) {
			*dst = uint8(i)
			return nil
		}
	}
	return fmt.Errorf("unknown %s %q", what, b)
}

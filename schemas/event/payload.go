package event

import "net/netip"

// Workload is where code runs. A source fills what it knows; the rest is found
// by the processor from Pod events.
type Workload struct {
	Cluster   string `json:"cluster,omitzero"`
	Namespace string `json:"namespace,omitzero"`
	Pod       string `json:"pod,omitzero"`
	PodUID    string `json:"pod_uid,omitzero"`
	Container string `json:"container,omitzero"`
	Node      string `json:"node,omitzero"`
}

// TraceContext is what was seen on the wire (or in an environment): the trace
// and the span that made the call. Format is "traceparent", "cloud", "b3",
// "hubble", "mcp" or "env".
type TraceContext struct {
	TraceID TraceID `json:"trace_id,omitzero"`
	SpanID  SpanID  `json:"span_id,omitzero"`
	Format  string  `json:"format,omitzero"`
}

// HTTP is the head of a request and the status of its response. Path has no
// query unless redaction was switched off for it.
type HTTP struct {
	Method string `json:"method,omitzero"`
	Host   string `json:"host,omitzero"`
	Path   string `json:"path,omitzero"`
	Status uint16 `json:"status,omitzero"`
}

// Usage is the token count of model calls.
type Usage struct {
	Input  uint64 `json:"input,omitzero"`
	Output uint64 `json:"output,omitzero"`
}

// Hashes are keyed hashes of canonical forms of a command or of a tool's
// arguments (package redact); unused places are zero.
type Hashes [4]uint64

// EdgeRequest is one request in a load balancer's log, with the decision of
// the web application firewall in front of it. Event.Time is the end.
type EdgeRequest struct {
	Trace         TraceContext `json:"trace,omitzero"`
	Start         Time         `json:"start,omitzero"`
	HTTP          HTTP         `json:"http,omitzero"`
	Client        netip.Addr   `json:"client,omitzero"`
	Backend       netip.Addr   `json:"backend,omitzero"` // zero when no backend was asked
	BackendName   string       `json:"backend_name,omitzero"`
	RequestBytes  uint64       `json:"request_bytes,omitzero,string"`
	ResponseBytes uint64       `json:"response_bytes,omitzero,string"`
	StatusDetails string       `json:"status_details,omitzero"`
	// WAF is the enforced security policy, its outcome (Forwarded or Dropped)
	// and the expressions that matched, joined by commas.
	WAF        string  `json:"waf,omitzero"`
	WAFOutcome Verdict `json:"waf_outcome,omitzero"`
	WAFRules   string  `json:"waf_rules,omitzero"`
}

// Flow is a statement about packets of one connection at one observation
// point. Src of the tuple sent the packet; Reply tells whether that was the
// server. A socket-translation flow has a cookie and no source port.
type Flow struct {
	Tuple Tuple `json:"tuple,omitzero"`
	// Translated is the source after SNAT where the observer knows it.
	Translated  netip.AddrPort `json:"translated,omitzero"`
	Reply       bool           `json:"reply,omitzero"`
	Verdict     Verdict        `json:"verdict,omitzero"`
	DropReason  string         `json:"drop_reason,omitzero"`
	Policy      string         `json:"policy,omitzero"` // namespace/name of the first policy named
	Egress      bool           `json:"egress,omitzero"`
	Point       string         `json:"point,omitzero"` // observation point, lower case ("to-endpoint")
	Flags       string         `json:"flags,omitzero"` // TCP flags, "SYN,ACK"
	Cookie      SocketCookie   `json:"socket_cookie,omitzero"`
	Cgroup      CgroupID       `json:"cgroup_id,omitzero"`
	SrcWorkload Workload       `json:"src_workload,omitzero"`
	DstWorkload Workload       `json:"dst_workload,omitzero"`
	SrcName     string         `json:"src_name,omitzero"` // first DNS name known for the address
	DstName     string         `json:"dst_name,omitzero"`
	Count       uint32         `json:"count,omitzero"` // how many connections or packets it stands for, 0 = 1
	Start       Time           `json:"start,omitzero"` // of an aggregate (VPC flow)
	Bytes       uint64         `json:"bytes,omitzero,string"`
	Packets     uint64         `json:"packets,omitzero,string"`
}

// HTTPFlow is one HTTP message that the proxy saw. On a response the tuple is
// already turned round, so that Src is always the client.
type HTTPFlow struct {
	Tuple       Tuple        `json:"tuple,omitzero"`
	Trace       TraceContext `json:"trace,omitzero"`
	HTTP        HTTP         `json:"http,omitzero"`
	RequestID   string       `json:"request_id,omitzero"`
	Response    bool         `json:"response,omitzero"`
	LatencyNS   uint64       `json:"latency_ns,omitzero,string"`
	Verdict     Verdict      `json:"verdict,omitzero"`
	Egress      bool         `json:"egress,omitzero"`
	SrcWorkload Workload     `json:"src_workload,omitzero"`
	DstWorkload Workload     `json:"dst_workload,omitzero"`
}

// DNS is one lookup, or its answer. Src of the tuple is the asker.
type DNS struct {
	Tuple    Tuple        `json:"tuple,omitzero"`
	Query    string       `json:"query,omitzero"` // without the trailing dot
	Type     string       `json:"type,omitzero"`
	RCode    uint16       `json:"rcode,omitzero"`
	Response bool         `json:"response,omitzero"`
	Answers  []netip.Addr `json:"answers,omitzero"`
	Verdict  Verdict      `json:"verdict,omitzero"`
	Workload Workload     `json:"workload,omitzero"`
	Latency  uint64       `json:"latency_ns,omitzero,string"`
}

// Socket is the bridge record of the eBPF shim: one socket under every name
// that some source uses for it. Kinds socket_open, socket_owner and
// socket_close carry the same fields; a close has the statistics.
type Socket struct {
	Cookie SocketCookie `json:"socket_cookie"`
	Addr   SockAddr     `json:"sock_addr,omitzero"`
	Netns  uint32       `json:"netns,omitzero"`
	Cgroup CgroupID     `json:"cgroup_id,omitzero"`
	// Tuple is local end first (Src) whichever side opened the connection.
	Tuple Tuple `json:"tuple,omitzero"`
	// Original is the peer the process asked for when it was translated (a
	// ClusterIP, say), zero otherwise.
	Original  netip.AddrPort `json:"original,omitzero"`
	Role      Role           `json:"role,omitzero"`
	Process   ProcessRef     `json:"process,omitzero"`
	TID       uint32         `json:"tid,omitzero"`
	Goroutine uint64         `json:"goroutine,omitzero,string"`
	Workload  Workload       `json:"workload,omitzero"`
	Opened    Time           `json:"opened,omitzero"`
	Verdict   Verdict        `json:"verdict,omitzero"` // reset, when it ended so or never opened
	BytesOut  uint64         `json:"bytes_out,omitzero,string"`
	BytesIn   uint64         `json:"bytes_in,omitzero,string"`
	Retrans   uint32         `json:"retransmits,omitzero"`
	SRTTUS    uint32         `json:"srtt_us,omitzero"`
}

// Exchange is one request and its response whose boundaries were really seen;
// Event.Time is the end. As a burst it is bytes out and in on an opaque
// connection; as a head it is one request or response head.
type Exchange struct {
	Cookie SocketCookie `json:"socket_cookie"`
	// Tuple is local end first, as in Socket.
	Tuple Tuple `json:"tuple,omitzero"`
	Role  Role  `json:"role,omitzero"`
	// Ordinal counts the exchanges of the connection from 1, in order of their
	// requests; StreamID is HTTP/2's. One of them is 0.
	Ordinal  uint32 `json:"ordinal,omitzero"`
	StreamID uint32 `json:"stream_id,omitzero"`
	Protocol string `json:"protocol,omitzero"` // "http/1.1", "h2"
	// Start is the first byte of the request, FirstByte the first of the
	// response.
	Start     Time         `json:"start,omitzero"`
	FirstByte Time         `json:"first_byte,omitzero"`
	BytesOut  uint64       `json:"bytes_out,omitzero,string"`
	BytesIn   uint64       `json:"bytes_in,omitzero,string"`
	HTTP      HTTP         `json:"http,omitzero"`
	Trace     TraceContext `json:"trace,omitzero"`
	RequestID string       `json:"request_id,omitzero"`
	Process   ProcessRef   `json:"process,omitzero"`
	// TID is the thread that wrote or read the request, numbered as Process is: by the
	// node, not within a container. What spans call thread.id is a number of the
	// program's runtime, and is compared with nothing.
	TID        uint32   `json:"tid,omitzero"`
	Goroutine  uint64   `json:"goroutine,omitzero,string"`
	ParentGo   uint64   `json:"parent_goroutine,omitzero,string"`
	ResponseID string   `json:"response_id,omitzero"`
	Model      string   `json:"model,omitzero"`
	Usage      Usage    `json:"usage,omitzero"`
	Workload   Workload `json:"workload,omitzero"`
	Response   bool     `json:"response,omitzero"` // of a head: it is a response's
	// ResponseModel is the model that answered, which may be a version of Model,
	// and Finish the first finish reason, lower case.
	ResponseModel string `json:"response_model,omitzero"`
	Finish        string `json:"finish,omitzero"`
	// Degraded says that a part of it was not seen: headers may be missing, and
	// sizes may be too small.
	Degraded bool `json:"degraded,omitzero"`
}

// TLSHello is a ClientHello seen on a connection.
type TLSHello struct {
	Cookie SocketCookie `json:"socket_cookie"`
	Tuple  Tuple        `json:"tuple,omitzero"`
	SNI    string       `json:"sni,omitzero"`
	ALPN   string       `json:"alpn,omitzero"`
}

// Process is the execution of a binary (process_exec), or its end
// (process_exit).
type Process struct {
	ExecID       ExecID     `json:"exec_id,omitzero"`
	ParentExecID ExecID     `json:"parent_exec_id,omitzero"`
	Process      ProcessRef `json:"process,omitzero"`
	Parent       ProcessRef `json:"parent,omitzero"`
	TID          uint32     `json:"tid,omitzero"`
	// ParentTID is the thread that forked it, where the observer knows it.
	ParentTID uint32 `json:"parent_tid,omitzero"`
	Binary    string `json:"binary,omitzero"`
	// Args are empty unless redaction was switched off for command lines.
	Args   string `json:"args,omitzero"`
	Hashes Hashes `json:"hashes,omitzero"`
	CWD    string `json:"cwd,omitzero"`
	UID    uint32 `json:"uid,omitzero"`
	// Trace is a TRACEPARENT found in the environment.
	Trace     TraceContext `json:"trace,omitzero"`
	Cgroup    CgroupID     `json:"cgroup_id,omitzero"`
	Container string       `json:"container_id,omitzero"` // prefix of the id, no runtime://
	Workload  Workload     `json:"workload,omitzero"`
	// Entered is true for a process that came in from outside the container
	// (kubectl exec, nsenter).
	Entered  bool   `json:"entered,omitzero"`
	Started  Time   `json:"started,omitzero"`
	ExitCode uint32 `json:"exit_code,omitzero"`
	Signal   string `json:"signal,omitzero"`
	// Inventory is true for a process that was running when the observer began:
	// it did not start at Event.Time.
	Inventory bool `json:"inventory,omitzero"`
}

// Syscall is one hook of the kernel or of a binary that fired, with what it was
// about; as kind enforcement, one on which the observer acted.
type Syscall struct {
	ExecID       ExecID     `json:"exec_id,omitzero"`
	ParentExecID ExecID     `json:"parent_exec_id,omitzero"`
	Process      ProcessRef `json:"process,omitzero"`
	TID          uint32     `json:"tid,omitzero"`
	Binary       string     `json:"binary,omitzero"`
	Hook         string     `json:"hook,omitzero"`     // "kprobe", "tracepoint", "lsm", "uprobe", "usdt", "loader"
	Function     string     `json:"function,omitzero"` // "tcp_connect", "security_file_permission"
	SockAddr     SockAddr   `json:"sock_addr,omitzero"`
	// Tuple is local end first when the hook is about a socket.
	Tuple    Tuple    `json:"tuple,omitzero"`
	File     string   `json:"file,omitzero"`
	Policy   string   `json:"policy,omitzero"`
	Action   string   `json:"action,omitzero"` // lower case, without its prefix: "post", "sigkill"
	Return   int64    `json:"return,omitzero,string"`
	Message  string   `json:"message,omitzero"`
	Workload Workload `json:"workload,omitzero"`
}

// Span is one OpenTelemetry span, read through the GenAI alias table.
// Event.Time is its end.
type Span struct {
	TraceID  TraceID  `json:"trace_id"`
	SpanID   SpanID   `json:"span_id"`
	ParentID SpanID   `json:"parent_id,omitzero"`
	Kind     SpanKind `json:"span_kind,omitzero"`
	Stage    Stage    `json:"stage,omitzero"`
	Status   Status   `json:"status,omitzero"`
	Name     string   `json:"name,omitzero"`
	Scope    string   `json:"scope,omitzero"`
	Service  string   `json:"service,omitzero"`
	Start    Time     `json:"start,omitzero"`
	// PID is the resource's process.pid, of the container's own pid namespace.
	PID      uint32   `json:"pid,omitzero"`
	Workload Workload `json:"workload,omitzero"`
	Proof    Proof    `json:"proof,omitzero"`
	// Peer and Local are network.peer.* and network.local.*; Server is
	// server.address and port, a name as often as an address.
	Peer       netip.AddrPort `json:"peer,omitzero"`
	Local      netip.AddrPort `json:"local,omitzero"`
	Server     string         `json:"server,omitzero"`
	ServerPort uint16         `json:"server_port,omitzero"`
	Client     netip.Addr     `json:"client,omitzero"`
	HTTP       HTTP           `json:"http,omitzero"`
	Protocol   string         `json:"protocol,omitzero"` // network.protocol.version
	// Cookie is sennit.socket_cookie, the optional attribute of a client span.
	Cookie SocketCookie `json:"socket_cookie,omitzero"`
	GenAI  GenAI        `json:"gen_ai,omitzero"`
	Error  string       `json:"error,omitzero"` // error.type or exception.type, never its text
	Links  []SpanLink   `json:"links,omitzero"`
}

// SpanLink is a link to another span.
type SpanLink struct {
	TraceID TraceID `json:"trace_id"`
	SpanID  SpanID  `json:"span_id"`
}

// GenAI is what a span says about an agent's work, in OpenTelemetry's terms.
type GenAI struct {
	Operation    string `json:"operation,omitzero"`
	Provider     string `json:"provider,omitzero"`
	Agent        string `json:"agent,omitzero"`
	Model        string `json:"model,omitzero"`
	Tool         string `json:"tool,omitzero"`
	ToolType     string `json:"tool_type,omitzero"`
	ToolCallID   string `json:"tool_call_id,omitzero"`
	ToolHashes   Hashes `json:"tool_hashes,omitzero"`
	ToolArgs     string `json:"tool_args,omitzero"` // empty unless switched on
	HandoffTo    string `json:"handoff_to,omitzero"`
	Conversation string `json:"conversation,omitzero"`
	Invocation   string `json:"invocation,omitzero"`
	ResponseID   string `json:"response_id,omitzero"`
	Finish       string `json:"finish,omitzero"` // first finish reason, lower case
	Usage        Usage  `json:"usage,omitzero"`
	Framework    string `json:"framework,omitzero"` // "adk", "otel", "openinference", "openllmetry", "mcp"
}

// SpanLog is a log record or span event that belongs to a span.
type SpanLog struct {
	TraceID  TraceID  `json:"trace_id,omitzero"`
	SpanID   SpanID   `json:"span_id,omitzero"`
	Name     string   `json:"name,omitzero"`
	Severity string   `json:"severity,omitzero"`
	Service  string   `json:"service,omitzero"`
	Workload Workload `json:"workload,omitzero"`
}

// Pod is a pod during an interval: everything that holds from ValidFrom until
// ValidTo (zero: still).
type Pod struct {
	Workload       Workload     `json:"workload"`
	IPs            []netip.Addr `json:"ips,omitzero"`
	HostNetwork    bool         `json:"host_network,omitzero"`
	Containers     []Container  `json:"containers,omitzero"`
	Owner          string       `json:"owner,omitzero"` // "Deployment/invoice-agent"
	ServiceAccount string       `json:"service_account,omitzero"`
	ValidFrom      Time         `json:"valid_from,omitzero"`
	ValidTo        Time         `json:"valid_to,omitzero"`
	Cgroup         CgroupID     `json:"cgroup_id,omitzero"`
}

// Container is one container of a pod; ID has no runtime:// prefix.
type Container struct {
	Name string `json:"name"`
	ID   string `json:"id,omitzero"`
}

// Service is a Kubernetes service during an interval.
type Service struct {
	Namespace string           `json:"namespace,omitzero"`
	Name      string           `json:"name"`
	IPs       []netip.Addr     `json:"ips,omitzero"`
	Ports     []uint16         `json:"ports,omitzero"`
	Endpoints []netip.AddrPort `json:"endpoints,omitzero"`
	ValidFrom Time             `json:"valid_from,omitzero"`
	ValidTo   Time             `json:"valid_to,omitzero"`
}

// Loss says that something is missing: Count events of a source (0: unknown
// how many) from From to To, on Event.Node. Where an observer tells the two
// ends apart, the first comes with From alone (lost from then on, until further
// notice) and the second, of the same Of and Scope, with To alone.
type Loss struct {
	Of     Source `json:"of"`
	Count  uint64 `json:"count,omitzero,string"`
	From   Time   `json:"from,omitzero"`
	To     Time   `json:"to,omitzero"`
	Reason string `json:"reason,omitzero"`
	Scope  string `json:"scope,omitzero"` // a cgroup or ring, where it is not the whole node
}

// Clock is a heartbeat of one source of one node: what its clocks showed, and
// up to which event time everything has been sent.
type Clock struct {
	Of        Source `json:"of"`
	BootNS    uint64 `json:"boot_ns,omitzero,string"`
	Wall      Time   `json:"wall,omitzero"`
	Watermark Time   `json:"watermark,omitzero"`
	// Idle announces that nothing will come until further notice.
	Idle bool `json:"idle,omitzero"`
}

// PeerTrace is derived by the processor: the other end of a connection belongs
// to this trace.
type PeerTrace struct {
	Cookie   SocketCookie `json:"socket_cookie"`
	Ordinal  uint32       `json:"ordinal,omitzero"`
	StreamID uint32       `json:"stream_id,omitzero"`
	Trace    TraceContext `json:"trace"`
	Method   string       `json:"method"` // the rung on which the other end knows it
}

// Alias is derived by the processor: two trace ids belong to one request.
type Alias struct {
	Winner TraceID `json:"winner"`
	Loser  TraceID `json:"loser"`
	Method string  `json:"method"`
}

package timeline

// Methods of joining, the rungs of the ladder. Exact ones rest on an identifier
// that was equal within its interval; the others are inference.
const (
	TraceContext = "trace_context"
	SpanPeer     = "span_peer"
	SpanSocket   = "span_socket"
	SocketCookie = "socket_cookie"
	SockAddress  = "sock_address"
	FiveTuple    = "five_tuple"
	ExecLineage  = "exec_lineage"
	ResponseID   = "response_id"
	Goroutine    = "goroutine"

	ToolCommand     = "tool_command"
	Usage           = "usage"
	GoroutineParent = "goroutine_parent"
	Thread          = "thread"
	Assignment      = "assignment"
	ToolWindow      = "tool_window"
	DNSName         = "dns_name"
	EdgeWindow      = "edge_window"
)

// ExactMethods are the exact rungs, strongest first.
var ExactMethods = []string{
	TraceContext, SpanPeer, SpanSocket, ResponseID, Goroutine, SocketCookie, SockAddress, FiveTuple, ExecLineage,
}

// InferredMethods are the others.
var InferredMethods = []string{
	ToolCommand, Usage, GoroutineParent, Thread, Assignment, ToolWindow, DNSName, EdgeWindow,
}

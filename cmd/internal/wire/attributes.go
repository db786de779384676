package wire

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// facts are the columns of an event that every output names alike.
type facts struct {
	start  event.Time
	pid    uint32
	cookie event.SocketCookie
	attrs  timeline.Attributes
}

// factsOf reads them from an event's payload, under the fixed attribute names
// of the contract (OpenTelemetry's where it has one), the same that steps have.
// The local end of a flow is the one that sent.
func factsOf(e *event.Event) facts {
	f := facts{start: e.Time}
	switch p := e.Payload.(type) {
	case *event.EdgeRequest:
		f.begin(p.Start)
		f.http(&p.HTTP)
		f.addr("client.address", p.Client)
		f.addr("network.peer.address", p.Backend)
		f.str("gcp.armor.policy", p.WAF)
		f.str("gcp.armor.outcome", p.WAFOutcome.String())
	case *event.Flow:
		f.begin(p.Start)
		f.cookie = p.Cookie
		f.ends(p.Tuple)
		f.str("hubble.verdict", p.Verdict.String())
		f.str("hubble.drop_reason", p.DropReason)
		f.str("network.policy", p.Policy)
		f.str("server.address", p.DstName)
		f.workload(&p.SrcWorkload)
	case *event.HTTPFlow:
		f.ends(p.Tuple)
		f.http(&p.HTTP)
		f.workload(&p.SrcWorkload)
	case *event.DNS:
		f.ends(p.Tuple)
		f.str("dns.question.name", p.Query)
		f.workload(&p.Workload)
	case *event.Socket:
		f.begin(p.Opened)
		f.cookie, f.pid = p.Cookie, p.Process.PID
		f.ends(p.Tuple)
		f.workload(&p.Workload)
	case *event.Exchange:
		f.begin(p.Start)
		f.cookie, f.pid = p.Cookie, p.Process.PID
		f.ends(p.Tuple)
		f.http(&p.HTTP)
		f.num("http2.stream_id", int64(p.StreamID))
		f.num("http1.ordinal", int64(p.Ordinal))
		f.str("network.protocol.name", p.Protocol)
		f.str("observed.start", p.Start.String())
		f.str("observed.end", e.Time.String())
		f.str("gen_ai.request.model", p.Model)
		f.str("gen_ai.response.finish_reasons", p.Finish)
		f.str("gen_ai.response.id", p.ResponseID)
		f.str("gen_ai.response.model", p.ResponseModel)
		f.workload(&p.Workload)
	case *event.TLSHello:
		f.cookie = p.Cookie
		f.ends(p.Tuple)
		f.str("tls.client.server_name", p.SNI)
	case *event.Process:
		f.pid = p.Process.PID
		f.str("process.executable.path", p.Binary)
		f.str("process.command_args", p.Args)
		f.str("process.working_directory", p.CWD)
		f.str("container.id", p.Container)
		f.workload(&p.Workload)
	case *event.Syscall:
		f.pid = p.Process.PID
		f.str("process.executable.path", p.Binary)
		f.str("code.function.name", p.Function)
		f.str("file.path", p.File)
		f.str("tetragon.policy", p.Policy)
		f.str("tetragon.action", p.Action)
		f.ends(p.Tuple)
		f.workload(&p.Workload)
	case *event.Span:
		f.begin(p.Start)
		f.str("server.address", p.Server) // the first of a name wins
		f.http(&p.HTTP)
		f.end("network.local", p.Local)
		f.end("network.peer", p.Peer)
		f.str("service.name", p.Service)
		f.str("gen_ai.operation.name", p.GenAI.Operation)
		f.str("gen_ai.agent.name", p.GenAI.Agent)
		f.str("gen_ai.request.model", p.GenAI.Model)
		f.str("gen_ai.tool.name", p.GenAI.Tool)
		f.str("gen_ai.response.id", p.GenAI.ResponseID)
		f.workload(&p.Workload)
	case *event.SpanLog:
		f.str("service.name", p.Service)
		f.workload(&p.Workload)
	}
	f.num("process.pid", int64(f.pid))
	slices.SortStableFunc(f.attrs, func(a, b timeline.Attribute) int { return strings.Compare(a.Key, b.Key) })
	f.attrs = slices.CompactFunc(f.attrs, func(a, b timeline.Attribute) bool { return a.Key == b.Key })
	return f
}

func (f *facts) begin(t event.Time) {
	if !t.IsZero() {
		f.start = t
	}
}

func (f *facts) str(key, value string) {
	if value != "" {
		f.attrs = append(f.attrs, timeline.Attribute{Key: key, Str: value})
	}
}

func (f *facts) num(key string, value int64) {
	if value != 0 {
		f.attrs = append(f.attrs, timeline.Attribute{Key: key, Num: value, IsNum: true})
	}
}

func (f *facts) addr(key string, a netip.Addr) {
	if a.IsValid() {
		f.str(key, a.String())
	}
}

func (f *facts) end(prefix string, a netip.AddrPort) {
	f.addr(prefix+".address", a.Addr())
	f.num(prefix+".port", int64(a.Port()))
}

func (f *facts) ends(t event.Tuple) {
	f.end("network.local", t.Src)
	f.end("network.peer", t.Dst)
}

func (f *facts) http(h *event.HTTP) {
	f.str("http.request.method", h.Method)
	f.str("url.path", h.Path)
	f.str("server.address", h.Host)
	f.num("http.response.status_code", int64(h.Status))
}

func (f *facts) workload(w *event.Workload) {
	f.str("k8s.namespace.name", w.Namespace)
	f.str("k8s.pod.name", w.Pod)
	f.str("k8s.container.name", w.Container)
}

package stitch

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// attributes collects a step's attributes; the first word on a key counts.
type attributes struct{ list timeline.Attributes }

func (a *attributes) has(key string) bool {
	return slices.ContainsFunc(a.list, func(x timeline.Attribute) bool { return x.Key == key })
}

func (a *attributes) str(key, v string) {
	if v != "" && !a.has(key) {
		a.list = append(a.list, timeline.Attribute{Key: key, Str: v})
	}
}

func (a *attributes) num(key string, v int64) {
	if v != 0 && !a.has(key) {
		a.list = append(a.list, timeline.Attribute{Key: key, Num: v, IsNum: true})
	}
}

func (a *attributes) end(prefix string, p netip.AddrPort) {
	if p.Addr().IsValid() {
		a.str(prefix+".address", p.Addr().String())
		a.num(prefix+".port", int64(p.Port()))
	}
}

func (a *attributes) sorted() timeline.Attributes {
	slices.SortFunc(a.list, func(x, y timeline.Attribute) int { return strings.Compare(x.Key, y.Key) })
	return a.list
}

func (a *attributes) http(h *event.HTTP) {
	a.str("http.request.method", h.Method)
	a.str("url.path", h.Path)
	a.num("http.response.status_code", int64(h.Status))
}

func (a *attributes) workload(w *event.Workload) {
	a.str("k8s.pod.name", w.Pod)
	a.str("k8s.namespace.name", w.Namespace)
	a.str("k8s.container.name", w.Container)
}

// fill gives the step its layer, name, status and attributes from all views of
// it: the claim first, then what was observed.
func (m *maker) fill(f *forest, n int32, st *timeline.Step, a *attributes, agents []string) {
	nd := &f.nodes[n]
	if nd.span != nil {
		fillSpan(f, n, st, a, agents[n])
	}
	if nd.exchange != nil {
		fillExchange(f, nd, st, a)
	}
	if nd.span == nil && nd.exchange == nil {
		for i := nd.first; i != none; i = f.next[i] {
			fillEvent(f.rows[i].Event, st, a, i == nd.first)
		}
	}
}

func fillSpan(f *forest, n int32, st *timeline.Step, a *attributes, agent string) {
	for i := f.nodes[n].first; i != none; i = f.next[i] {
		s, ok := f.rows[i].Event.Payload.(*event.Span)
		if !ok {
			continue
		}
		a.http(&s.HTTP)
		a.str("server.address", s.Server)
		a.num("server.port", int64(s.ServerPort))
		a.str("service.name", s.Service)
		a.workload(&s.Workload)
		a.str("error.type", s.Error)
		g := &s.GenAI
		a.str("gen_ai.operation.name", g.Operation)
		a.str("gen_ai.provider.name", g.Provider)
		a.str("gen_ai.request.model", g.Model)
		a.str("gen_ai.tool.name", g.Tool)
		a.str("gen_ai.tool.type", g.ToolType)
		a.str("gen_ai.tool.call.id", g.ToolCallID)
		a.str("gen_ai.tool.call.arguments", g.ToolArgs)
		a.str("gen_ai.conversation.id", g.Conversation)
		a.str("gen_ai.response.id", g.ResponseID)
		a.str("gen_ai.response.finish_reasons", g.Finish)
	}
	s := f.nodes[n].span
	st.SpanID = s.SpanID.String()
	st.Name = s.Name
	st.Layer = layerOf(s)
	if st.Layer == timeline.LayerAgent || st.Layer == timeline.LayerModel || st.Layer == timeline.LayerTool {
		a.str("gen_ai.agent.name", agent)
	}
	if u := usageOf(f, n); s.Stage == event.StageModel {
		a.num("gen_ai.usage.input_tokens", int64(u.Input))
		a.num("gen_ai.usage.output_tokens", int64(u.Output))
	}
	if s.Stage == event.StageHandoff && s.GenAI.HandoffTo != "" {
		st.Name = "hand-off to " + s.GenAI.HandoffTo
	}
	if s.Kind == event.SpanKindServer || s.Kind == event.SpanKindClient {
		a.end("network.local", s.Local)
		a.end("network.peer", s.Peer)
	}
	st.Status = statusOf(s.Status, s.HTTP.Status)
}

// layerOf is the layer of a span. Hand-offs and umbrellas over tools are the
// agent's work and no use of a tool.
func layerOf(s *event.Span) timeline.Layer {
	switch s.Stage {
	case event.StageAgent, event.StageHandoff, event.StageToolGroup:
		return timeline.LayerAgent
	case event.StageModel:
		return timeline.LayerModel
	case event.StageTool, event.StageRetrieval:
		return timeline.LayerTool
	}
	switch {
	case s.Kind == event.SpanKindServer || s.Kind == event.SpanKindConsumer:
		return timeline.LayerServer
	case s.Stage == event.StageHTTP || s.Kind == event.SpanKindClient || s.Kind == event.SpanKindProducer:
		return timeline.LayerHTTP
	}
	return timeline.LayerAgent
}

func statusOf(s event.Status, code uint16) timeline.Status {
	switch {
	case s == event.StatusError || code >= 500:
		return timeline.Error
	case s == event.StatusDenied:
		return timeline.Denied
	case s == event.StatusKilled:
		return timeline.Killed
	}
	return timeline.OK
}

func fillExchange(f *forest, nd *node, st *timeline.Step, a *attributes) {
	x, e := nd.exchange, f.rows[nd.seen].Event
	a.str("observed.start", x.Start.String())
	a.str("observed.end", e.Time.String())
	a.end("network.local", x.Tuple.Src)
	a.end("network.peer", x.Tuple.Dst)
	a.num("http2.stream_id", int64(x.StreamID))
	a.num("http1.ordinal", int64(x.Ordinal))
	a.str("network.protocol.name", x.Protocol)
	a.http(&x.HTTP)
	a.str("server.address", x.HTTP.Host)
	a.str("gen_ai.response.id", x.ResponseID)
	a.str("gen_ai.request.model", x.Model)
	a.workload(&x.Workload)
	a.num("process.pid", int64(x.Process.PID))
	st.SocketCookie = x.Cookie.String()
	st.Node = e.Node
	if x.Process.PID != 0 {
		st.PID = x.Process.PID
	}
	if nd.span != nil {
		if st.Status == timeline.OK {
			st.Status = statusOf(event.StatusUnset, x.HTTP.Status)
		}
		return
	}
	st.Status = statusOf(event.StatusUnset, x.HTTP.Status)
	switch {
	case x.Role == event.RoleServer:
		st.Layer = timeline.LayerServer
	case x.Model != "":
		st.Layer = timeline.LayerModel
	default:
		st.Layer = timeline.LayerHTTP
	}
	st.Name = strings.TrimSpace(x.HTTP.Method + " " + x.HTTP.Path)
	if st.Name == "" {
		st.Name = "exchange with " + x.Tuple.Dst.String()
	}
}

// fillEvent describes evidence that has neither claim nor exchange.
func fillEvent(e *event.Event, st *timeline.Step, a *attributes, first bool) {
	switch p := e.Payload.(type) {
	case *event.EdgeRequest:
		st.Layer = timeline.LayerEdge
		st.Name = strings.TrimSpace(p.HTTP.Method + " " + p.HTTP.Path)
		st.Status = statusOf(event.StatusUnset, p.HTTP.Status)
		a.http(&p.HTTP)
		a.str("server.address", p.HTTP.Host)
		if p.Client.IsValid() {
			a.str("client.address", p.Client.String())
		}
		if p.Backend.IsValid() {
			a.str("network.peer.address", p.Backend.String())
		}
		a.str("gcp.load_balancer.status_details", p.StatusDetails)
		a.str("gcp.armor.policy", p.WAF)
		a.str("gcp.armor.outcome", p.WAFOutcome.String())
		a.str("gcp.armor.rules", p.WAFRules)
		if p.WAFOutcome.Denied() {
			st.Status = timeline.Denied
		}
		if !p.Trace.SpanID.IsZero() {
			st.SpanID = p.Trace.SpanID.String()
		}
	case *event.HTTPFlow:
		st.Layer = timeline.LayerHTTP
		if first {
			st.Name = strings.TrimSpace(p.HTTP.Method + " " + p.HTTP.Path)
		}
		a.http(&p.HTTP)
		a.str("server.address", p.HTTP.Host)
		a.end("network.local", p.Tuple.Src)
		a.end("network.peer", p.Tuple.Dst)
		if p.HTTP.Status >= 500 {
			st.Status = timeline.Error
		}
		if p.Verdict.Denied() {
			st.Status = timeline.Denied
		}
	case *event.Process:
		st.Layer = timeline.LayerProcess
		st.PID = max(st.PID, p.Process.PID)
		if e.Kind == event.KindProcessExit {
			a.num("process.exit.code", int64(p.ExitCode))
			a.str("process.exit.signal", p.Signal)
			switch {
			case p.Signal == "SIGKILL":
				st.Status = timeline.Killed
			case p.ExitCode != 0 || p.Signal != "":
				st.Status = timeline.Error
			}
			if first {
				st.Name = "exit"
			}
			return
		}
		st.Name = p.Binary
		a.num("process.pid", int64(p.Process.PID))
		a.str("process.executable.path", p.Binary)
		a.str("process.command_args", p.Args)
		a.str("process.working_directory", p.CWD)
		a.str("container.id", p.Container)
		a.workload(&p.Workload)
	case *event.Syscall:
		fillSyscall(e, p, st, a)
	case *event.Socket:
		fillSocket(e, p, st, a)
	case *event.Flow:
		fillFlow(e, p, st, a, first)
	case *event.DNS:
		st.Layer = timeline.LayerDNS
		st.Name = "lookup " + p.Query
		a.str("dns.question.name", p.Query)
	case *event.TLSHello:
		st.Layer = timeline.LayerNetwork
		st.Name = "TLS hello " + p.SNI
		a.str("tls.client.server_name", p.SNI)
	case *event.Exchange: // a head or a burst
		st.Layer = timeline.LayerNetwork
		st.Name = strings.ReplaceAll(e.Kind.String(), "_", " ")
		a.end("network.local", p.Tuple.Src)
		a.end("network.peer", p.Tuple.Dst)
	case *event.SpanLog:
		st.Layer = timeline.LayerAgent
		st.Name = "log " + p.Name
	}
}

func fillSyscall(e *event.Event, p *event.Syscall, st *timeline.Step, a *attributes) {
	st.Layer = timeline.LayerSyscall
	st.Name = p.Function
	if p.File != "" {
		st.Layer = timeline.LayerFile
		st.Name = p.Function + " " + p.File
		a.str("file.path", p.File)
	}
	if p.Tuple.Dst.IsValid() {
		st.Name = p.Function + " " + p.Tuple.Dst.String()
		a.end("network.local", p.Tuple.Src)
		a.end("network.peer", p.Tuple.Dst)
	}
	st.PID = p.Process.PID
	a.num("process.pid", int64(p.Process.PID))
	a.str("process.executable.path", p.Binary)
	a.str("tetragon.policy", p.Policy)
	a.str("tetragon.action", p.Action)
	a.workload(&p.Workload)
	if e.Kind == event.KindEnforcement {
		st.Status = timeline.Denied
		if p.Action == "sigkill" {
			st.Status = timeline.Killed
		}
	}
}

func fillSocket(e *event.Event, p *event.Socket, st *timeline.Step, a *attributes) {
	st.Layer = timeline.LayerNetwork
	if st.Name == "" {
		verb := "connect "
		if p.Role == event.RoleServer {
			verb = "accept "
		}
		st.Name = verb + p.Tuple.Dst.String()
	}
	a.end("network.local", p.Tuple.Src)
	a.end("network.peer", p.Tuple.Dst)
	a.num("process.pid", int64(p.Process.PID))
	if p.Process.PID != 0 {
		st.PID = p.Process.PID
	}
	if p.Original.IsValid() {
		a.str("network.original.address", p.Original.String())
	}
	if e.Kind == event.KindSocketClose {
		a.num("network.io.sent", int64(p.BytesOut))
		a.num("network.io.received", int64(p.BytesIn))
	}
	if p.Verdict.Denied() {
		st.Status = timeline.Error
	}
}

func fillFlow(e *event.Event, p *event.Flow, st *timeline.Step, a *attributes, first bool) {
	st.Layer = timeline.LayerNetwork
	if e.Kind == event.KindPolicyVerdict || p.Verdict.Denied() {
		st.Layer = timeline.LayerPolicy
	}
	if first {
		st.Name = p.Verdict.String() + " " + p.Tuple.Dst.String()
	}
	a.end("network.local", p.Tuple.Src)
	a.end("network.peer", p.Tuple.Dst)
	a.str("server.address", p.DstName)
	a.str("hubble.verdict", p.Verdict.String())
	a.str("hubble.drop_reason", p.DropReason)
	a.str("network.policy", p.Policy)
	if p.Verdict.Denied() {
		st.Status = timeline.Denied
	}
}

// joinOf says how the step is known: by its observation if there is one, else
// by the claim alone.
func joinOf(f *forest, nd *node) timeline.Join {
	r := &f.rows[nd.first]
	if nd.seen != none {
		r = &f.rows[nd.seen]
	}
	method := r.Method
	for i := nd.first; i != none; i = f.next[i] {
		if m := f.rows[i].Method; nd.seen != none && nd.span != nil && (m == correlate.SpanPeer || m == correlate.SpanSocket) {
			method = m // the claim names the socket
		}
	}
	if nd.seen != none && r.Method == correlate.TraceContext {
		method = r.Method
	}
	return timeline.Join{
		Method: method.String(), Exact: true, Confidence: 1, Candidates: 1,
		Evidence: evidenceOf(f, nd, r, method), Rejected: []timeline.Rejected{},
	}
}

// evidenceOf puts the identifiers that were equal into words.
func evidenceOf(f *forest, nd *node, r *correlate.Row, m correlate.Method) []string {
	e := r.Event
	trace := event.TraceID(r.Key.ID).String()
	switch m {
	case correlate.TraceContext:
		switch p := e.Payload.(type) {
		case *event.Span:
			return []string{"the span's own trace id"}
		case *event.EdgeRequest:
			return []string{"trace id in the load balancer's log"}
		case *event.Process:
			return []string{"TRACEPARENT in the environment names trace " + trace}
		case *event.Exchange:
			return []string{p.Trace.Format + " on the wire names trace " + trace}
		}
		return []string{"trace id " + trace}
	case correlate.SpanPeer:
		if nd.exchange != nil {
			return []string{"the span's peer is the socket's: " + nd.exchange.Tuple.Dst.String()}
		}
		return []string{"the span's peer is the socket's"}
	case correlate.SpanSocket:
		return []string{"the span names the socket"}
	case correlate.ResponseID:
		if nd.exchange != nil {
			return []string{"response id " + nd.exchange.ResponseID + " on both sides"}
		}
	case correlate.Goroutine:
		return []string{"made by the goroutine that served the request"}
	case correlate.FiveTuple:
		if x, ok := e.Payload.(*event.Exchange); ok {
			return []string{"the other end of connection " + x.Tuple.Src.String() + " > " + x.Tuple.Dst.String()}
		}
		return []string{"the connection's five-tuple, while one request used it"}
	case correlate.SockAddress:
		return []string{"the kernel's address of the socket, while it was open"}
	case correlate.SocketCookie:
		if r.Conn != nil {
			return []string{"socket cookie " + r.Conn.Cookie.String()}
		}
	case correlate.ExecLineage:
		return []string{"below a process of this request"}
	}
	return []string{}
}

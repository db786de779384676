package stitch

import (
	"cmp"
	"strings"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

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
			if !f.hidden(i, nd) {
				fillEvent(f.rows[i].Event, st, a, i == nd.first)
			}
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
		a.str(serverAddress, s.Server)
		a.num(serverPort, int64(s.ServerPort))
		a.str(serviceName, s.Service)
		a.workload(&s.Workload)
		a.str(errorType, s.Error)
		g := &s.GenAI
		a.str(genOperation, g.Operation)
		a.str(genProvider, g.Provider)
		a.str(genRequestModel, g.Model)
		a.str(genToolName, g.Tool)
		a.str(genToolType, g.ToolType)
		a.str(genToolCallID, g.ToolCallID)
		a.str(genToolArguments, g.ToolArgs)
		a.str(genConversation, g.Conversation)
		a.str(genResponseID, g.ResponseID)
		a.str(genFinish, g.Finish)
	}
	s := f.nodes[n].span
	st.SpanID = a.text.hex(s.SpanID[:])
	st.Name = s.Name
	st.Layer = layerOf(s)
	if st.Layer == timeline.LayerAgent || st.Layer == timeline.LayerModel || st.Layer == timeline.LayerTool {
		a.str(genAgentName, agent)
	}
	if u := usageOf(f, n); s.Stage == event.StageModel {
		a.num(genInputTokens, int64(u.Input))
		a.num(genOutputTokens, int64(u.Output))
	}
	if s.Stage == event.StageHandoff && s.GenAI.HandoffTo != "" {
		st.Name = "hand-off to " + s.GenAI.HandoffTo
	}
	if s.Kind == event.SpanKindServer || s.Kind == event.SpanKindClient {
		a.local(s.Local)
		a.peer(s.Peer)
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
	a.time(observedStart, x.Start)
	a.time(observedEnd, e.Time)
	a.local(x.Tuple.Src)
	a.peer(x.Tuple.Dst)
	a.num(http2Stream, int64(x.StreamID))
	a.num(http1Ordinal, int64(x.Ordinal))
	a.str(networkProtocol, x.Protocol)
	a.http(&x.HTTP)
	a.str(serverAddress, x.HTTP.Host)
	a.str(genResponseID, x.ResponseID)
	a.str(genRequestModel, x.Model)
	a.str(genResponseModel, x.ResponseModel)
	a.str(genFinish, x.Finish)
	a.num(genInputTokens, int64(x.Usage.Input))
	a.num(genOutputTokens, int64(x.Usage.Output))
	a.workload(&x.Workload)
	a.num(processPID, int64(x.Process.PID))
	st.SocketCookie = a.text.uint(uint64(x.Cookie))
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
	st.Name = a.text.request(&x.HTTP)
	if st.Name == "" {
		st.Name = a.text.join("exchange with ", a.text.addrPort(x.Tuple.Dst))
	}
}

// fillEvent describes evidence that has neither claim nor exchange.
func fillEvent(e *event.Event, st *timeline.Step, a *attributes, first bool) {
	switch p := e.Payload.(type) {
	case *event.EdgeRequest:
		st.Layer = timeline.LayerEdge
		st.Name = a.text.request(&p.HTTP)
		st.Status = statusOf(event.StatusUnset, p.HTTP.Status)
		a.http(&p.HTTP)
		a.str(serverAddress, p.HTTP.Host)
		a.addr(clientAddress, p.Client)
		a.addr(peerAddress, p.Backend)
		a.str(balancerStatus, p.StatusDetails)
		a.str(armorPolicy, p.WAF)
		a.str(armorOutcome, p.WAFOutcome.String())
		a.str(armorRules, p.WAFRules)
		if p.WAFOutcome.Denied() {
			st.Status = timeline.Denied
		}
		if !p.Trace.SpanID.IsZero() {
			st.SpanID = a.text.hex(p.Trace.SpanID[:])
		}
	case *event.HTTPFlow:
		st.Layer = timeline.LayerHTTP
		if first {
			st.Name = a.text.request(&p.HTTP)
		}
		a.http(&p.HTTP)
		a.str(serverAddress, p.HTTP.Host)
		a.local(p.Tuple.Src)
		a.peer(p.Tuple.Dst)
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
			a.num(processExitCode, int64(p.ExitCode))
			a.str(processExitSignal, p.Signal)
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
		a.num(processPID, int64(p.Process.PID))
		a.str(processExecutable, p.Binary)
		a.str(processArgs, p.Args)
		a.str(processCWD, p.CWD)
		a.str(containerID, p.Container)
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
		a.str(dnsQuestionName, p.Query)
	case *event.TLSHello:
		st.Layer = timeline.LayerNetwork
		st.Name = "TLS hello " + p.SNI
		a.str(tlsServerName, p.SNI)
	case *event.Exchange: // a head or a burst
		st.Layer = timeline.LayerNetwork
		st.Name = strings.ReplaceAll(e.Kind.String(), "_", " ")
		a.local(p.Tuple.Src)
		a.peer(p.Tuple.Dst)
	case *event.SpanLog:
		st.Layer = timeline.LayerAgent
		st.Name = a.text.join("log ", cmp.Or(p.Name, p.Severity, "record"))
	}
}

func fillSyscall(e *event.Event, p *event.Syscall, st *timeline.Step, a *attributes) {
	st.Layer = timeline.LayerSyscall
	st.Name = p.Function
	if p.File != "" {
		st.Layer = timeline.LayerFile
		st.Name = a.text.join(p.Function, " ", p.File)
		a.str(filePath, p.File)
	}
	if p.Tuple.Dst.IsValid() {
		st.Name = a.text.join(p.Function, " ", a.text.addrPort(p.Tuple.Dst))
		a.local(p.Tuple.Src)
		a.peer(p.Tuple.Dst)
	}
	st.PID = p.Process.PID
	a.num(processPID, int64(p.Process.PID))
	a.str(processExecutable, p.Binary)
	a.str(tetragonPolicy, p.Policy)
	a.str(tetragonAction, p.Action)
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
		switch {
		case e.Kind == event.KindSocketClose:
			verb = "close "
		case p.Role == event.RoleServer:
			verb = "accept "
		}
		st.Name = a.text.join(verb, a.text.addrPort(p.Tuple.Dst))
	}
	a.local(p.Tuple.Src)
	a.peer(p.Tuple.Dst)
	a.num(processPID, int64(p.Process.PID))
	if p.Process.PID != 0 {
		st.PID = p.Process.PID
	}
	a.addr(originalAddress, p.Original.Addr())
	if e.Kind == event.KindSocketClose {
		a.num(ioSent, int64(p.BytesOut))
		a.num(ioReceived, int64(p.BytesIn))
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
		server := p.Tuple.Dst
		if p.Reply {
			server = p.Tuple.Src
		}
		st.Name = a.text.join(p.Verdict.String(), " ", a.text.addrPort(server))
	}
	a.local(p.Tuple.Src)
	a.peer(p.Tuple.Dst)
	a.str(serverAddress, p.DstName)
	a.str(hubbleVerdict, p.Verdict.String())
	a.str(hubbleDropReason, p.DropReason)
	a.str(networkPolicy, p.Policy)
	if p.Verdict.Denied() {
		st.Status = timeline.Denied
	}
}

// joinOf says how the step is known: by its observation if there is one, else
// by the claim alone.
func (m *maker) joinOf(f *forest, nd *node) timeline.Join {
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
	if i := m.sure.of(r); i != nil {
		return timeline.Join{
			Method: i.Method.String(), Confidence: i.Confidence, Candidates: i.Candidates,
			Evidence: []string{i.Evidence}, Rejected: rejected(i),
		}
	}
	return timeline.Join{
		Method: method.String(), Exact: true, Confidence: 1, Candidates: 1,
		Evidence: m.evidence(nd, r, method), Rejected: []timeline.Rejected{},
	}
}

// evidence puts the identifiers that were equal into words.
func (m *maker) evidence(nd *node, r *correlate.Row, by correlate.Method) []string {
	e, t := r.Event, &m.text
	say := func(parts ...string) []string {
		s := parts[0]
		if len(parts) > 1 {
			s = t.join(parts...)
		}
		m.words = append(m.words, s)
		return m.words[len(m.words)-1 : len(m.words) : len(m.words)]
	}
	switch by {
	case correlate.TraceContext:
		switch p := e.Payload.(type) {
		case *event.Span:
			return say("the span's own trace id")
		case *event.EdgeRequest:
			return say("trace id in the load balancer's log")
		case *event.Process:
			return say("TRACEPARENT in the environment names trace ", t.hex(r.Key.ID[:]))
		case *event.Exchange:
			return say(p.Trace.Format, " on the wire names trace ", t.hex(r.Key.ID[:]))
		}
		return say("trace id ", t.hex(r.Key.ID[:]))
	case correlate.SpanPeer:
		if nd.exchange != nil {
			return say("the span's peer is the socket's: ", t.addrPort(nd.exchange.Tuple.Dst))
		}
		return say("the span's peer is the socket's")
	case correlate.SpanSocket:
		return say("the span names the socket")
	case correlate.ResponseID:
		if nd.exchange != nil {
			return say("response id ", nd.exchange.ResponseID, " on both sides")
		}
	case correlate.Goroutine:
		return say("made by the goroutine that served the request")
	case correlate.FiveTuple:
		if x, ok := e.Payload.(*event.Exchange); ok {
			return say("the other end of connection ", t.addrPort(x.Tuple.Src), " > ", t.addrPort(x.Tuple.Dst))
		}
		return say("the connection's five-tuple, while one request used it")
	case correlate.SockAddress:
		return say("the kernel's address of the socket, while it was open")
	case correlate.SocketCookie:
		if r.Conn != nil {
			return say("socket cookie ", t.uint(uint64(r.Conn.Cookie)))
		}
	case correlate.ExecLineage:
		return say("below a process of this request")
	}
	return []string{}
}

package enginetest

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Parse reads events, one a line: a kind and key=value pairs. Empty lines and
// those that begin with # say nothing. Two equal lines are one event seen
// twice; observed= is no part of an event's identity.
func Parse(text string) ([]event.Event, error) {
	var events []event.Event
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := ParseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// sources is who reports a kind when a line does not say.
var sources = map[event.Kind]event.Source{
	event.KindEdgeRequest: event.SourceGCP, event.KindFlow: event.SourceHubble, event.KindHTTPFlow: event.SourceHubble,
	event.KindDNS: event.SourceHubble, event.KindPolicyVerdict: event.SourceHubble,
	event.KindProcessExec: event.SourceTetragon, event.KindProcessExit: event.SourceTetragon,
	event.KindSyscall: event.SourceTetragon, event.KindEnforcement: event.SourceTetragon,
	event.KindSpan: event.SourceOTLP, event.KindSpanLog: event.SourceOTLP,
	event.KindPod: event.SourceK8s, event.KindService: event.SourceK8s,
}

// short are the kinds' names in scripts, where they are not the kinds' own.
var short = map[string]event.Kind{
	"edge": event.KindEdgeRequest, "open": event.KindSocketOpen, "owner": event.KindSocketOwner,
	"close": event.KindSocketClose, "head": event.KindHTTPHead, "hello": event.KindTLSHello,
	"exec": event.KindProcessExec, "exit": event.KindProcessExit, "log": event.KindSpanLog,
}

// ParseLine reads one event.
func ParseLine(line string) (event.Event, error) {
	name, w, err := split(line)
	if err != nil {
		return event.Event{}, err
	}
	k, ok := short[name]
	if !ok {
		if err := k.UnmarshalText([]byte(name)); err != nil || k == event.KindNone {
			return event.Event{}, fmt.Errorf("read line %q: unknown kind", line)
		}
	}
	e := event.Event{Kind: k, Source: sources[k], Node: w.str("node"), Time: w.time("at"), Observed: w.time("observed")}
	if e.Source == event.SourceUnknown {
		e.Source = event.SourceSocket
	}
	w.name("source", &e.Source)
	copy(e.Boot[:], w.str("boot"))
	e.Payload = w.payload(k)
	if err := w.done(); err != nil {
		return event.Event{}, fmt.Errorf("read line %q: %w", line, err)
	}
	return Named(e), nil
}

// Named gives an event the id that its content makes.
func Named(e event.Event) event.Event {
	observed := e.Observed
	e.ID, e.Observed = event.ID{}, 0
	var h event.Hasher
	e.ID = h.Reset(e.Kind).Bytes(e.AppendJSON(nil)).Sum()
	e.Observed = observed
	return e
}

func (w *words) payload(k event.Kind) event.Payload {
	switch k {
	case event.KindEdgeRequest:
		return w.edge()
	case event.KindFlow, event.KindPolicyVerdict:
		return w.flow()
	case event.KindHTTPFlow:
		p := &event.HTTPFlow{
			Tuple: w.tuple("src", "dst"), Trace: w.context("trace"), HTTP: w.http(), Response: w.flag("response"),
			LatencyNS: w.num("latency"), Egress: w.flag("egress"), DstWorkload: w.workload("pod"), SrcWorkload: w.workload("from"),
		}
		w.name("verdict", &p.Verdict)
		return p
	case event.KindDNS:
		return &event.DNS{Tuple: w.tuple("src", "dst"), Query: w.str("query"), Response: w.flag("response"), Workload: w.workload("pod")}
	case event.KindSocketOpen, event.KindSocketOwner, event.KindSocketClose:
		return w.socket()
	case event.KindExchange, event.KindBurst, event.KindHTTPHead:
		return w.exchange()
	case event.KindTLSHello:
		return &event.TLSHello{Cookie: event.SocketCookie(w.num("cookie")), Tuple: w.tuple("local", "peer"), SNI: w.str("sni")}
	case event.KindProcessExec, event.KindProcessExit:
		p := &event.Process{
			ExecID: event.ExecID(w.str("exec")), ParentExecID: event.ExecID(w.str("parent")),
			Process: w.process("pid"), Parent: w.process("ppid"), Binary: w.str("binary"), Args: w.str("args"),
			Trace: w.context("trace"), Workload: w.workload("pod"), ExitCode: uint32(w.num("code")), Signal: w.str("signal"),
			ParentTID: uint32(w.num("ptid")), Entered: w.flag("entered"), Inventory: w.flag("inventory"),
		}
		if cmd := w.str("cmd"); cmd != "" {
			p.Hashes = new(redact.Hasher).Command(p.Binary, cmd)
		}
		return p
	case event.KindSyscall, event.KindEnforcement:
		return &event.Syscall{
			ExecID: event.ExecID(w.str("exec")), Process: w.process("pid"), Binary: w.str("binary"), Function: w.str("fn"),
			SockAddr: event.SockAddr(w.num("sock")), Tuple: w.tuple("local", "peer"), File: w.str("file"),
			Policy: w.str("policy"), Action: w.str("action"), Workload: w.workload("pod"),
		}
	case event.KindSpan:
		return w.claim()
	case event.KindSpanLog:
		return &event.SpanLog{TraceID: w.trace("trace"), SpanID: w.span("span"), Name: w.str("name"), Workload: w.workload("pod")}
	}
	return w.control(k)
}

func (w *words) control(k event.Kind) event.Payload {
	switch k {
	case event.KindPod:
		p := &event.Pod{Workload: w.workload("pod"), ValidFrom: w.time("from"), ValidTo: w.time("to"), HostNetwork: w.flag("host")}
		p.Workload.Node, p.Workload.PodUID = w.str("on"), w.str("uid")
		if ip := w.addr("ip"); ip.IsValid() {
			p.IPs = []netip.Addr{ip}
		}
		return p
	case event.KindService:
		return &event.Service{Name: w.str("name")}
	case event.KindLoss:
		p := &event.Loss{Count: w.num("count"), From: w.time("from"), To: w.time("to"), Reason: w.str("reason"), Scope: w.str("scope")}
		w.name("of", &p.Of)
		return p
	case event.KindClock:
		p := &event.Clock{Watermark: w.time("mark"), Idle: w.flag("idle")}
		w.name("of", &p.Of)
		return p
	}
	if w.err == nil {
		w.err = fmt.Errorf("no line is known for kind %s", k)
	}
	return nil
}

func (w *words) edge() *event.EdgeRequest {
	p := &event.EdgeRequest{
		Trace: w.context("trace"), Start: w.time("start"), HTTP: w.http(), Client: w.addr("client"), Backend: w.addr("backend"),
		WAF: w.str("waf"), WAFRules: w.str("rules"), StatusDetails: w.str("details"),
	}
	if p.Trace.Format == "traceparent" {
		p.Trace.Format = "cloud"
	}
	w.name("outcome", &p.WAFOutcome)
	return p
}

func (w *words) flow() *event.Flow {
	p := &event.Flow{
		Tuple: w.tuple("src", "dst"), Reply: w.flag("reply"), DropReason: w.str("reason"), Policy: w.str("policy"),
		Egress: w.flag("egress"), Point: w.str("point"), Flags: w.str("flags"), Cookie: event.SocketCookie(w.num("cookie")),
		Start: w.time("start"), DstName: w.str("name"),
	}
	w.name("verdict", &p.Verdict)
	return p
}

func (w *words) socket() *event.Socket {
	p := &event.Socket{
		Cookie: event.SocketCookie(w.num("cookie")), Addr: event.SockAddr(w.num("sock")), Tuple: w.tuple("local", "peer"),
		Original: w.addrPort("original"), Process: w.process("pid"), Opened: w.time("opened"), Workload: w.workload("pod"),
	}
	w.name("role", &p.Role)
	w.name("verdict", &p.Verdict)
	return p
}

func (w *words) exchange() *event.Exchange {
	p := &event.Exchange{
		Cookie: event.SocketCookie(w.num("cookie")), Tuple: w.tuple("local", "peer"), Ordinal: uint32(w.num("ord")),
		StreamID: uint32(w.num("stream")), Start: w.time("start"), HTTP: w.http(), Trace: w.context("trace"),
		Process: w.process("pid"), Goroutine: w.num("go"), ParentGo: w.num("parentgo"), TID: uint32(w.num("tid")), BytesOut: w.num("out"), BytesIn: w.num("in"), ResponseID: w.str("rid"), Model: w.str("model"), Usage: w.usage(),
		Workload: w.workload("pod"), Response: w.flag("response"),
	}
	switch {
	case p.Ordinal != 0:
		p.Protocol = "http/1.1"
	case p.StreamID != 0:
		p.Protocol = "h2"
	}
	w.name("role", &p.Role)
	return p
}

func (w *words) claim() *event.Span {
	p := &event.Span{
		TraceID: w.trace("trace"), SpanID: w.span("span"), ParentID: w.span("parent"), Name: w.str("name"),
		Service: w.str("service"), Start: w.time("start"), Workload: w.workload("pod"), Peer: w.addrPort("peer"),
		Local: w.addrPort("local"), Server: w.str("server"), ServerPort: uint16(w.num("port")), Client: w.addr("client"),
		HTTP: w.http(), Cookie: event.SocketCookie(w.num("cookie")), Error: w.str("error"),
		GenAI: event.GenAI{
			Agent: w.str("agent"), Model: w.str("model"), Tool: w.str("tool"), HandoffTo: w.str("handoff"),
			ResponseID: w.str("rid"), Usage: w.usage(),
		},
	}
	if cmd := w.str("cmd"); cmd != "" {
		p.GenAI.ToolHashes = new(redact.Hasher).Text(cmd)
	}
	w.name("kind", &p.Kind)
	w.name("stage", &p.Stage)
	w.name("status", &p.Status)
	return p
}

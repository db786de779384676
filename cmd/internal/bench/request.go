package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// cluster is where requests happen: on every node a pod of gateways and one of
// agents.
type cluster struct {
	nodes []string
	pods  []pod // 2i is the gateway of node i, 2i+1 its agent
}

type pod struct {
	w    event.Workload
	ip   netip.Addr
	exec event.ExecID
	proc event.ProcessRef
}

func newCluster(nodes int) *cluster {
	c := &cluster{}
	for i := range nodes {
		node := fmt.Sprintf("bench-%d", i)
		c.nodes = append(c.nodes, node)
		for j, name := range []string{"gateway", "agent"} {
			c.pods = append(c.pods, pod{
				w:    event.Workload{Namespace: "bench", Pod: fmt.Sprintf("%s-%d", name, i), PodUID: fmt.Sprintf("uid-%d-%d", i, j), Container: name, Node: node},
				ip:   netip.AddrFrom4([4]byte{10, byte(84 + i>>8), byte(i), byte(10 + j)}),
				exec: event.ExecID(fmt.Sprintf("%s:%s", node, name)), proc: event.ProcessRef{PID: uint32(1000 + j), StartNS: 5e9},
			})
		}
	}
	return c
}

// inventory is what is there before the first request.
func (c *cluster) inventory(now event.Time) []event.Event {
	var b event.Batch
	for i := range c.pods {
		p := &c.pods[i]
		e := b.Add(event.KindPod, event.SourceK8s)
		e.Time, e.ID = now, event.ID{1, byte(i), byte(i >> 8)}
		e.Payload = &event.Pod{Workload: p.w, IPs: []netip.Addr{p.ip}, ValidFrom: now.Add(-time.Hour)}
		e = b.Add(event.KindProcessExec, event.SourceTetragon)
		e.Node, e.Time, e.ID = p.w.Node, now, event.ID{2, byte(i), byte(i >> 8)}
		e.Payload = &event.Process{ExecID: p.exec, Process: p.proc, Binary: "/bin/" + p.w.Container, Workload: p.w, Inventory: true}
	}
	return b.Events
}

// request is the events of one request to an agent, made once and stamped with
// new identifiers and times whenever it is sent again: a gateway on one node asks
// an agent on another, which asks a model and runs a tool that opens a connection.
type request struct {
	events []sighting
	took   time.Duration
	ids    ids
}

// sighting is one event, its place in the request, and what is its own in it.
type sighting struct {
	event event.Event
	at    time.Duration // of the event's time, from the request's start
	stamp func(*ids)
}

// ids are the identifiers of one sending.
type ids struct {
	serial     uint64
	start      event.Time
	trace      event.TraceID
	tool       event.ExecID
	port       uint16
	toolPID    event.ProcessRef
	responseID string
}

func (i *ids) span(n uint64) (s event.SpanID) {
	binary.BigEndian.PutUint64(s[:], i.serial<<8|n)
	return s
}

func (i *ids) cookie(n uint64) event.SocketCookie { return event.SocketCookie(i.serial<<3 | n) }
func (i *ids) addr(n uint64) event.SockAddr {
	return event.SockAddr(0xffff888000000000 | i.serial<<14 | n<<11)
}

// endOf reads the end of a request from the name of its timeline; ok is false if
// that is no trace id of ours.
func endOf(id string) (end event.Time, ok bool) {
	var t event.TraceID
	if len(id) < 32 || t.UnmarshalText([]byte(id[:32])) != nil {
		return 0, false
	}
	return event.Time(binary.BigEndian.Uint64(t[8:])), true
}

// stamp makes the request happen now: it ended when it was due.
func (r *request) stamp(serial uint64, due event.Time) {
	i := &r.ids
	i.serial, i.start = serial, due.Add(-r.took)
	binary.BigEndian.PutUint64(i.trace[:], serial*0x9e3779b97f4a7c15|1)
	binary.BigEndian.PutUint64(i.trace[8:], uint64(due))
	i.port = uint16(1024 + serial%64_000)
	var buf [40]byte
	i.tool = event.ExecID(strconv.AppendUint(append(buf[:0], "bench:"...), serial, 36))
	i.responseID = string(strconv.AppendUint(append(buf[:0], "resp-"...), serial, 36))
	i.toolPID = event.ProcessRef{PID: uint32(2000 + serial%30_000), StartNS: uint64(i.start)}
	for n := range r.events {
		s := &r.events[n]
		e := &s.event
		binary.BigEndian.PutUint64(e.ID[:], serial*0x9e3779b97f4a7c15)
		binary.BigEndian.PutUint64(e.ID[8:], serial<<8|uint64(n))
		e.Time, e.Observed = i.start.Add(s.at), due
		if s.stamp != nil {
			s.stamp(i)
		}
	}
}

// newRequest makes a request from a gateway on one node to an agent on another.
func (c *cluster) newRequest(rng *rand.Rand, gatewayNode, agentNode int) *request {
	r := &request{took: 150*time.Millisecond + time.Duration(rng.IntN(250))*time.Millisecond}
	g, a := &c.pods[2*gatewayNode], &c.pods[2*agentNode+1]
	model := netip.AddrPortFrom(netip.AddrFrom4([4]byte{142, 250, 74, byte(10 + rng.IntN(8))}), 443)
	web := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + rng.IntN(200))}), 443)
	name := []string{"gemini-2.5-pro", "gemini-2.5-flash", "claude-sonnet-4-5"}[rng.IntN(3)]
	D := r.took
	add := func(k event.Kind, s event.Source, p *pod, at time.Duration, payload event.Payload, stamp func(*ids)) {
		r.events = append(r.events, sighting{event.Event{Kind: k, Source: s, Node: p.w.Node, Payload: payload}, at, stamp})
	}
	// The connections: from the gateway, to the model, and the tool's.
	in := func(i *ids) event.Tuple {
		return event.Tuple{Proto: event.ProtoTCP, Src: netip.AddrPortFrom(g.ip, i.port), Dst: netip.AddrPortFrom(a.ip, 8080)}
	}
	out := func(i *ids, to netip.AddrPort, n uint16) event.Tuple {
		return event.Tuple{Proto: event.ProtoTCP, Src: netip.AddrPortFrom(a.ip, i.port^n), Dst: to}
	}
	flow := func(p *pod, at time.Duration, egress bool, point string, tuple func(*ids) event.Tuple) {
		f := &event.Flow{Verdict: event.VerdictForwarded, Egress: egress, Point: point, Flags: "SYN"}
		if egress {
			f.SrcWorkload = p.w
		} else {
			f.DstWorkload = p.w
		}
		add(event.KindFlow, event.SourceHubble, p, at, f, func(i *ids) { f.Tuple = tuple(i) })
	}
	socket := func(k event.Kind, p *pod, at, opened time.Duration, n uint64, role event.Role, own bool, tuple func(*ids) event.Tuple) {
		s := &event.Socket{Role: role, Process: p.proc, Workload: p.w}
		if k == event.KindSocketClose {
			s.BytesIn, s.BytesOut, s.SRTTUS = uint64(rng.IntN(1<<14)), uint64(rng.IntN(1<<14)), uint32(200+rng.IntN(900))
		}
		add(k, event.SourceSocket, p, at, s, func(i *ids) {
			s.Cookie, s.Addr, s.Tuple, s.Opened = i.cookie(n), i.addr(n), tuple(i), i.start.Add(opened)
			if own {
				s.Process = i.toolPID
			}
		})
	}
	exchange := func(p *pod, from, to time.Duration, n uint64, role event.Role, tuple func(*ids) event.Tuple) {
		x := &event.Exchange{
			Role: role, Ordinal: 1, Protocol: "http/1.1", HTTP: event.HTTP{Method: "POST", Host: "agent.bench", Path: "/run", Status: 200},
			Process: p.proc, Workload: p.w, BytesOut: 812, BytesIn: 2048,
		}
		add(event.KindExchange, event.SourceSocket, p, to, x, func(i *ids) {
			x.Cookie, x.Tuple, x.Start, x.FirstByte = i.cookie(n), tuple(i), i.start.Add(from), i.start.Add(to-time.Millisecond)
			x.Trace = event.TraceContext{TraceID: i.trace, SpanID: i.span(2), Format: "traceparent"}
		})
	}
	span := func(p *pod, from, to time.Duration, n, parent uint64, s *event.Span) {
		s.Workload, s.Service = p.w, p.w.Container
		add(event.KindSpan, event.SourceOTLP, p, to, s, func(i *ids) {
			s.TraceID, s.SpanID, s.Start = i.trace, i.span(n), i.start.Add(from)
			if parent != 0 {
				s.ParentID = i.span(parent)
			}
			if s.GenAI.Model != "" {
				s.GenAI.ResponseID = i.responseID
			}
		})
	}
	reversed := func(f func(*ids) event.Tuple) func(*ids) event.Tuple {
		return func(i *ids) event.Tuple { return f(i).Reverse() }
	}
	ms := time.Millisecond
	toModel := func(i *ids) event.Tuple { return out(i, model, 1) }
	toWeb := func(i *ids) event.Tuple { return out(i, web, 2) }
	// The gateway.
	socket(event.KindSocketOpen, g, 1*ms, 1*ms, 1, event.RoleClient, false, in)
	flow(g, 1*ms, true, "from-endpoint", in)
	exchange(g, 2*ms, D-2*ms, 1, event.RoleClient, in)
	span(g, 1*ms, D-1*ms, 2, 1, &event.Span{Kind: event.SpanKindClient, Stage: event.StageHTTP, Name: "POST", Server: "agent.bench", ServerPort: 8080})
	span(g, 0, D, 1, 0, &event.Span{Kind: event.SpanKindServer, Stage: event.StageHTTP, Name: "POST /run", HTTP: event.HTTP{Method: "POST", Path: "/run", Status: 200}})
	socket(event.KindSocketClose, g, D-1*ms, 1*ms, 1, event.RoleClient, false, in)
	// The agent.
	flow(a, 1*ms, false, "to-endpoint", in)
	socket(event.KindSocketOpen, a, 2*ms, 2*ms, 2, event.RoleServer, false, reversed(in))
	exchange(a, 3*ms, D-3*ms, 2, event.RoleServer, reversed(in))
	span(a, 3*ms, D-4*ms, 3, 2, &event.Span{Kind: event.SpanKindServer, Stage: event.StageHTTP, Name: "POST /run", HTTP: event.HTTP{Method: "POST", Path: "/run", Status: 200}})
	span(a, 4*ms, D-5*ms, 4, 3, &event.Span{Stage: event.StageAgent, Name: "invoke_agent researcher", GenAI: event.GenAI{Operation: "invoke_agent", Agent: "researcher", Framework: "adk"}})
	socket(event.KindSocketClose, a, D-1*ms, 2*ms, 2, event.RoleServer, false, reversed(in))
	// Its model.
	query := &event.DNS{Query: "model.example", Type: "A", Workload: a.w, Verdict: event.VerdictForwarded}
	add(event.KindDNS, event.SourceHubble, a, 5*ms, query, func(i *ids) {
		query.Tuple = event.Tuple{Proto: event.ProtoUDP, Src: netip.AddrPortFrom(a.ip, i.port^3), Dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, 0, 10}), 53)}
	})
	socket(event.KindSocketOpen, a, 6*ms, 6*ms, 3, event.RoleClient, false, toModel)
	flow(a, 6*ms, true, "to-stack", toModel)
	hello := &event.TLSHello{SNI: "model.example", ALPN: "h2"}
	add(event.KindTLSHello, event.SourceSocket, a, 7*ms, hello, func(i *ids) { hello.Cookie, hello.Tuple = i.cookie(3), toModel(i) })
	burst := &event.Exchange{Role: event.RoleClient, Process: a.proc, Workload: a.w, BytesOut: 4096, BytesIn: 1 << 14}
	add(event.KindBurst, event.SourceSocket, a, D/2, burst, func(i *ids) {
		burst.Cookie, burst.Tuple, burst.Start, burst.FirstByte = i.cookie(3), toModel(i), i.start.Add(8*ms), i.start.Add(D/3)
	})
	span(a, 6*ms, D/2, 5, 4, &event.Span{Kind: event.SpanKindClient, Stage: event.StageModel, Name: "call_llm", GenAI: event.GenAI{
		Operation: "generate_content", Provider: "example", Model: name, Finish: "stop", Usage: event.Usage{Input: uint64(rng.IntN(4000)), Output: uint64(rng.IntN(900))},
	}})
	socket(event.KindSocketClose, a, D/2+1*ms, 6*ms, 3, event.RoleClient, false, toModel)
	// Its tool.
	span(a, D/2+2*ms, D-10*ms, 6, 4, &event.Span{Stage: event.StageTool, Name: "execute_tool run_command", GenAI: event.GenAI{Operation: "execute_tool", Tool: "run_command", ToolType: "function"}})
	process := func(k event.Kind, at time.Duration) {
		p := &event.Process{ParentExecID: a.exec, Parent: a.proc, Binary: "/usr/bin/curl", Workload: a.w, CWD: "/srv"}
		add(k, event.SourceTetragon, a, at, p, func(i *ids) {
			p.ExecID, p.Process, p.Started = i.tool, i.toolPID, i.start.Add(D/2+3*ms)
			p.Trace = event.TraceContext{TraceID: i.trace, SpanID: i.span(6), Format: "env"}
		})
	}
	syscall := func(at time.Duration, function, file string) {
		s := &event.Syscall{Binary: "/usr/bin/curl", Hook: "kprobe", Function: function, File: file, Policy: "bench", Action: "post", Workload: a.w}
		add(event.KindSyscall, event.SourceTetragon, a, at, s, func(i *ids) {
			s.ExecID, s.Process = i.tool, i.toolPID
			if file == "" {
				s.SockAddr, s.Tuple = i.addr(4), toWeb(i)
			}
		})
	}
	process(event.KindProcessExec, D/2+3*ms)
	syscall(D/2+4*ms, "security_file_permission", "/etc/ssl/cert.pem")
	socket(event.KindSocketOpen, a, D/2+5*ms, D/2+5*ms, 4, event.RoleClient, true, toWeb)
	syscall(D/2+5*ms, "tcp_connect", "")
	flow(a, D/2+5*ms, true, "to-stack", toWeb)
	socket(event.KindSocketClose, a, D-12*ms, D/2+5*ms, 4, event.RoleClient, true, toWeb)
	process(event.KindProcessExit, D-11*ms)
	return r
}

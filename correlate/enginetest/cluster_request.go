package enginetest

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// call is one request on its way: what its caller knows.
type call struct {
	trace     event.TraceID // zero: nobody made one
	caller    event.SpanID
	wire      bool // the trace is in the header
	depth     int
	goroutine uint64
}

// request makes one request from outside.
func (c *cluster) request() {
	start := c.between(0, c.Span)
	p := c.pods[c.rng.IntN(len(c.pods))]
	k := call{wire: c.chance(0.6), caller: c.newSpan()}
	if c.chance(0.85) {
		k.trace = c.newTrace()
	}
	end := start + c.between(50*time.Millisecond, 20*time.Second)
	if !c.NoEdge && c.chance(0.3) {
		e := &event.EdgeRequest{
			Trace: event.TraceContext{TraceID: k.trace, SpanID: k.caller, Format: "cloud"}, Start: c.at(start - 5*time.Millisecond),
			HTTP: event.HTTP{Method: "POST", Path: "/run", Status: 200}, Backend: p.ip, Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(c.rng.IntN(3))}),
		}
		denied := c.chance(0.2)
		if denied {
			e.WAF, e.WAFOutcome, e.HTTP.Status, e.Backend = "armor", event.VerdictDropped, 403, netip.Addr{}
		}
		c.add(event.KindEdgeRequest, nil, end+5*time.Millisecond, e)
		if denied {
			return
		}
	}
	x := c.connection(nil, p, start, end)
	c.serve(x, k, start, end)
}

// connection takes a kept one that is free, or dials.
func (c *cluster) connection(client, server *pod, start, end time.Duration) *conn {
	var x *conn
	if server != nil {
		for _, o := range server.conns {
			if o.client == client && o.closed == 0 && o.opened <= start && (o.h2 || o.busy <= start) && c.chance(0.7) {
				x = o
			}
		}
	}
	if x == nil {
		x = c.dial(client, server, max(start-2*time.Millisecond, -10*time.Second))
		if server != nil {
			server.conns = append(server.conns, x)
		}
	}
	x.busy = max(x.busy, end+time.Millisecond)
	if c.chance(0.3) && !x.h2 {
		c.hangUp(x, end+2*time.Millisecond)
	}
	return x
}

func (x *conn) next() (ordinal, stream uint32) {
	x.count++
	if x.h2 {
		return 0, 2*x.count - 1
	}
	return x.count, 0
}

// serve is one exchange on x as its ends see it, and what the server does.
func (c *cluster) serve(x *conn, k call, start, end time.Duration) {
	ord, stream := x.next()
	var trace event.TraceContext
	if k.wire {
		trace = event.TraceContext{TraceID: k.trace, SpanID: k.caller, Format: "traceparent"}
	}
	head := event.HTTP{Method: "POST", Path: fmt.Sprintf("/d%d", k.depth), Status: 200}
	if x.client != nil {
		c.add(event.KindExchange, x.client.on, end, &event.Exchange{
			Cookie: event.SocketCookie(x.clientCookie), Tuple: x.tuple, Role: event.RoleClient, Ordinal: ord, StreamID: stream,
			Start: c.at(start + x.client.on.skew), HTTP: head, Trace: trace, Process: x.client.proc, Goroutine: k.goroutine,
		})
	}
	c.flows(x, start, end)
	p := x.server
	if p == nil {
		return
	}
	in, out := start+time.Millisecond, end-time.Millisecond
	c.serial++
	routine := c.serial * uint64(c.rng.IntN(2))
	c.add(event.KindExchange, p.on, out, &event.Exchange{
		Cookie: event.SocketCookie(x.serverCookie), Tuple: x.tuple.Reverse(), Role: event.RoleServer, Ordinal: ord, StreamID: stream,
		Start: c.at(in + p.on.skew), HTTP: head, Trace: trace, Process: p.proc, Goroutine: routine,
	})
	own := k.trace
	if !k.wire || c.chance(0.2) {
		own = c.newTrace() // an app that starts a root of its own
	}
	server := c.newSpan()
	if c.chance(0.8) {
		s := &event.Span{TraceID: own, SpanID: server, Kind: event.SpanKindServer, Stage: event.StageHTTP, Name: head.Path, Workload: p.w}
		if own == k.trace {
			s.ParentID = k.caller
		}
		if c.chance(0.7) {
			s.Peer = x.tuple.Src
		}
		c.span(p, s, in+time.Millisecond, out-time.Millisecond)
	}
	c.work(p, own, server, routine, k.depth, in+2*time.Millisecond, out-2*time.Millisecond)
}

func (c *cluster) span(p *pod, s *event.Span, start, end time.Duration) {
	end = max(start, end)
	s.Start = c.at(start + p.on.skew)
	c.add(event.KindSpan, p.on, end, s)
}

// work is what an agent does for a request.
func (c *cluster) work(p *pod, trace event.TraceID, parent event.SpanID, routine uint64, depth int, start, end time.Duration) {
	agent := c.newSpan()
	if c.chance(0.7) {
		c.span(p, &event.Span{
			TraceID: trace, SpanID: agent, ParentID: parent, Stage: event.StageAgent, Name: "agent", Workload: p.w,
			GenAI: event.GenAI{Agent: p.w.Pod},
		}, start, end)
	} else {
		agent = parent
	}
	if c.chance(0.3) {
		c.add(event.KindSpanLog, p.on, c.between(start, end), &event.SpanLog{TraceID: trace, SpanID: agent, Name: "log", Workload: p.w})
	}
	at := start
	for i := 0; i < 4 && at < end-10*time.Millisecond; i++ {
		stop := c.between(at+5*time.Millisecond, end)
		switch c.rng.IntN(4) {
		case 0:
			c.callModel(p, trace, agent, routine, at, stop)
		case 1:
			c.tool(p, trace, agent, at, stop)
		case 2:
			if other := c.pods[c.rng.IntN(len(c.pods))]; depth < 3 && other != p {
				k := call{trace: trace, caller: c.newSpan(), wire: c.chance(0.5), depth: depth + 1, goroutine: routine}
				if c.chance(0.6) {
					c.span(p, &event.Span{
						TraceID: trace, SpanID: k.caller, ParentID: agent, Kind: event.SpanKindClient, Stage: event.StageHTTP,
						Name: "POST", Workload: p.w,
					}, at, stop)
				}
				c.serve(c.connection(p, other, at, stop), k, at, stop)
			}
		}
		at = stop
	}
}

func (c *cluster) callModel(p *pod, trace event.TraceID, parent event.SpanID, routine uint64, start, end time.Duration) {
	if p.model == nil {
		p.model = c.dial(p, nil, start-time.Millisecond)
		p.model.h2 = true
	}
	x, span, rid := p.model, c.newSpan(), ""
	if c.chance(0.5) {
		c.serial++
		rid = fmt.Sprintf("%s-r%d", c.Name, c.serial)
	}
	_, stream := x.next()
	e := &event.Exchange{
		Cookie: event.SocketCookie(x.clientCookie), Tuple: x.tuple, Role: event.RoleClient, StreamID: stream, Start: c.at(start + p.on.skew),
		ResponseID: rid, Model: "m", Process: p.proc, Goroutine: routine,
	}
	if c.chance(0.3) {
		e.Trace = event.TraceContext{TraceID: trace, SpanID: span, Format: "traceparent"}
	}
	c.add(event.KindExchange, p.on, end-time.Millisecond, e)
	c.span(p, &event.Span{
		TraceID: trace, SpanID: span, ParentID: parent, Stage: event.StageModel, Name: "generate", Workload: p.w,
		GenAI: event.GenAI{Model: "m", ResponseID: rid, Usage: event.Usage{Input: 3, Output: 2}},
	}, start, end)
	if c.chance(0.1) { // the same call seen twice
		c.events = append(c.events, c.events[len(c.events)-1])
	}
}

// tool runs a process below the agent's, which may dial out.
func (c *cluster) tool(p *pod, trace event.TraceID, parent event.SpanID, start, end time.Duration) {
	span := c.newSpan()
	if c.chance(0.8) {
		c.span(p, &event.Span{
			TraceID: trace, SpanID: span, ParentID: parent, Stage: event.StageTool, Name: "tool", Workload: p.w,
			GenAI: event.GenAI{Tool: "t"},
		}, start, end)
	}
	var env event.TraceContext
	if c.chance(0.6) {
		env = event.TraceContext{TraceID: trace, SpanID: span, Format: "env"}
	}
	id, ref := c.newExec(p.on), c.newProcess(p.on)
	parentExec, parentRef, pids := p.exec, p.proc, ref
	for depth := range 1 + c.rng.IntN(2) {
		at := start + time.Duration(depth)*time.Millisecond
		c.add(event.KindProcessExec, p.on, at, &event.Process{
			ExecID: id, ParentExecID: parentExec, Process: ref, Parent: parentRef, Binary: fmt.Sprintf("/bin/t%d", depth), Trace: env,
		})
		c.add(event.KindSyscall, p.on, c.between(at, end), &event.Syscall{ExecID: id, Process: ref, Function: "openat", File: "/etc/x"})
		c.add(event.KindProcessExit, p.on, end-at/1000, &event.Process{ExecID: id, Process: ref, ExitCode: uint32(depth)})
		parentExec, parentRef, env = id, ref, event.TraceContext{}
		id, pids = c.newExec(p.on), ref
		if c.chance(0.5) {
			ref = c.newProcess(p.on)
		}
	}
	if c.chance(0.5) {
		was := p.proc
		p.proc = pids
		x := c.connection(p, nil, start+time.Millisecond, end-time.Millisecond)
		c.serve(x, call{}, start+2*time.Millisecond, end-2*time.Millisecond)
		p.proc = was
	}
}

// flows are what Hubble and Tetragon say of a connection.
func (c *cluster) flows(x *conn, start, end time.Duration) {
	for _, p := range []*pod{x.client, x.server} {
		if p == nil || c.chance(0.5) {
			continue
		}
		f := &event.Flow{Tuple: x.tuple, Verdict: event.VerdictForwarded, Egress: p == x.client, Point: "to-endpoint"}
		if c.chance(0.15) {
			f.Verdict, f.DropReason = event.VerdictDropped, "POLICY_DENIED"
		}
		if x.original.IsValid() && p == x.client && c.chance(0.5) {
			f.Tuple.Dst = x.original
		}
		if c.chance(0.5) {
			f.Tuple, f.Reply = f.Tuple.Reverse(), true
		}
		c.add(event.KindFlow, p.on, c.between(start-3*time.Millisecond, end+3*time.Millisecond), f)
		addr, tuple := x.clientAddr, x.tuple
		if p == x.server {
			addr, tuple = x.serverAddr, x.tuple.Reverse()
		}
		s := &event.Syscall{SockAddr: addr, Function: "tcp_sendmsg", Process: event.ProcessRef{PID: 5}}
		if c.chance(0.7) {
			s.Tuple = tuple
		}
		c.add(event.KindSyscall, p.on, c.between(start, end), s)
	}
}

// noise is what nobody asked for: lookups, odd processes, losses, heartbeats.
func (c *cluster) noise() {
	for range c.Requests {
		m := c.nodes[c.rng.IntN(len(c.nodes))]
		p := c.pods[c.rng.IntN(len(c.pods))]
		at := c.between(0, c.Span)
		switch c.rng.IntN(6) {
		case 0:
			c.add(event.KindDNS, p.on, at, &event.DNS{Query: "example.com", Tuple: event.Tuple{
				Proto: event.ProtoUDP, Src: netip.AddrPortFrom(p.ip, 5353), Dst: netip.MustParseAddrPort("10.96.0.10:53"),
			}})
		case 1:
			c.add(event.KindProcessExec, m, at, &event.Process{ExecID: c.newExec(m), Process: c.newProcess(m), Binary: "/bin/cron"})
		case 2:
			c.add(event.KindLoss, m, at, &event.Loss{Of: event.SourceHubble, Count: 3, From: c.at(at - time.Second), To: c.at(at)})
		case 3:
			c.add(event.KindLoss, m, at, &event.Loss{Of: event.SourceTetragon, From: c.at(at), Scope: "cgroup"})
			c.add(event.KindLoss, m, at+time.Second, &event.Loss{Of: event.SourceTetragon, To: c.at(at + time.Second), Scope: "cgroup"})
		case 4:
			c.add(event.KindClock, m, at, &event.Clock{Of: event.SourceSocket})
		case 5:
			c.add(event.KindFlow, m, at, &event.Flow{Cookie: event.SocketCookie(c.rng.IntN(30)), Verdict: event.VerdictTranslated, Egress: true})
		}
	}
}

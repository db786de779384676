package simulate

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// truthLine is a line of the truth as a reader has it.
type truthLine struct {
	Request string `json:"request"`
	TraceID string `json:"trace_id"`
	Kind    string `json:"kind"`
	Entry   bool   `json:"entry"`
	Node    string `json:"node"`
	Key     struct {
		EventID  event.ID           `json:"event_id"`
		Cookie   event.SocketCookie `json:"socket_cookie"`
		StreamID uint32             `json:"stream_id"`
		Ordinal  uint32             `json:"ordinal"`
		SockAddr event.SockAddr     `json:"sock_addr"`
		PID      uint32             `json:"pid"`
	} `json:"key"`
	StartNS  int64    `json:"start_ns"`
	EndNS    int64    `json:"end_ns"`
	Possible []string `json:"possible"`
	Lost     bool     `json:"lost"`
}

// evidence is a run as Sennit's own decoders read it.
type evidence struct {
	truth  []truthLine
	result replay.Result
	byID   map[event.ID]*event.Event
	of     map[event.Kind][]*event.Event
}

func gather(t testing.TB, dir string) *evidence {
	t.Helper()
	ev := &evidence{byID: map[event.ID]*event.Event{}, of: map[event.Kind][]*event.Event{}}
	var err error
	ev.result, err = replay.Run(context.Background(), replay.Options{Paths: []string{dir}, Workers: 1}, func(b *event.Batch, _ event.Time) error {
		for i := range b.Events {
			e := &b.Events[i]
			if ev.byID[e.ID] == nil {
				ev.byID[e.ID] = e
				ev.of[e.Kind] = append(ev.of[e.Kind], e)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	lines(t, dir, "truth.jsonl", func(line []byte) {
		var f truthLine
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatalf("truth: %v\n%s", err, line)
		}
		ev.truth = append(ev.truth, f)
	})
	return ev
}

// TestReadByDecoders: every line is an event for Sennit's own decoders, and
// every fact names one of them.
func TestReadByDecoders(t *testing.T) {
	dir, sum := mustRun(t, busy)
	ev := gather(t, dir)
	for src, c := range ev.result.Sources {
		if c.Bad > 0 || c.UnknownType > 0 {
			t.Errorf("%s: %d bad, %d unknown: %v %v", event.Source(src), c.Bad, c.UnknownType, ev.result.Bad, ev.result.Unknown)
		}
	}
	if got := len(ev.byID); got != sum.Events {
		t.Errorf("%d different events, %d written", got, sum.Events)
	}
	want := map[string][]event.Kind{
		kindEdge: {event.KindEdgeRequest}, kindIngress: {event.KindExchange}, kindEgress: {event.KindExchange},
		kindProcess: {event.KindProcessExec}, kindSyscall: {event.KindSyscall, event.KindEnforcement},
		kindFlow: {event.KindFlow, event.KindDNS, event.KindHTTPFlow, event.KindPolicyVerdict},
	}
	entries := map[string]int{}
	for _, f := range ev.truth {
		if f.Lost {
			continue
		}
		e := ev.byID[f.Key.EventID]
		if e == nil {
			t.Fatalf("no event for %+v", f)
		}
		if !slices.Contains(want[f.Kind], e.Kind) || e.Node != f.Node {
			t.Fatalf("fact %+v is a %s of node %q", f, e.Kind, e.Node)
		}
		if f.Entry {
			entries[f.Request]++
		}
	}
	for r, n := range entries {
		if n != 1 {
			t.Errorf("request %s has %d entries", r, n)
		}
	}
	if len(entries) < sum.Requests*8/10 {
		t.Errorf("%d entries of %d requests", len(entries), sum.Requests)
	}
	for k := event.KindEdgeRequest; k <= event.KindClock; k++ {
		switch k {
		case event.KindHTTPHead:
			continue
		}
		if len(ev.of[k]) == 0 {
			t.Errorf("no event of kind %s", k)
		}
	}
}

// TestPossible holds each possible rung against the events: the identifier it
// needs is there, within its interval, on the clock of the node.
func TestPossible(t *testing.T) {
	for _, tc := range []TraceContext{TraceAll, TraceMixed, TraceNone} {
		o := busy
		o.TraceContext = tc
		if tc == TraceAll {
			o.Uninstrumented = 0
		}
		o.Late, o.Duplicate, o.Reorder = 0, 0, 0
		dir, _ := mustRun(t, o)
		ev := gather(t, dir)
		c := newChecker(ev)
		seen, wrong := map[string]int{}, 0
		for i := range ev.truth {
			f := &ev.truth[i]
			if f.Request == "" && len(f.Possible) > 0 {
				t.Errorf("background with a rung: %+v", *f)
			}
			for _, m := range f.Possible {
				seen[m]++
				if check := c.checks[m]; check != nil && !check(f, ev.byID[f.Key.EventID]) {
					if wrong++; wrong < 10 {
						t.Errorf("%s: %s is not possible for %+v", tc, m, *f)
					}
				}
			}
		}
		for _, m := range map[TraceContext][]string{
			TraceAll: {
				timeline.TraceContext, timeline.SpanPeer, timeline.SpanSocket, timeline.ResponseID, timeline.Goroutine,
				timeline.FiveTuple, timeline.ExecLineage, timeline.SockAddress, timeline.DNSName, timeline.EdgeWindow,
			},
			TraceMixed: {timeline.TraceContext, timeline.SpanPeer, timeline.FiveTuple, timeline.Goroutine, timeline.ToolCommand},
			TraceNone:  {timeline.SpanPeer, timeline.FiveTuple, timeline.Goroutine, timeline.Assignment, timeline.Usage, timeline.ToolWindow},
		}[tc] {
			if seen[m] == 0 {
				t.Errorf("%s: %s is never possible", tc, m)
			}
		}
	}
}

// checker looks for the evidence of each exact rung by brute force.
type checker struct {
	ev      *evidence
	sockets map[string][]*event.Event      // open records by node
	ends    map[string]event.Time          // node/cookie → close
	byTuple map[event.Tuple][]*event.Event // exchanges by canonical tuple
	checks  map[string]func(*truthLine, *event.Event) bool
}

func newChecker(ev *evidence) *checker {
	c := &checker{ev: ev, sockets: map[string][]*event.Event{}, ends: map[string]event.Time{}, byTuple: map[event.Tuple][]*event.Event{}}
	for _, e := range ev.of[event.KindExchange] {
		t := e.Payload.(*event.Exchange).Tuple.Canonical()
		c.byTuple[t] = append(c.byTuple[t], e)
	}
	for _, k := range []event.Kind{event.KindSocketOpen, event.KindSocketOwner} {
		for _, e := range ev.of[k] {
			c.sockets[e.Node] = append(c.sockets[e.Node], e)
		}
	}
	for _, e := range ev.of[event.KindSocketClose] {
		c.ends[e.Node+e.Payload.(*event.Socket).Cookie.String()] = e.Time
	}
	c.checks = map[string]func(*truthLine, *event.Event) bool{
		timeline.TraceContext: c.traced, timeline.SpanPeer: c.spanPeer, timeline.SpanSocket: c.spanSocket,
		timeline.ResponseID: c.responseID, timeline.Goroutine: c.goroutine, timeline.FiveTuple: c.fiveTuple,
		timeline.SockAddress: c.sockAddress, timeline.ExecLineage: c.lineage,
	}
	return c
}

func (c *checker) traced(f *truthLine, e *event.Event) bool {
	switch p := e.Payload.(type) {
	case *event.Exchange:
		return !p.Trace.TraceID.IsZero()
	case *event.Process:
		return !p.Trace.TraceID.IsZero()
	case *event.HTTPFlow:
		return !p.Trace.TraceID.IsZero()
	case *event.EdgeRequest:
		for _, x := range c.ev.of[event.KindExchange] {
			if x.Payload.(*event.Exchange).Trace.TraceID == p.Trace.TraceID {
				return true
			}
		}
	}
	return false
}

func (c *checker) spans(match func(*event.Event, *event.Span) bool) bool {
	for _, e := range c.ev.of[event.KindSpan] {
		if match(e, e.Payload.(*event.Span)) {
			return true
		}
	}
	return false
}

func (c *checker) spanPeer(f *truthLine, e *event.Event) bool {
	x := e.Payload.(*event.Exchange)
	return c.spans(func(s *event.Event, p *event.Span) bool {
		return p.Kind == event.SpanKindServer && s.Node == e.Node && p.Peer == x.Tuple.Dst && p.Start >= x.Start && s.Time <= e.Time
	})
}

func (c *checker) spanSocket(f *truthLine, e *event.Event) bool {
	x := e.Payload.(*event.Exchange)
	return x.StreamID == 0 && c.spans(func(s *event.Event, p *event.Span) bool {
		return p.Kind == event.SpanKindClient && s.Node == e.Node && p.Cookie == x.Cookie && p.Start <= x.Start && s.Time >= e.Time
	})
}

func (c *checker) responseID(f *truthLine, e *event.Event) bool {
	x := e.Payload.(*event.Exchange)
	return c.spans(func(_ *event.Event, p *event.Span) bool {
		return p.GenAI.ResponseID == x.ResponseID && x.ResponseID != ""
	})
}

func (c *checker) goroutine(f *truthLine, e *event.Event) bool {
	x := e.Payload.(*event.Exchange)
	for _, o := range c.ev.of[event.KindExchange] {
		in := o.Payload.(*event.Exchange)
		if o.Node == e.Node && in.Role == event.RoleServer && in.Process == x.Process && in.Goroutine == x.Goroutine && in.Start <= x.Start && o.Time >= e.Time {
			return x.Goroutine != 0
		}
	}
	return false
}

// fiveTuple: the other end of an exchange, or the one exchange that was open on
// the socket of a flow.
func (c *checker) fiveTuple(f *truthLine, e *event.Event) bool {
	switch p := e.Payload.(type) {
	case *event.Exchange:
		for _, o := range c.exchanges(p.Tuple) {
			q := o.Payload.(*event.Exchange)
			if q.Tuple == p.Tuple.Reverse() && q.Ordinal == p.Ordinal && q.StreamID == p.StreamID {
				return true
			}
		}
	case *event.Flow:
		if p.Verdict == event.VerdictDropped {
			return slices.ContainsFunc(c.sockets[e.Node], func(s *event.Event) bool {
				return s.Payload.(*event.Socket).Tuple == p.Tuple && s.Time <= e.Time && e.Time <= c.end(s)
			})
		}
		return c.openAt(e, p.Tuple, p.Egress) == 1
	case *event.HTTPFlow:
		return c.openAt(e, p.Tuple, p.Egress) == 1
	}
	return false
}

// openAt counts the exchanges that were open at a flow's time on the socket that
// the flow is about: that of the end whose traffic it is. With both ends on the
// node that matters, since a request is open at its client before it has reached
// its server.
func (c *checker) openAt(e *event.Event, t event.Tuple, egress bool) int {
	role, open := event.RoleServer, 0
	if egress {
		role = event.RoleClient
	}
	for _, o := range c.exchanges(t) {
		if x := o.Payload.(*event.Exchange); o.Node == e.Node && x.Role == role && x.Start <= e.Time && e.Time <= o.Time {
			open++
		}
	}
	return open
}

func (c *checker) exchanges(t event.Tuple) []*event.Event { return c.byTuple[t.Canonical()] }

// end is when the socket of an open record was closed.
func (c *checker) end(s *event.Event) event.Time {
	if at, ok := c.ends[s.Node+s.Payload.(*event.Socket).Cookie.String()]; ok {
		return at
	}
	return event.Never
}

func (c *checker) sockAddress(f *truthLine, e *event.Event) bool {
	p := e.Payload.(*event.Syscall)
	for _, o := range c.sockets[e.Node] {
		s := o.Payload.(*event.Socket)
		if s.Addr == p.SockAddr && s.Opened <= e.Time && e.Time <= c.end(o) && s.Tuple == p.Tuple {
			open := 0
			for _, x := range c.exchanges(s.Tuple) {
				q := x.Payload.(*event.Exchange)
				if x.Node == e.Node && q.Cookie == s.Cookie && q.Start <= e.Time && e.Time <= x.Time {
					open++
				}
			}
			return open == 1
		}
	}
	return false
}

// lineage: an ancestor has the trace in its environment.
func (c *checker) lineage(f *truthLine, e *event.Event) bool {
	var id, parent event.ExecID
	switch p := e.Payload.(type) {
	case *event.Process:
		id, parent = p.ExecID, p.ParentExecID
	case *event.Syscall:
		id, parent = p.ExecID, p.ParentExecID
	case *event.Exchange:
		for _, o := range c.ev.of[event.KindProcessExec] {
			if q := o.Payload.(*event.Process); o.Node == e.Node && q.Process == p.Process {
				id, parent = q.ExecID, q.ParentExecID
			}
		}
	}
	for range 4 {
		for _, o := range c.ev.of[event.KindProcessExec] {
			p := o.Payload.(*event.Process)
			if p.ExecID != id {
				continue
			}
			if !p.Trace.TraceID.IsZero() {
				return true
			}
			parent = p.ParentExecID
		}
		id = parent
	}
	return false
}

// TestReuse: names are reused, and never held twice at a time on one node.
func TestReuse(t *testing.T) {
	o := busy
	o.Loss, o.Requests = 0, 400
	dir, _ := mustRun(t, o)
	ev := gather(t, dir)
	type span struct{ from, to event.Time }
	check := func(what string, held map[string][]span) {
		t.Helper()
		reused := 0
		for name, list := range held {
			slices.SortFunc(list, func(a, b span) int { return int(a.from - b.from) })
			for i := 1; i < len(list); i++ {
				reused++
				if list[i].from < list[i-1].to {
					t.Errorf("%s %s is held twice at %v", what, name, list[i].from)
				}
			}
		}
		if reused == 0 {
			t.Errorf("no %s is ever reused", what)
		}
	}
	addrs, tuples, pids, ips := map[string][]span{}, map[string][]span{}, map[string][]span{}, map[string][]span{}
	for _, e := range ev.of[event.KindSocketClose] {
		s := e.Payload.(*event.Socket)
		addrs[e.Node+s.Addr.String()] = append(addrs[e.Node+s.Addr.String()], span{s.Opened, e.Time})
		if s.Role == event.RoleClient {
			tuples[e.Node+s.Tuple.Src.String()] = append(tuples[e.Node+s.Tuple.Src.String()], span{s.Opened, e.Time})
		}
	}
	exits := map[event.ExecID]event.Time{}
	for _, e := range ev.of[event.KindProcessExit] {
		exits[e.Payload.(*event.Process).ExecID] = e.Time
	}
	for _, e := range ev.of[event.KindProcessExec] {
		p := e.Payload.(*event.Process)
		end, ok := exits[p.ExecID]
		if !ok {
			end = event.Never
		}
		name := e.Node + string(rune(p.Process.PID))
		pids[name] = append(pids[name], span{e.Time, end})
	}
	gone := map[string]event.Time{}
	for _, e := range ev.of[event.KindPod] {
		if p := e.Payload.(*event.Pod); p.ValidTo != 0 {
			gone[p.Workload.PodUID] = p.ValidTo
		}
	}
	for _, e := range ev.of[event.KindPod] {
		p := e.Payload.(*event.Pod)
		if p.ValidTo != 0 {
			continue
		}
		end, ok := gone[p.Workload.PodUID]
		if !ok {
			end = event.Never
		}
		ips[p.IPs[0].String()] = append(ips[p.IPs[0].String()], span{p.ValidFrom, end})
	}
	check("sock address", addrs)
	check("client port", tuples)
	check("pid", pids)
	check("pod address", ips)
}

package stitch

import (
	"cmp"
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/bind"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// maker turns trees of nodes into timelines.
type maker struct {
	dir    *bind.Directory
	sure   sureness
	claims bool     // the request has spans, so an observation without one stands out
	order  []int32  // the nodes in the order of the steps
	ids    []string // node → step id
	nodes  []string
	agents []string // node → its agent
	shown  []int32  // the nodes that have an id, as they were in the last timeline
	told   []int32  // those whose agent is known
	fields attributes
	// What the steps of one timeline share.
	text   text
	words  []string
	events []string
	attrs  timeline.Attributes // scratch, as is ends: where each step's attributes end
	ends   []int
}

// make assembles the timeline of an entry from its nodes.
func (m *maker) make(f *forest, g *group, e *entry, nodes []int32) *timeline.Timeline {
	t := &timeline.Timeline{
		ID: e.id, State: timeline.Closed, Start: e.start, End: e.end,
		TraceIDs: []string{}, Related: []string{}, Agents: []string{}, Models: []string{}, Tools: []string{},
		Ambiguous: []timeline.Ambiguous{}, Alerts: []timeline.AlertRef{},
	}
	m.sure.weigh(g.aliases, e.key)
	m.traces(f, e, nodes, t)
	m.order = append(m.order[:0], nodes...)
	slices.SortFunc(m.order, func(a, b int32) int {
		x, y := &f.nodes[a], &f.nodes[b]
		if c := cmp.Compare(x.start, y.start); c != 0 {
			return c
		}
		if c := cmp.Compare(y.end, x.end); c != 0 {
			return c
		}
		i, j := &f.rows[x.first].Event.ID, &f.rows[y.first].Event.ID
		return slices.Compare(i[:], j[:])
	})
	if over := len(m.order) - MaxSteps; over > 0 {
		t.Truncated = uint32(over)
		m.order = m.order[:MaxSteps]
	}
	m.slabs(f)
	t.Truncated += e.dropped
	m.forget()
	m.ids = room(m.ids, len(f.nodes))
	m.agents = room(m.agents, len(f.nodes))
	for _, n := range m.order {
		id := f.rows[f.nodes[n].first].Event.ID
		m.ids[n] = m.text.hex(id[:8])
		m.shown = append(m.shown, n)
	}
	root := m.order[0]
	for _, n := range m.order {
		if f.contains(n, e.root) {
			root = n
			break
		}
	}
	m.claims = slices.ContainsFunc(m.order, func(n int32) bool { return f.nodes[n].span != nil })
	t.Steps = make([]timeline.Step, 0, len(m.order))
	agents := m.agentsOf(f)
	m.attrs, m.ends = m.attrs[:0], m.ends[:0]
	for bytes, was := 0, 0; len(t.Steps) < len(m.order) && bytes < MaxBytes; was = len(m.attrs) {
		n := m.order[len(t.Steps)]
		t.Steps = append(t.Steps, m.step(f, n, root, agents))
		bytes += sizeOf(&t.Steps[len(t.Steps)-1], m.attrs[was:])
		m.ends = append(m.ends, len(m.attrs))
		m.sum(f, n, t, agents)
	}
	if n := len(t.Steps); n < len(m.order) {
		t.Truncated += uint32(len(m.order) - n)
		root = m.cut(f, t, root)
	}
	attrs, from := slices.Clone(m.attrs), 0
	for i, end := range m.ends {
		t.Steps[i].Attributes, from = attrs[from:end:end], end
	}
	e.clients = m.describe(f, root, t)
	m.rootless(e, f, t)
	m.complete(f, e, t)
	m.relate(g, e, t)
	return t
}

// sizeOf is about how many bytes a step and its attributes are.
func sizeOf(st *timeline.Step, attrs timeline.Attributes) int {
	n := len(st.Name) + 2*len(event.ID{})*len(st.EventIDs)
	for i := range attrs {
		n += len(attrs[i].Key) + len(attrs[i].Str)
	}
	return n
}

// cut has the steps that are shown hang below others that are, now that the last ones
// are left out, and returns the node that is their root.
func (m *maker) cut(f *forest, t *timeline.Timeline, root int32) int32 {
	for _, n := range m.order[len(t.Steps):] {
		m.ids[n] = ""
		if n == root { // by its clock it began last
			root = m.order[0]
		}
	}
	for i := range t.Steps {
		t.Steps[i].ParentID = ""
		if p := m.parent(f, m.order[i], root); p != none {
			t.Steps[i].ParentID = m.ids[p]
		}
	}
	m.order = m.order[:len(t.Steps)]
	return root
}

// forget empties what the last timeline wrote into the lists by node. It does not
// clear them: a forest may have many more nodes than the request that is made of it.
func (m *maker) forget() {
	for _, n := range m.shown {
		m.ids[n] = ""
	}
	for _, n := range m.told {
		m.agents[n] = ""
	}
	m.shown, m.told = m.shown[:0], m.told[:0]
}

// room returns a list with at least n places, of which those that list did not have
// are empty.
func room(list []string, n int) []string {
	if n > len(list) {
		list = append(list, make([]string, n-len(list))...)
	}
	return list
}

// traces lists the trace ids of the entry, the one that names it first.
func (m *maker) traces(f *forest, e *entry, nodes []int32, t *timeline.Timeline) {
	if !e.key.Local {
		t.TraceID = e.key.String()
		t.TraceIDs = append(t.TraceIDs, t.TraceID)
	}
	var keys [8]correlate.Key
	seen := keys[:0]
	for _, n := range nodes {
		for i := f.nodes[n].first; i != none; i = f.next[i] {
			if k := f.rows[i].Key; k != e.key && !k.Local && !slices.Contains(seen, k) {
				seen = append(seen, k)
			}
		}
	}
	slices.SortFunc(seen, correlate.Key.Compare)
	for _, k := range seen {
		if len(t.TraceIDs) == MaxTraceIDs {
			t.Truncated++
			continue
		}
		t.TraceIDs = append(t.TraceIDs, k.String())
	}
}

// parent returns the nearest ancestor that is shown, else the root.
func (m *maker) parent(f *forest, n, root int32) int32 {
	if n == root {
		return none
	}
	for p := f.nodes[n].parent; p != none; p = f.nodes[p].parent {
		if f.nodes[p].shown && m.ids[p] != "" { // not beyond MaxSteps
			return p
		}
	}
	return root
}

// step makes the step of one node.
func (m *maker) step(f *forest, n, root int32, agents []string) timeline.Step {
	nd := &f.nodes[n]
	r := &f.rows[nd.first]
	st := timeline.Step{
		ID: m.ids[n], Start: nd.start, End: nd.end, Status: timeline.OK,
		Source: r.Event.Source.String(), Node: r.Event.Node,
	}
	if p := m.parent(f, n, root); p != none {
		st.ParentID = m.ids[p]
	}
	if !r.Key.Local {
		st.TraceID = m.text.hex(r.Key.ID[:])
	}
	conn := r.Conn
	from := len(m.events)
	for i := nd.first; i != none; i = f.next[i] {
		if f.rows[i].Conn != nil && (conn == nil || i == nd.seen) {
			conn = f.rows[i].Conn
		}
		if f.hidden(i, nd) {
			st.End = min(st.End, f.cut)
			continue
		}
		if !f.duplicate[i] {
			id := f.rows[i].Event.ID
			m.events = append(m.events, m.text.hex(id[:]))
		}
	}
	m.logs(f, n)
	st.EventIDs = m.events[from:len(m.events):len(m.events)]
	if conn != nil {
		st.SocketCookie = m.text.uint(uint64(conn.Cookie))
		st.PID = conn.PID
		if nd.exchange != nil || nd.kind == nodeHTTPFlow {
			st.Connection = &timeline.Connection{
				SocketCookie: st.SocketCookie, Shared: max(1, conn.Steps), Verdict: conn.Verdict.String(),
				Opened: conn.Opened, SNI: conn.SNI,
			}
		}
	}
	a := &m.fields
	m.fill(f, n, &st, a, agents)
	m.attrs = a.take(m.attrs)
	if st.Status == timeline.OK && m.claims && unclaimed(f, n) {
		st.Status = timeline.Unclaimed
	}
	st.Join = m.joinOf(f, nd)
	if k := m.skew(f, n); k != 0 {
		st.Join.Evidence = append(st.Join.Evidence, "clock skew to the caller's node about "+k.String())
	}
	return st
}

// unclaimed reports whether a process or a call out was seen that no model,
// tool or client span stands above.
func unclaimed(f *forest, n int32) bool {
	switch nd := &f.nodes[n]; {
	case nd.span != nil || nd.parent == none:
		return false
	case nd.kind == nodeProcess, nd.kind == nodeExchange && nd.exchange.Role == event.RoleClient:
	case nd.kind == nodeSocket:
		if f.rows[nd.first].Event.Payload.(*event.Socket).Role != event.RoleClient {
			return false
		}
	default:
		return false
	}
	for p := f.nodes[n].parent; p != none; p = f.nodes[p].parent {
		switch s := f.nodes[p].span; {
		case s == nil:
		case s.Kind == event.SpanKindServer:
			return true // what called this server is no reason for what the server does
		case s.Kind == event.SpanKindClient, s.Stage == event.StageTool, s.Stage == event.StageModel,
			s.Stage == event.StageRetrieval:
			return false
		}
	}
	return true
}

// logs adds the log records of a step's span.
func (m *maker) logs(f *forest, n int32) {
	at, _ := slices.BinarySearchFunc(f.logs, n, func(l, n int32) int { return cmp.Compare(f.nodes[l].parent, n) })
	for ; at < len(f.logs) && f.nodes[f.logs[at]].parent == n; at++ {
		id := f.rows[f.nodes[f.logs[at]].first].Event.ID
		m.events = append(m.events, m.text.hex(id[:]))
	}
}

// slabs makes the lists that the steps of one timeline cut theirs from.
func (m *maker) slabs(f *forest) {
	rows := 0
	for _, n := range m.order {
		for i := f.nodes[n].first; i != none; i = f.next[i] {
			rows++
		}
	}
	m.fields.text = &m.text
	m.events = make([]string, 0, rows)
	m.words = make([]string, 0, len(m.order))
}

// skew estimates how far the clock of a served exchange's node is ahead of its
// caller's, from the two views of one exchange: the server's must lie inside
// the client's. It is 0 where it does.
func (m *maker) skew(f *forest, n int32) time.Duration {
	nd := &f.nodes[n]
	if nd.exchange == nil || nd.exchange.Role != event.RoleServer || nd.parent == none {
		return 0
	}
	caller := &f.nodes[nd.parent]
	if caller.exchange == nil || caller.exchange.Role != event.RoleClient {
		return 0
	}
	a, b := f.rows[caller.seen].Event, f.rows[nd.seen].Event
	if a.Node == b.Node || caller.exchange.Start <= nd.exchange.Start && b.Time <= a.Time {
		return 0
	}
	return (nd.exchange.Start.Sub(caller.exchange.Start) + b.Time.Sub(a.Time)) / 2
}

// agentsOf finds the agent of every node: that of the nearest agent span above
// it, since model and tool spans seldom name theirs.
func (m *maker) agentsOf(f *forest) []string {
	names := m.agents
	var find func(n int32, depth int) string
	find = func(n int32, depth int) string {
		if n == none || depth > len(f.nodes) {
			return ""
		}
		if names[n] != "" {
			return names[n]
		}
		if s := f.nodes[n].span; s != nil && s.GenAI.Agent != "" {
			names[n] = s.GenAI.Agent
		} else {
			names[n] = find(f.nodes[n].parent, depth+1)
		}
		if names[n] != "" {
			m.told = append(m.told, n)
		}
		return names[n]
	}
	for _, n := range m.order {
		find(n, 0)
	}
	return names
}

// sum adds a step's agent, model, tool and tokens to the timeline's.
func (m *maker) sum(f *forest, n int32, t *timeline.Timeline, agents []string) {
	nd := &f.nodes[n]
	if nd.span == nil {
		if x := nd.exchange; x != nil && x.Model != "" && nd.kind == nodeExchange {
			add(&t.Models, x.Model)
			t.Tokens.Input += x.Usage.Input
			t.Tokens.Output += x.Usage.Output
		}
		return
	}
	switch nd.span.Stage {
	case event.StageAgent:
		add(&t.Agents, agents[n])
	case event.StageModel:
		add(&t.Agents, agents[n])
		add(&t.Models, modelOf(f, n))
		u := usageOf(f, n)
		t.Tokens.Input += u.Input
		t.Tokens.Output += u.Output
	case event.StageTool:
		add(&t.Tools, nd.span.GenAI.Tool)
	}
}

func add(list *[]string, s string) {
	if s != "" && !slices.Contains(*list, s) {
		*list = append(*list, s)
	}
}

// modelOf is the model that the spans of one call name, the outermost first.
func modelOf(f *forest, n int32) string {
	for i := f.nodes[n].first; i != none; i = f.next[i] {
		switch p := f.rows[i].Event.Payload.(type) {
		case *event.Span:
			if p.GenAI.Model != "" {
				return p.GenAI.Model
			}
		case *event.Exchange:
			if p.Model != "" {
				return p.Model
			}
		}
	}
	return ""
}

// usageOf is the token count of one call: several of its views may state it.
func usageOf(f *forest, n int32) event.Usage {
	var u event.Usage
	for i := f.nodes[n].first; i != none; i = f.next[i] {
		switch p := f.rows[i].Event.Payload.(type) {
		case *event.Span:
			u.Input, u.Output = max(u.Input, p.GenAI.Usage.Input), max(u.Output, p.GenAI.Usage.Output)
		case *event.Exchange:
			u.Input, u.Output = max(u.Input, p.Usage.Input), max(u.Output, p.Usage.Output)
		}
	}
	return u
}

// describe fills the request and the workload from the root and, where the root
// is the load balancer, from what it called; and says who asked.
func (m *maker) describe(f *forest, root int32, t *timeline.Timeline) (c clients) {
	nd := &f.nodes[root]
	if edge, ok := f.rows[nd.first].Event.Payload.(*event.EdgeRequest); ok {
		t.Request = timeline.Request{Method: edge.HTTP.Method, Path: edge.HTTP.Path, Status: edge.HTTP.Status}
		c[clientEdge] = edge.Client.Unmap()
		t.Request.Client = c.String()
		if n := m.callee(f, root); n != none {
			m.workload(f, n, t)
			f.asked(n, &c)
		}
		return c
	}
	if nd.kind == nodeExchange && nd.exchange.Role == event.RoleClient {
		if n := m.callee(f, root); n != none { // the caller was seen too
			root = n
			nd = &f.nodes[root]
		}
	}
	for i := nd.first; i != none; i = f.next[i] {
		var h event.HTTP
		switch p := f.rows[i].Event.Payload.(type) {
		case *event.Span:
			h = p.HTTP
		case *event.Exchange:
			h = p.HTTP
		case *event.HTTPFlow:
			h = p.HTTP
		}
		t.Request.Method = cmp.Or(t.Request.Method, h.Method)
		t.Request.Path = cmp.Or(t.Request.Path, h.Path)
		t.Request.Status = cmp.Or(t.Request.Status, h.Status)
	}
	f.asked(root, &c)
	t.Request.Client = c.String()
	m.workload(f, root, t)
	return c
}

// callee is the first step that took in what step n sent.
func (m *maker) callee(f *forest, n int32) int32 {
	for _, c := range m.order {
		nd := &f.nodes[c]
		if nd.parent == n && (nd.span != nil || nd.exchange != nil && nd.exchange.Role == event.RoleServer) {
			return c
		}
	}
	return none
}

// workload names the one that took the request in: the node's own observer
// beats what a span claims.
func (m *maker) workload(f *forest, n int32, t *timeline.Timeline) {
	w := &t.Workload
	w.Proof = event.ProofClaimed.String()
	take := func(x *event.Workload) {
		w.Cluster, w.Namespace = cmp.Or(w.Cluster, x.Cluster), cmp.Or(w.Namespace, x.Namespace)
		w.Pod, w.Node = cmp.Or(w.Pod, x.Pod), cmp.Or(w.Node, x.Node)
	}
	for i := f.nodes[n].first; i != none; i = f.next[i] {
		r := &f.rows[i]
		if r.Conn == nil {
			continue
		}
		w.Proof = event.ProofNode.String()
		if r.Conn.Workload != nil {
			take(r.Conn.Workload)
		}
	}
	for i := f.nodes[n].first; i != none; i = f.next[i] {
		r := &f.rows[i]
		switch p := r.Event.Payload.(type) {
		case *event.Span:
			if w.Proof == event.ProofClaimed.String() {
				w.Proof = p.Proof.String()
			}
			take(&p.Workload)
			w.Service = cmp.Or(w.Service, p.Service)
		case *event.HTTPFlow:
			take(&p.DstWorkload)
		case *event.Process:
			take(&p.Workload)
		}
		w.Node = cmp.Or(w.Node, r.Event.Node)
		w.Cluster = cmp.Or(w.Cluster, r.Event.Cluster)
	}
}

// rootless widens the bounds of a request whose root nobody saw end.
func (m *maker) rootless(e *entry, f *forest, t *timeline.Timeline) {
	if e.rooted {
		return
	}
	for _, n := range m.order {
		t.Start = min(t.Start, f.nodes[n].start)
		t.End = max(t.End, f.nodes[n].end)
	}
}

// complete says what is known to be missing.
func (m *maker) complete(f *forest, e *entry, t *timeline.Timeline) {
	c := timeline.Completeness{Missing: []string{}, Gaps: []timeline.Gap{}}
	edge, claims, facts, served := false, 0, 0, false
	for _, n := range m.order {
		nd := &f.nodes[n]
		edge = edge || nd.kind == nodeEdge
		served = served || nd.exchange != nil && nd.exchange.Role == event.RoleServer
		if nd.span != nil {
			claims++
		}
		if nd.exchange != nil || nd.kind != nodeSpan && nd.kind != nodeEdge && nd.kind != nodeLog {
			facts++
		}
	}
	blocked := edge && len(t.Steps) == 1 && t.Steps[0].Status == timeline.Denied
	expected := 1.0
	want := func(part string, there bool) {
		expected++
		if !there {
			c.Missing = append(c.Missing, part)
		}
	}
	if !e.rooted {
		c.Missing = append(c.Missing, "root")
	}
	if !blocked {
		if m.dir.ExpectsEdge() && (t.Steps[0].Layer == timeline.LayerEdge || e.clients.balanced()) {
			want(string(timeline.LayerEdge), edge)
		}
		want(string(timeline.LayerAgent), claims > 0) // the workload's own account
		want(string(timeline.LayerNetwork), facts > 0)
	}
	c.Score = round3((expected - float64(len(c.Missing))) / expected)
	nodes := append(m.nodes[:0], "")
	for i := range t.Steps {
		if !slices.Contains(nodes, t.Steps[i].Node) {
			nodes = append(nodes, t.Steps[i].Node)
		}
	}
	m.nodes = nodes
	m.dir.Gaps(t.Start, t.End, nodes, func(g bind.Gap) {
		gap := timeline.Gap{Source: g.Source.String(), Node: g.Node, Start: g.Start, End: g.End, Lost: g.Lost, Reason: g.Reason}
		if gap.End == event.Never {
			gap.End = t.End
		}
		c.Gaps = append(c.Gaps, gap)
	})
	slices.SortFunc(c.Gaps, func(a, b timeline.Gap) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Node, b.Node),
			cmp.Compare(a.End, b.End), cmp.Compare(a.Lost, b.Lost))
	})
	t.Completeness = c
}

// relate names the other requests of the same trace id, the newest 64; where their clients
// are known to differ, somebody used a trace id that was not his.
func (m *maker) relate(g *group, e *entry, t *timeline.Timeline) {
	for i := len(g.entries) - 1; i >= 0 && len(t.Related) < MaxTraceIDs; i-- {
		o := g.entries[i]
		if o == e || o.id == "" || o.id == e.id {
			continue
		}
		t.Related = append(t.Related, o.id)
		if e.clients.differ(&o.clients) && len(t.Alerts) == 0 {
			t.Alerts = append(t.Alerts, timeline.AlertRef{
				AlertID: t.ID + "/trace_id_reused", RuleID: "trace_id_reused", Severity: "medium", State: "open",
				Title: "one trace id, several requests of different clients", StepIDs: []string{t.Steps[0].ID},
			})
		}
	}
	slices.Sort(t.Related)
}

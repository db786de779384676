package otlp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/recordings"
)

// readRecords returns the JSON values of a recording, which may be pretty-printed.
func readRecords(t testing.TB, name string) [][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join(recordings.Dir(t), name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var recs [][]byte
	for dec := json.NewDecoder(bufio.NewReader(f)); ; {
		var rec json.RawMessage
		if err := dec.Decode(&rec); errors.Is(err, io.EOF) {
			return recs
		} else if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, rec)
	}
}

func decodeAll(t testing.TB, recs [][]byte) ([]event.Event, ingest.Tally) {
	t.Helper()
	var d Decoder
	var b event.Batch
	var sum ingest.Tally
	for i, rec := range recs {
		tally, err := d.Decode(rec, &b)
		if err != nil {
			t.Errorf("record %d: %v", i, err)
		}
		sum.Add(tally)
	}
	if sum.In != len(b.Events)+sum.Bad+sum.UnknownType {
		t.Errorf("%d events do not balance %+v", len(b.Events), sum)
	}
	return b.Events, sum
}

func TestRecordedAgents(t *testing.T) {
	type counts struct{ Spans, Traces, Agents, Models, Tools, Handoffs, ToolGroups, HTTPServers, HTTPClients, None int }
	f := func(name string, want counts) {
		t.Helper()
		events, tally := decodeAll(t, readRecords(t, "adk-truth/adk-go-"+name+".jsonl"))
		if want.Spans != tally.In {
			t.Errorf("%s: %d spans, want %d", name, tally.In, want.Spans)
		}
		got := counts{Spans: len(events)}
		seen := map[event.TraceID]bool{}
		ids := map[event.ID]bool{}
		for i := range events {
			e := &events[i]
			s := e.Payload.(*event.Span)
			seen[s.TraceID], ids[e.ID] = true, true
			g := &s.GenAI
			switch s.Stage {
			case event.StageAgent:
				got.Agents++
				if g.Agent == "" || g.Conversation == "" || g.Invocation == "" {
					t.Errorf("%s: agent span says too little: %+v", name, g)
				}
			case event.StageModel:
				got.Models++
				if g.Model == "" || g.Usage.Input == 0 || g.Usage.Output == 0 || g.Finish == "" || g.Framework != "adk" {
					t.Errorf("%s: model span says too little: %+v", name, g)
				}
			case event.StageTool:
				got.Tools++
				if g.Tool == "" || g.ToolCallID == "" || g.ToolHashes == (event.Hashes{}) || g.ToolArgs != "" {
					t.Errorf("%s: tool span %+v", name, g)
				}
			case event.StageHandoff:
				got.Handoffs++
				if g.HandoffTo != "executor" {
					t.Errorf("%s: hand-off to %q", name, g.HandoffTo)
				}
			case event.StageToolGroup:
				got.ToolGroups++
			case event.StageHTTP:
				if s.HTTP.Method == "" || s.HTTP.Path == "" || s.HTTP.Status == 0 || s.Server == "" {
					t.Errorf("%s: HTTP span %+v", name, s)
				}
				if s.Kind == event.SpanKindClient {
					got.HTTPClients++
					break
				}
				got.HTTPServers++
				if !s.Peer.IsValid() || s.Peer.Port() == 0 || s.HTTP.Path != "/run" {
					t.Errorf("%s: server span %+v", name, s)
				}
			default:
				got.None++
			}
			w := event.Workload{
				Cluster: "prod", Namespace: "agents", Pod: s.Workload.Pod, PodUID: s.Workload.PodUID, Node: "gke-prod-pool-1-a1b2",
			}
			if s.Workload != w || w.Pod == "" || w.PodUID == "" || s.PID == 0 || s.Service == "" || e.Node != w.Node || e.Cluster != "prod" {
				t.Errorf("%s: workload %+v, node %q, pid %d", name, s.Workload, e.Node, s.PID)
			}
			if s.Start == 0 || e.Time < s.Start || s.Scope == "" {
				t.Errorf("%s: %v to %v, scope %q", name, s.Start, e.Time, s.Scope)
			}
		}
		got.Traces = len(seen)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(ids) != len(events) {
			t.Errorf("%s: %d ids for %d spans", name, len(ids), len(events))
		}
	}
	f("gemini", counts{Spans: 2850, Traces: 300, Agents: 525, Models: 975, Tools: 525, Handoffs: 225, ToolGroups: 75, HTTPServers: 300, HTTPClients: 225})
	f("gsse", counts{Spans: 950, Traces: 100, Agents: 175, Models: 325, Tools: 175, Handoffs: 75, ToolGroups: 25, HTTPServers: 100, HTTPClients: 75})
	f("vertex", counts{Spans: 3825, Traces: 300, Agents: 525, Models: 975, Tools: 525, Handoffs: 225, ToolGroups: 75, HTTPServers: 300, HTTPClients: 1200})
	f("gq8", counts{Spans: 3825, Traces: 300, Agents: 525, Models: 975, Tools: 525, Handoffs: 225, ToolGroups: 75, HTTPServers: 300, HTTPClients: 1200})
	f("nohttp", counts{Spans: 510, Traces: 60, Agents: 105, Models: 195, Tools: 105, Handoffs: 45, ToolGroups: 15, HTTPClients: 45})
}

func TestRecordedLibraries(t *testing.T) {
	f := func(name string, want int) {
		t.Helper()
		events, tally := decodeAll(t, readRecords(t, "otel-adk/"+name))
		if tally.In != want || len(events) != want {
			t.Errorf("%s: %d events of %d records, want %d", name, len(events), tally.In, want)
		}
	}
	f("adk-go-v2.0.0_functiontool.traces.otlp.jsonl", 65)
	f("adk-go-v2.0.0_llmagent.traces.otlp.jsonl", 293)
	f("adk-go-v2.0.0_parallelagent.traces.otlp.jsonl", 391)
	f("otel-ops-go_traces_basic.otlp.json", countItems(t, "otel-adk/otel-ops-go_traces_basic.otlp.json", "spanId"))
	f("adk-go-v2.0.0_functiontool.logs.otlp.jsonl", countItems(t, "otel-adk/adk-go-v2.0.0_functiontool.logs.otlp.jsonl", "observedTimeUnixNano"))
	f("adk-go-v2.0.0_llmagent.logs.otlp.jsonl", countItems(t, "otel-adk/adk-go-v2.0.0_llmagent.logs.otlp.jsonl", "observedTimeUnixNano"))

	events, _ := decodeAll(t, readRecords(t, "otel-adk/adk-go-v2.0.0_llmagent.logs.otlp.jsonl"))
	ids := map[event.ID]bool{}
	for i := range events {
		ids[events[i].ID] = true
		l := events[i].Payload.(*event.SpanLog)
		if l.Name == "" || l.Service == "" || events[i].Time == 0 || events[i].Time != events[i].Observed {
			t.Errorf("log record %+v at %v", l, events[i].Time)
		}
	}
	if len(ids) != len(events) {
		t.Errorf("%d ids for %d log records", len(ids), len(events))
	}
}

func countItems(t *testing.T, name, member string) (n int) {
	for _, rec := range readRecords(t, name) {
		n += bytes.Count(rec, []byte(`"`+member+`"`))
	}
	return n
}

func TestRecordedForeignFormats(t *testing.T) {
	for _, name := range []string{"GOOGLE", "LANGCHAIN", "OPENAI"} {
		for _, rec := range readRecords(t, "otel-adk/any-agent_"+name+"_trace.json") {
			var d Decoder
			var b event.Batch
			tally, err := d.Decode(rec, &b)
			if !errors.Is(err, ingest.ErrUnknownType) || tally != (ingest.Tally{In: 1, UnknownType: 1}) || len(b.Events) != 0 {
				t.Errorf("%s: %+v, %v", name, tally, err)
			}
		}
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/event"
)

// agentRun is a recording of an agent under load: the spans of its model calls,
// and the calls as the model's server saw them.
type agentRun struct {
	owners []link.Owner
	calls  []link.Call
	truth  truth // by number of call and owner; judged trace by trace
}

// modelCall is what the model's server saw. Only what the wire shows is used to
// link; RequestID is the truth.
type modelCall struct {
	Kind      string `json:"kind"`
	Peer      string `json:"peer"`
	Start     int64  `json:"start_ns"`
	End       int64  `json:"end_ns"`
	Sent      uint64 `json:"req_bytes"`
	Received  uint64 `json:"resp_bytes"`
	RequestID string `json:"req_id"`
}

// readAgent reads a recording: NAME.jsonl has the spans, NAME.truth-llm.jsonl the
// calls. Sizes are left out where sized is false.
func readAgent(dir, name string, sized bool) (*agentRun, error) {
	run := &agentRun{truth: truth{parent: map[string]string{}, trace: map[string]string{}}}
	conversations := map[event.TraceID]string{}
	var traces []event.TraceID // of the owners
	_, err := replay.Run(context.Background(), replay.Options{Paths: []string{filepath.Join(dir, name+".jsonl")}}, func(b *event.Batch, _ event.Time) error {
		for i := range b.Events {
			s, ok := b.Events[i].Payload.(*event.Span)
			if !ok {
				continue
			}
			if c := s.GenAI.Conversation; c != "" {
				conversations[s.TraceID] = c
			}
			if s.Stage != event.StageModel || !strings.HasPrefix(s.Name, "generate_content") {
				continue
			}
			o := link.Owner{ID: uint64(len(traces) + 1), Start: s.Start, End: b.Events[i].Time, Single: true}
			if sized {
				o.Sizes = [2]uint64{s.GenAI.Usage.Input, s.GenAI.Usage.Output}
			}
			run.owners = append(run.owners, o)
			traces = append(traces, s.TraceID)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read spans: %w", err)
	}
	f, err := os.Open(filepath.Join(dir, name+".truth-llm.jsonl"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for i, tr := range traces {
		run.truth.trace["o"+strconv.Itoa(i+1)] = conversations[tr]
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var c modelCall
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("read calls: %w", err)
		}
		if c.Kind != "llm" {
			continue
		}
		l := link.Call{ID: uint64(len(run.calls) + 1), Start: event.Time(c.Start), End: event.Time(c.End)}
		if sized {
			l.Sizes = [2]uint64{c.Sent, c.Received}
		}
		run.calls = append(run.calls, l)
		run.truth.parent[strconv.FormatUint(l.ID, 10)] = "s-" + c.RequestID
	}
	return run, lines.Err()
}

// agentFigures is how well the calls of a recording found their traces.
type agentFigures struct {
	Calls     int
	Right     float64 // calls given to the right trace / calls
	At        float64 // the same at the default limit
	Mislinked float64 // at the default limit
	// Candidates is how many spans were open around a call, on average.
	Candidates float64
}

// link gives the calls to the spans and compares the traces.
func (r *agentRun) link(least float64) agentFigures {
	l := link.New(link.Config{})
	for _, o := range r.owners {
		l.Owner(o)
	}
	for _, c := range r.calls {
		l.Call(c)
	}
	f := agentFigures{Calls: len(r.calls)}
	n := float64(len(r.calls))
	for _, m := range l.Advance(event.Never) {
		want := r.truth.parent[strconv.FormatUint(m.Call, 10)]
		if m.Owner != 0 && r.truth.trace["o"+strconv.FormatUint(m.Owner, 10)] == want {
			f.Right += 1 / n
		}
		// The parts of one request are one answer.
		sum := map[string]float64{}
		best := ""
		for _, c := range m.Candidates {
			tr := r.truth.trace["o"+strconv.FormatUint(c.Owner, 10)]
			if sum[tr] += c.Confidence; sum[tr] > sum[best] {
				best = tr
			}
		}
		if sum[best] >= least {
			if best == want {
				f.At += 1 / n
			} else {
				f.Mislinked += 1 / n
			}
		}
	}
	for i := range r.calls {
		for j := range r.owners {
			if r.owners[j].Start <= r.calls[i].Start && r.owners[j].End >= r.calls[i].End {
				f.Candidates += 1 / n
			}
		}
	}
	return f
}

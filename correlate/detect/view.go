package detect

import (
	"strconv"
	"time"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// step is what a condition sees of a step.
type step struct {
	ID       string            `cel:"id"`
	Layer    string            `cel:"layer"`
	Name     string            `cel:"name"`
	Status   string            `cel:"status"`
	Source   string            `cel:"source"`
	Node     string            `cel:"node"`
	PID      int64             `cel:"pid"`
	Start    time.Time         `cel:"start"`
	Duration time.Duration     `cel:"duration"`
	attrs    map[string]string // OpenTelemetry names; numbers in decimal
	// Observed is true where a kernel or network source saw it, Claimed where a
	// span stands for it.
	Observed bool `cel:"observed"`
	Claimed  bool `cel:"claimed"`
	// Within are the layers above, the nearest first; Tool, Agent and Process the
	// names of the nearest such step above.
	Within  []string `cel:"within"`
	Tool    string   `cel:"tool"`
	Agent   string   `cel:"agent"`
	Process string   `cel:"process"`
	Host    string   `cel:"host"` // that it spoke to: a name, else an address
	Exact   bool     `cel:"exact"`
	Method  string   `cel:"method"` // of its join
	Sure    float64  `cel:"confidence"`
}

// request is what a condition sees of a timeline.
type request struct {
	ID           string        `cel:"id"`
	Method       string        `cel:"method"`
	Path         string        `cel:"path"`
	Status       int64         `cel:"status"`
	Client       string        `cel:"client"`
	Namespace    string        `cel:"namespace"`
	Pod          string        `cel:"pod"`
	Service      string        `cel:"service"`
	Start        time.Time     `cel:"start"`
	Duration     time.Duration `cel:"duration"`
	Agents       []string      `cel:"agents"`
	Models       []string      `cel:"models"`
	Tools        []string      `cel:"tools"`
	InputTokens  int64         `cel:"input_tokens"`
	OutputTokens int64         `cel:"output_tokens"`
	ModelCalls   int64         `cel:"model_calls"`
	ToolCalls    int64         `cel:"tool_calls"`
	Missing      []string      `cel:"missing"`
	Gaps         []string      `cel:"gaps"`
	Findings     []string      `cel:"findings"` // ids of what the engine itself found
	Steps        []*step       `cel:"steps"`
}

func viewOf(t *timeline.Timeline) *request {
	r := &request{
		ID: t.ID, Method: t.Request.Method, Path: t.Request.Path, Status: int64(t.Request.Status), Client: t.Request.Client,
		Namespace: t.Workload.Namespace, Pod: t.Workload.Pod, Service: t.Workload.Service,
		Start: t.Start.Std(), Duration: t.End.Sub(t.Start), Agents: t.Agents, Models: t.Models, Tools: t.Tools,
		InputTokens: int64(t.Tokens.Input), OutputTokens: int64(t.Tokens.Output), Missing: t.Completeness.Missing,
		Steps: make([]*step, len(t.Steps)),
	}
	for i := range t.Completeness.Gaps {
		r.Gaps = append(r.Gaps, t.Completeness.Gaps[i].Source)
	}
	for i := range t.Alerts {
		r.Findings = append(r.Findings, t.Alerts[i].RuleID)
	}
	at := make(map[string]int, len(t.Steps))
	for i := range t.Steps {
		at[t.Steps[i].ID] = i
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		switch {
		case s.Layer == timeline.LayerModel:
			r.ModelCalls++
		case s.Layer == timeline.LayerTool:
			r.ToolCalls++
		}
		v := &step{
			ID: s.ID, Layer: string(s.Layer), Name: s.Name, Status: string(s.Status), Source: s.Source, Node: s.Node, PID: int64(s.PID),
			Start: s.Start.Std(), Duration: s.End.Sub(s.Start), attrs: make(map[string]string, len(s.Attributes)),
			Claimed: s.SpanID != "", Exact: s.Join.Exact, Method: s.Join.Method, Sure: s.Join.Confidence,
		}
		v.Observed = s.Source != "otlp" || s.SocketCookie != "" || s.PID != 0
		for _, a := range s.Attributes {
			if v.attrs[a.Key] = a.Str; a.IsNum {
				v.attrs[a.Key] = strconv.FormatInt(a.Num, 10)
			}
		}
		v.Host = v.attrs["server.address"]
		if v.Host == "" {
			v.Host = v.attrs["network.peer.address"]
		}
		for p, n := s.ParentID, 0; p != "" && n < len(t.Steps); n++ {
			j, ok := at[p]
			if !ok {
				break
			}
			up := &t.Steps[j]
			v.Within = append(v.Within, string(up.Layer))
			switch {
			case up.Layer == timeline.LayerTool && v.Tool == "":
				v.Tool = up.Name
			case up.Layer == timeline.LayerAgent && v.Agent == "":
				v.Agent = up.Name
			case up.Layer == timeline.LayerProcess && v.Process == "":
				v.Process = up.Name
			}
			p = up.ParentID
		}
		r.Steps[i] = v
	}
	return r
}

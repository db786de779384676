package detect

import (
	"slices"
	"strconv"
	"time"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// step is what a condition sees of a step.
type step struct {
	ID       string        `cel:"id"`
	Layer    string        `cel:"layer"`
	Name     string        `cel:"name"`
	Status   string        `cel:"status"`
	Source   string        `cel:"source"`
	Node     string        `cel:"node"`
	PID      int64         `cel:"pid"`
	Start    time.Time     `cel:"start"`
	Duration time.Duration `cel:"duration"`
	// Observed is true where a kernel or network source saw it, Claimed where a
	// span stands for it.
	Observed bool `cel:"observed"`
	Claimed  bool `cel:"claimed"`
	// Unclaimed is true of a process or a call that the agent's own account does not
	// explain, whatever came of it: the status of one that was killed is killed.
	Unclaimed bool `cel:"unclaimed"`
	// Within are the layers above, the nearest first; Tool, Agent and Process the
	// names of the nearest such step above.
	Within  []string `cel:"within"`
	Tool    string   `cel:"tool"`
	Agent   string   `cel:"agent"`
	Process string   `cel:"process"`
	// Below are the layers of what hangs below it. Watched is true where processes of
	// its node were observed before it began; Execs counts those that began in its pod
	// while it ran and do not say whose they are: any may be below it.
	Below   []string `cel:"below"`
	Watched bool     `cel:"watched"`
	Execs   int64    `cel:"execs"`
	Host    string   `cel:"host"` // that it spoke to: a name, else an address
	Exact   bool     `cel:"exact"`
	Method  string   `cel:"method"` // of its join
	Sure    float64  `cel:"confidence"`

	of *timeline.Step
}

// attr is an attribute under OpenTelemetry's name; a number is in decimal.
func (s *step) attr(key string) string {
	for i := range s.of.Attributes {
		a := &s.of.Attributes[i]
		switch {
		case a.Key != key:
		case a.IsNum:
			return strconv.FormatInt(a.Num, 10)
		default:
			return clip(a.Str)
		}
	}
	return ""
}

// request is what a condition sees of a timeline.
type request struct {
	ID           string        `cel:"id"` // empty for an event that no request claims
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
	Ambiguous    int64         `cel:"ambiguous"` // events that may be of this request
	Related      int64         `cel:"related"`   // other requests under its trace id
	Findings     []string      `cel:"findings"`  // ids of what the engine itself found
	Steps        []*step       `cel:"steps"`
}

// view makes the views of a timeline as they are asked for: most rules ask for few.
type view struct {
	t     *timeline.Timeline
	whole *request
	steps []*step
	at    map[string]int // step id → its place
	below [][]string     // step → layers below it
	w     *Watch
}

func (v *view) step(i int) *step {
	if v.steps == nil {
		v.steps = make([]*step, len(v.t.Steps))
	}
	if v.steps[i] == nil {
		v.steps[i] = v.makeStep(i)
	}
	return v.steps[i]
}

func (v *view) makeStep(i int) *step {
	t := v.t
	if v.at == nil {
		v.at = make(map[string]int, len(t.Steps))
		for j := range t.Steps {
			v.at[t.Steps[j].ID] = j
		}
	}
	s := &t.Steps[i]
	o := &step{
		ID: s.ID, Layer: string(s.Layer), Name: clip(s.Name), Status: string(s.Status), Source: s.Source, Node: s.Node, PID: int64(s.PID),
		Start: s.Start.Std(), Duration: s.End.Sub(s.Start), of: s,
		Claimed: s.SpanID != "", Exact: s.Join.Exact, Method: s.Join.Method, Sure: s.Join.Confidence,
		Observed: s.Source != "otlp" || s.SocketCookie != "" || s.PID != 0,
	}
	if o.Host = o.attr("server.address"); o.Host == "" {
		o.Host = o.attr("network.peer.address")
	}
	o.Below = v.layersBelow(i)
	first := v.w.nodes[s.Node]
	o.Watched = first != 0 && first <= s.Start
	o.Execs = v.w.started(s, o.attr("k8s.pod.name"))
	for p, n := s.ParentID, 0; p != "" && n < len(t.Steps); n++ {
		j, ok := v.at[p]
		if !ok {
			break
		}
		up := &t.Steps[j]
		o.Within = append(o.Within, string(up.Layer))
		switch {
		case up.Layer == timeline.LayerTool && o.Tool == "":
			o.Tool = clip(up.Name)
		case up.Layer == timeline.LayerAgent && o.Agent == "":
			o.Agent = clip(up.Name)
		case up.Layer == timeline.LayerProcess && o.Process == "":
			o.Process = clip(up.Name)
		}
		p = up.ParentID
	}
	o.Unclaimed = s.Status == timeline.Unclaimed || s.Layer == timeline.LayerProcess && s.ParentID != "" &&
		(s.Status == timeline.Killed || s.Status == timeline.Error) && v.unexplained(s)
	return o
}

// unexplained reports whether no span of a model, a tool or a call stands above a
// process, in a request whose agent tells of itself: as stitch decides it for one that
// ended well.
func (v *view) unexplained(s *timeline.Step) bool {
	for p, n := s.ParentID, 0; p != "" && n < len(v.t.Steps); n++ {
		j, ok := v.at[p]
		if !ok {
			break
		}
		up := &v.t.Steps[j]
		if up.SpanID != "" {
			switch up.Layer {
			case timeline.LayerServer:
				return true
			case timeline.LayerModel, timeline.LayerTool, timeline.LayerHTTP:
				return false
			}
		}
		p = up.ParentID
	}
	return slices.ContainsFunc(v.t.Steps, func(o timeline.Step) bool { return o.SpanID != "" && o.Layer != timeline.LayerEdge })
}

// layersBelow finds for all steps at once what hangs below them. A step adds its layer
// to those above it until it comes to one that has it: what is above that has it too.
func (v *view) layersBelow(i int) []string {
	if v.below == nil {
		v.below = make([][]string, len(v.t.Steps))
		for n := range v.t.Steps {
			layer := string(v.t.Steps[n].Layer)
			for p := v.t.Steps[n].ParentID; p != ""; {
				j, ok := v.at[p]
				if !ok || slices.Contains(v.below[j], layer) {
					break
				}
				v.below[j] = append(v.below[j], layer)
				p = v.t.Steps[j].ParentID
			}
		}
	}
	return v.below[i]
}

// request is the whole, its steps only if some rule looks at them.
func (v *view) request(steps bool) *request {
	if v.whole == nil {
		v.whole = requestOf(v.t)
	}
	if steps && v.whole.Steps == nil {
		for i := range v.t.Steps {
			v.step(i)
		}
		v.whole.Steps = v.steps
	}
	return v.whole
}

func requestOf(t *timeline.Timeline) *request {
	r := &request{
		ID: t.ID, Method: t.Request.Method, Path: clip(t.Request.Path), Status: int64(t.Request.Status), Client: t.Request.Client,
		Namespace: t.Workload.Namespace, Pod: t.Workload.Pod, Service: t.Workload.Service,
		Start: t.Start.Std(), Duration: t.End.Sub(t.Start), Agents: t.Agents, Models: t.Models, Tools: t.Tools,
		Ambiguous: int64(len(t.Ambiguous)), Related: int64(len(t.Related)), InputTokens: int64(t.Tokens.Input), OutputTokens: int64(t.Tokens.Output), Missing: t.Completeness.Missing,
	}
	for i := range t.Completeness.Gaps {
		r.Gaps = append(r.Gaps, t.Completeness.Gaps[i].Source)
	}
	for i := range t.Alerts {
		r.Findings = append(r.Findings, t.Alerts[i].RuleID)
	}
	for i := range t.Steps {
		switch t.Steps[i].Layer {
		case timeline.LayerModel:
			r.ModelCalls++
		case timeline.LayerTool:
			r.ToolCalls++
		}
	}
	return r
}

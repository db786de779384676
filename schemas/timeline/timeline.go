// Package timeline is what Sennit delivers: one request, every step of it, and
// how each step is known. The JSON form is a contract (timeline.schema.json).
package timeline

import "github.com/sennit-io/sennit/schemas/event"

// Timeline is one request from its entry to the last syscall, at one revision.
type Timeline struct {
	ID           string   `json:"timeline_id"`
	TraceID      string   `json:"trace_id"` // 32 hex digits, or empty
	TraceIDs     []string `json:"trace_ids"`
	Related      []string `json:"related"`
	SupersededBy string   `json:"superseded_by"`
	// Revision is 0 while open (live view only), 1 at the first close, and
	// rises with every later settling point. Update counts the live views.
	Revision  uint32     `json:"revision"`
	Update    uint32     `json:"update"`
	State     State      `json:"state"`
	Truncated uint32     `json:"truncated"` // steps left out by the limits
	Start     event.Time `json:"start"`
	End       event.Time `json:"end"`
	Request   Request    `json:"request"`
	Workload  Workload   `json:"workload"`
	// Agents, Models and Tools in order of first appearance.
	Agents       []string     `json:"agents"`
	Models       []string     `json:"models"`
	Tools        []string     `json:"tools"`
	Tokens       Tokens       `json:"tokens"`
	Completeness Completeness `json:"completeness"`
	Steps        []Step       `json:"steps"` // in order of start, then step id
	Ambiguous    []Ambiguous  `json:"ambiguous"`
	Alerts       []AlertRef   `json:"alerts"`
}

// State of a timeline.
type State string

// States.
const (
	Open   State = "open"
	Closed State = "closed"
)

// Request is the head of the request that began it all.
type Request struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Status uint16 `json:"status"`
	Client string `json:"client"`
}

// Workload is the one that took the request in.
type Workload struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Node      string `json:"node"`
	Service   string `json:"service"`
	Proof     string `json:"proof"` // "socket", "node" or "claimed"
}

// Tokens summed over the model calls.
type Tokens struct {
	Input  uint64 `json:"input"`
	Output uint64 `json:"output"`
}

// Completeness says what of the picture is known to be missing.
type Completeness struct {
	Score   float64  `json:"score"`   // 0..1, three decimals
	Missing []string `json:"missing"` // layers or "root"
	Gaps    []Gap    `json:"gaps"`
}

// Gap is a time in which a source lost events.
type Gap struct {
	Source string     `json:"source"`
	Node   string     `json:"node"`
	Start  event.Time `json:"start"`
	End    event.Time `json:"end"`
	Lost   uint64     `json:"lost"` // 0: unknown how many
	Reason string     `json:"reason"`
}

// Layer is the part of the system that a step belongs to.
type Layer string

// Layers, outermost first.
const (
	LayerEdge    Layer = "edge"
	LayerNetwork Layer = "network"
	LayerPolicy  Layer = "policy"
	LayerServer  Layer = "server"
	LayerAgent   Layer = "agent"
	LayerModel   Layer = "model"
	LayerTool    Layer = "tool"
	LayerHTTP    Layer = "http"
	LayerDNS     Layer = "dns"
	LayerProcess Layer = "process"
	LayerFile    Layer = "file"
	LayerSyscall Layer = "syscall"
)

// Status of a step.
type Status string

// Statuses.
const (
	OK        Status = "ok"
	Error     Status = "error"
	Denied    Status = "denied"
	Killed    Status = "killed"
	Unclaimed Status = "unclaimed"
)

// Step is one thing that happened, with what is known of it from all sources.
type Step struct {
	ID           string      `json:"step_id"`
	ParentID     string      `json:"parent_step_id"`
	Layer        Layer       `json:"layer"`
	Name         string      `json:"name"`
	Start        event.Time  `json:"start"`
	End          event.Time  `json:"end"`
	Status       Status      `json:"status"`
	Source       string      `json:"source"`
	Node         string      `json:"node"`
	PID          uint32      `json:"pid"`
	SocketCookie string      `json:"socket_cookie"` // decimal, empty for none
	TraceID      string      `json:"trace_id"`
	SpanID       string      `json:"span_id"`
	Attributes   Attributes  `json:"attributes"`
	EventIDs     []string    `json:"event_ids"`
	Connection   *Connection `json:"connection,omitempty"`
	Join         Join        `json:"join"`
}

// Connection is what is known of the connection a step used; Shared is how many
// steps share it.
type Connection struct {
	SocketCookie string     `json:"socket_cookie"`
	Shared       uint32     `json:"shared"`
	Verdict      string     `json:"verdict"`
	Opened       event.Time `json:"opened"`
	SNI          string     `json:"sni"`
}

// Join says how a step came to its timeline.
type Join struct {
	Method     string     `json:"method"`
	Exact      bool       `json:"exact"`
	Confidence float64    `json:"confidence"` // 0..1, three decimals
	Candidates uint32     `json:"candidates"`
	Evidence   []string   `json:"evidence"`
	Rejected   []Rejected `json:"rejected"`
}

// Rejected is another timeline a step might have belonged to.
type Rejected struct {
	TimelineID string  `json:"timeline_id"`
	Method     string  `json:"method"`
	Confidence float64 `json:"confidence"`
	Why        string  `json:"why"`
}

// Ambiguous is an event that belongs to one of several timelines, nobody can
// say which.
type Ambiguous struct {
	EventID    string      `json:"event_id"`
	Candidates []Candidate `json:"candidates"`
}

// Candidate is one of them.
type Candidate struct {
	TimelineID string  `json:"timeline_id"`
	Confidence float64 `json:"confidence"`
}

// AlertRef is an alert as its timeline shows it; package alert has the whole.
type AlertRef struct {
	AlertID  string   `json:"alert_id"`
	RuleID   string   `json:"rule_id"`
	Severity string   `json:"severity"`
	Title    string   `json:"title"`
	State    string   `json:"state"`
	StepIDs  []string `json:"step_ids"`
}

// Attributes are the step's attributes under their fixed names, in the order of
// the names. It is a JSON object.
type Attributes []Attribute

// Attribute has a string or a number: Num is used when IsNum is set.
type Attribute struct {
	Key   string
	Str   string
	Num   int64
	IsNum bool
}

package detect

import (
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"github.com/sennit-io/sennit/schemas/event"
)

// fact is what a condition sees of one event: the same names whatever its kind, the
// zero value where a kind has no such thing.
type fact struct {
	Kind      string        `cel:"kind"` // "process_exec", "exchange", …: the kinds of recordings
	Source    string        `cel:"source"`
	Node      string        `cel:"node"`
	Time      time.Time     `cel:"time"`
	Duration  time.Duration `cel:"duration"`
	Namespace string        `cel:"namespace"`
	Pod       string        `cel:"pod"`
	Container string        `cel:"container"`
	TraceID   string        `cel:"trace_id"` // that it names itself

	// Processes, and what they called.
	PID      int64  `cel:"pid"`
	ExecID   string `cel:"exec_id"`
	Binary   string `cel:"binary"`
	Args     string `cel:"args"` // empty unless command lines are let through
	Signal   string `cel:"signal"`
	ExitCode int64  `cel:"exit_code"`
	// OfAgent is true where agents in its pod have told of themselves by spans.
	OfAgent   bool   `cel:"of_agent"`
	Inventory bool   `cel:"inventory"` // it ran before anybody looked
	Function  string `cel:"function"`
	File      string `cel:"file"`
	Policy    string `cel:"policy"`
	Action    string `cel:"action"` // "post", "sigkill"
	Message   string `cel:"message"`

	// The network. Host is a name, else the address, of the other end.
	Host       string `cel:"host"`
	Address    string `cel:"address"`
	Port       int64  `cel:"port"`
	Verdict    string `cel:"verdict"`
	DropReason string `cel:"drop_reason"`
	Denied     bool   `cel:"denied"`
	Egress     bool   `cel:"egress"`
	Method     string `cel:"method"`
	Path       string `cel:"path"`
	Status     int64  `cel:"status"`
	Client     string `cel:"client"`
	BytesOut   int64  `cel:"bytes_out"`
	BytesIn    int64  `cel:"bytes_in"`

	// Spans.
	Stage   string `cel:"stage"` // "agent", "model", "tool", …
	Name    string `cel:"name"`
	Service string `cel:"service"`
	Agent   string `cel:"agent"`
	Model   string `cel:"model"`
	Tool    string `cel:"tool"`
	Error   string `cel:"error"`

	// Reason is of a loss, Lost how much of it: "forged_node" is one.
	Reason string `cel:"reason"`
	Lost   int64  `cel:"lost"`

	id      string
	at      event.Time
	subject string // who did it: events of one subject tell of one thing
	trace   event.TraceID
	process event.ProcessRef
}

// maxString is the length at which strings are cut that a condition sees, in bytes.
const maxString = 4096

func clip(s string) string {
	if len(s) > maxString {
		return s[:maxString]
	}
	return s
}

// factOf copies what conditions may ask of an event, so that the event can go. What
// takes a text to be made is left to finish.
func factOf(e *event.Event) *fact {
	f := &fact{Kind: e.Kind.String(), Source: e.Source.String(), Node: e.Node, Time: e.Time.Std(), at: e.Time}
	switch p := e.Payload.(type) {
	case *event.EdgeRequest:
		f.http(&p.HTTP)
		f.trace = p.Trace.TraceID
		f.Client, f.Duration = text(p.Client), e.Time.Sub(p.Start)
		f.Policy, f.Verdict, f.Denied = p.WAF, p.WAFOutcome.String(), p.WAFOutcome.Denied()
		f.BytesIn, f.BytesOut = int64(p.RequestBytes), int64(p.ResponseBytes)
	case *event.Flow:
		f.peer(p.Tuple, p.Reply)
		f.workload(&p.SrcWorkload)
		if p.Reply || !p.Egress {
			f.workload(&p.DstWorkload)
		}
		if !p.Reply && p.DstName != "" {
			f.Host = p.DstName
		}
		f.Egress = p.Egress && !p.Reply
		f.Verdict, f.Denied, f.DropReason, f.Policy = p.Verdict.String(), p.Verdict.Denied(), p.DropReason, p.Policy
	case *event.HTTPFlow:
		f.peer(p.Tuple, p.Response)
		f.http(&p.HTTP)
		f.trace = p.Trace.TraceID
		f.workload(&p.SrcWorkload)
		f.Verdict, f.Denied, f.Egress = p.Verdict.String(), p.Verdict.Denied(), p.Egress
	case *event.DNS:
		f.Host, f.Verdict, f.Denied = p.Query, p.Verdict.String(), p.Verdict.Denied()
		f.workload(&p.Workload)
	case *event.Socket:
		f.peer(p.Tuple, p.Role == event.RoleServer)
		f.workload(&p.Workload)
		f.process, f.PID = p.Process, int64(p.Process.PID)
		f.Egress, f.Verdict, f.Denied = p.Role == event.RoleClient, p.Verdict.String(), p.Verdict.Denied()
		f.BytesOut, f.BytesIn = int64(p.BytesOut), int64(p.BytesIn)
	case *event.Exchange:
		f.peer(p.Tuple, p.Role == event.RoleServer)
		f.http(&p.HTTP)
		f.trace = p.Trace.TraceID
		f.workload(&p.Workload)
		f.process, f.PID = p.Process, int64(p.Process.PID)
		f.Egress, f.Model, f.Duration = p.Role == event.RoleClient, p.Model, e.Time.Sub(p.Start)
		f.BytesOut, f.BytesIn = int64(p.BytesOut), int64(p.BytesIn)
	case *event.TLSHello:
		f.peer(p.Tuple, false)
		if f.Egress = true; p.SNI != "" {
			f.Host = p.SNI
		}
	case *event.Process:
		f.process, f.PID, f.ExecID = p.Process, int64(p.Process.PID), string(p.ExecID)
		f.workload(&p.Workload)
		f.trace = p.Trace.TraceID
		f.Binary, f.Args, f.Signal, f.ExitCode, f.Inventory = clip(p.Binary), clip(p.Args), p.Signal, int64(p.ExitCode), p.Inventory
	case *event.Syscall:
		f.process, f.PID, f.ExecID = p.Process, int64(p.Process.PID), string(p.ExecID)
		f.workload(&p.Workload)
		f.peer(p.Tuple, false)
		f.Binary, f.Function, f.File, f.Message = clip(p.Binary), p.Function, clip(p.File), clip(p.Message)
		f.Policy, f.Action, f.Denied = p.Policy, p.Action, e.Kind == event.KindEnforcement
	case *event.Span:
		f.trace = p.TraceID
		f.workload(&p.Workload)
		f.http(&p.HTTP)
		f.Stage, f.Name, f.Service, f.Error = p.Stage.String(), clip(p.Name), p.Service, clip(p.Error)
		f.Agent, f.Model, f.Tool, f.Duration = p.GenAI.Agent, p.GenAI.Model, clip(p.GenAI.Tool), e.Time.Sub(p.Start)
		if p.Server != "" {
			f.Host = p.Server
		}
	case *event.SpanLog:
		f.trace = p.TraceID
		f.workload(&p.Workload)
		f.Name, f.Service = clip(p.Name), p.Service
	case *event.Loss:
		f.Reason, f.Lost = p.Reason, int64(p.Count)
	}
	if !f.trace.IsZero() {
		f.TraceID = f.trace.String()
	}
	return f
}

// size is about what it takes of memory, in bytes. Its strings are those of its own
// event; that others may share them does not count.
func (f *fact) size() int64 {
	n := len(f.Node) + len(f.Namespace) + len(f.Pod) + len(f.Container) + len(f.TraceID) + len(f.ExecID) + len(f.Binary) + len(f.Args) +
		len(f.Signal) + len(f.Function) + len(f.File) + len(f.Policy) + len(f.Message) + len(f.Host) + len(f.Address) + len(f.DropReason) +
		len(f.Method) + len(f.Path) + len(f.Client) + len(f.Name) + len(f.Service) + len(f.Agent) + len(f.Model) + len(f.Tool) + len(f.Error)
	return int64(unsafe.Sizeof(*f)) + int64(n)
}

// finish adds what only an event with a finding needs.
func (f *fact) finish(e *event.Event) {
	f.id = e.ID.String()
	who := f.ExecID
	switch {
	case who != "":
	case f.process.PID != 0:
		who = strconv.FormatUint(uint64(f.process.PID), 10) + "/" + strconv.FormatUint(f.process.StartNS, 10)
	default:
		who = f.Namespace + "/" + f.Pod + ">" + f.Host + f.Client + f.Reason
	}
	f.subject = f.Node + "\x00" + who + ">" + f.Address
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// peer is the other end, seen from who began, or, turned, from who answered.
func (f *fact) peer(t event.Tuple, turned bool) {
	end := t.Dst
	if turned {
		end = t.Src
	}
	if end.IsValid() {
		f.Address, f.Port = end.Addr().String(), int64(end.Port())
		f.Host = f.Address
	}
}

func (f *fact) http(h *event.HTTP) {
	f.Method, f.Path, f.Status = h.Method, clip(h.Path), int64(h.Status)
	if h.Host != "" {
		f.Host = h.Host
	}
}

func (f *fact) workload(w *event.Workload) {
	if w.Pod != "" {
		f.Namespace, f.Pod, f.Container = w.Namespace, w.Pod, w.Container
	}
}

package explain

import "github.com/sennit-io/sennit/schemas/timeline"

// Rung is one kind of evidence that could have joined a step.
type Rung struct {
	Method string `json:"method"`
	Exact  bool   `json:"exact"`
	// Held is true for the rung that the join rests on; those before it did not
	// hold, those after it were not needed.
	Held bool   `json:"held"`
	Why  string `json:"why"`
}

// kind is what a step rests on, which decides the evidence there can be.
type kind uint8

const (
	edge kind = iota
	claim
	served
	called
	process
	syscall
	lookup
	traffic
)

func kindOf(s *timeline.Step) kind {
	_, observed := s.Attributes.Get("observed.start")
	switch {
	case s.Layer == timeline.LayerEdge:
		return edge
	case observed && s.Layer == timeline.LayerServer:
		return served
	case observed:
		return called
	case s.Source == "otlp":
		return claim
	case s.Layer == timeline.LayerProcess:
		return process
	case s.Layer == timeline.LayerSyscall, s.Layer == timeline.LayerFile:
		return syscall
	case s.Layer == timeline.LayerDNS:
		return lookup
	}
	return traffic
}

// ladders are the rungs for each kind of step, strongest first.
var ladders = map[kind][]string{
	edge:   {timeline.TraceContext, timeline.EdgeWindow},
	claim:  {timeline.TraceContext, timeline.SpanPeer, timeline.SpanSocket},
	served: {timeline.TraceContext, timeline.SpanPeer, timeline.SocketCookie, timeline.FiveTuple, timeline.Assignment},
	called: {
		timeline.TraceContext, timeline.SpanSocket, timeline.ResponseID, timeline.Goroutine, timeline.FiveTuple,
		timeline.ExecLineage, timeline.ToolCommand, timeline.Usage, timeline.GoroutineParent, timeline.Thread,
		timeline.ToolWindow, timeline.Assignment,
	},
	process: {
		timeline.TraceContext, timeline.ExecLineage, timeline.ToolCommand, timeline.Thread, timeline.ToolWindow,
		timeline.Assignment,
	},
	syscall: {
		timeline.ExecLineage, timeline.SockAddress, timeline.FiveTuple, timeline.ToolCommand, timeline.Thread,
		timeline.ToolWindow, timeline.Assignment,
	},
	lookup: {timeline.FiveTuple, timeline.DNSName},
	traffic: {
		timeline.ExecLineage, timeline.SocketCookie, timeline.SockAddress, timeline.FiveTuple, timeline.ToolCommand,
		timeline.Usage, timeline.GoroutineParent, timeline.Thread, timeline.ToolWindow, timeline.Assignment,
	},
}

// failed says what a rung that did not hold means for a step.
var failed = map[string]string{
	timeline.TraceContext:    "nothing that was seen of it names a trace",
	timeline.SpanPeer:        "no server span names its peer",
	timeline.SpanSocket:      "no client span names its socket",
	timeline.ResponseID:      "no span and no answer share a response id",
	timeline.Goroutine:       "not made by a goroutine that served a request then",
	timeline.SocketCookie:    "its socket is no request's alone",
	timeline.SockAddress:     "no open socket had the kernel address",
	timeline.FiveTuple:       "the other end or the connection names no request",
	timeline.ExecLineage:     "no process that an identifier joins is above it",
	timeline.ToolCommand:     "no tool, or more than one, was told to run the command",
	timeline.Usage:           "no model span, or more than one, states the same tokens",
	timeline.GoroutineParent: "its goroutine was not started by one that served a request then",
	timeline.Thread:          "no request had the thread to itself",
	timeline.Assignment:      "the times of all calls make no request likely enough, or none was under way",
	timeline.ToolWindow:      "no tool, or more than one, was at work",
	timeline.DNSName:         "no request, or more than one, used the name soon after",
	timeline.EdgeWindow:      "no request behind the balancer, or more than one, fits in",
}

// rungs lists what was tried for a step, up to what its join rests on. A step
// below an inferred join rests on that one's rung.
func rungs(s *timeline.Step) []Rung {
	var list []Rung
	for _, m := range ladders[kindOf(s)] {
		if m == s.Join.Method {
			break
		}
		exact := isExact(m)
		if s.Join.Exact && !exact {
			break
		}
		list = append(list, Rung{Method: m, Exact: exact, Why: failed[m]})
	}
	why := "see the evidence"
	if len(s.Join.Evidence) > 0 {
		why = s.Join.Evidence[0]
	}
	return append(list, Rung{Method: s.Join.Method, Exact: s.Join.Exact, Held: true, Why: why})
}

func isExact(method string) bool {
	for _, m := range timeline.ExactMethods {
		if m == method {
			return true
		}
	}
	return false
}

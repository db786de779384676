package tables

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// Events has one row an event, whatever became of it: evidence that came too late
// for its request too. What only steers the engine, a clock's heartbeat, is not here.
var Events = Table{
	Name: "events", Doc: "One row an event as it came, of no request and of one that was closed long before too; the view events_current has each once.",
	Columns: columns(eventColumns),
	Cluster: []string{"kind", "trace_id", "node", "event_id"},
}

// seen is what a row of Events is made of.
type seen struct {
	*event.Event
	raw      []byte // payload
	start    event.Time
	trace    event.TraceID
	span     event.SpanID
	parent   event.SpanID
	name     string
	verdict  string
	status   uint16
	work     event.Workload
	service  string
	pid      uint32
	exec     event.ExecID
	cookie   event.SocketCookie
	src, dst netip.AddrPort
	target   string
}

var eventColumns = []source[seen]{
	{must(Day, Date, "day of the event, UTC"), func(s *seen) Value { return day(s.Time) }},
	{must("event_id", String, "event_ids of steps and alerts name it"), func(s *seen) Value { return Value{Set: true, Str: s.ID.String()} }},
	{must("kind", String, "as edge_request, flow, span, exchange, process_exec, syscall"), func(s *seen) Value { return Value{Set: true, Str: s.Kind.String()} }},
	{one("source", String, "gcp, hubble, tetragon, otlp, socket or k8s"), func(s *seen) Value { return text(s.Source.String()) }},
	{one("cluster", String, ""), func(s *seen) Value { return text(s.Cluster) }},
	{one("node", String, ""), func(s *seen) Value { return text(s.Node) }},
	{one("event_time", Timestamp, "the end, of what has a duration"), func(s *seen) Value { return instant(s.Time) }},
	{one("observed_time", Timestamp, "when it was collected, where that was noted"), func(s *seen) Value { return instant(s.Observed) }},
	{one("start_time", Timestamp, ""), func(s *seen) Value { return instant(s.start) }},
	{one("trace_id", String, ""), func(s *seen) Value { return hexID(s.trace.String(), s.trace.IsZero()) }},
	{one("span_id", String, ""), func(s *seen) Value { return hexID(s.span.String(), s.span.IsZero()) }},
	{one("parent_span_id", String, ""), func(s *seen) Value { return hexID(s.parent.String(), s.parent.IsZero()) }},
	{one("name", String, "of the span, program, hook, file or host"), func(s *seen) Value { return text(s.name) }},
	{one("verdict", String, "forwarded, dropped, reset, …"), func(s *seen) Value { return text(s.verdict) }},
	{one("http_status", Integer, ""), func(s *seen) Value { return number(s.status) }},
	{one("namespace", String, ""), func(s *seen) Value { return text(s.work.Namespace) }},
	{one("pod", String, ""), func(s *seen) Value { return text(s.work.Pod) }},
	{one("service", String, ""), func(s *seen) Value { return text(s.service) }},
	{one("pid", Integer, ""), func(s *seen) Value { return number(s.pid) }},
	{one("exec_id", String, ""), func(s *seen) Value { return text(string(s.exec)) }},
	{one("socket_cookie", String, "decimal"), func(s *seen) Value { return hexID(s.cookie.String(), s.cookie == 0) }},
	{one("src_address", String, ""), func(s *seen) Value { return address(s.src) }},
	{one("src_port", Integer, ""), func(s *seen) Value { return number(s.src.Port()) }},
	{one("dst_address", String, ""), func(s *seen) Value { return address(s.dst) }},
	{one("dst_port", Integer, ""), func(s *seen) Value { return number(s.dst.Port()) }},
	{one("destination", String, "name of the far end"), func(s *seen) Value { return text(s.target) }},
	{one("payload", JSON, "all that its source said, redacted"), func(s *seen) Value { return text(string(s.raw)) }},
}

func hexID(s string, none bool) Value {
	if none {
		return Value{}
	}
	return text(s)
}

func address(a netip.AddrPort) Value {
	if !a.Addr().IsValid() {
		return Value{}
	}
	return text(a.Addr().String())
}

// InEvents tells the events that have a row in Events.
func InEvents(e *event.Event) bool { return e.Kind != event.KindClock }

// OfEvent returns the row of an event's JSON, the line of a Sennit recording.
func OfEvent(data []byte) (Rows, error) {
	type head event.Event
	var e event.Event
	in := struct {
		*head
		Payload json.RawMessage `json:"payload"`
	}{head: (*head)(&e)}
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if e.Payload = event.NewPayload(e.Kind); e.Payload == nil {
		return nil, fmt.Errorf("read event: kind %q has no payload", e.Kind)
	}
	s := seen{Event: &e, raw: in.Payload}
	if len(s.raw) > 0 {
		if err := json.Unmarshal(s.raw, e.Payload); err != nil {
			return nil, fmt.Errorf("read payload of %s: %w", e.Kind, err)
		}
	}
	s.look()
	return func(yield func(*Table, Row) bool) { yield(&Events, fill(nil, eventColumns, &s)) }, nil
}

// look takes out of the payload what has a column.
func (s *seen) look() {
	switch p := s.Payload.(type) {
	case *event.EdgeRequest:
		s.start, s.trace, s.span = p.Start, p.Trace.TraceID, p.Trace.SpanID
		s.http(&p.HTTP)
		s.verdict = p.WAFOutcome.String()
		s.src, s.dst = netip.AddrPortFrom(p.Client, 0), netip.AddrPortFrom(p.Backend, 0)
		s.target = p.BackendName
	case *event.Flow:
		s.start, s.verdict, s.cookie, s.work = p.Start, p.Verdict.String(), p.Cookie, p.SrcWorkload
		s.name, s.target = p.Policy, p.DstName
		s.tuple(p.Tuple)
	case *event.HTTPFlow:
		s.trace, s.span, s.verdict, s.work = p.Trace.TraceID, p.Trace.SpanID, p.Verdict.String(), p.SrcWorkload
		s.http(&p.HTTP)
		s.target = p.HTTP.Host
		s.tuple(p.Tuple)
	case *event.DNS:
		s.name, s.verdict, s.work, s.target = p.Query, p.Verdict.String(), p.Workload, p.Query
		s.tuple(p.Tuple)
	case *event.Socket:
		s.start, s.cookie, s.pid, s.verdict, s.work = p.Opened, p.Cookie, p.Process.PID, p.Verdict.String(), p.Workload
		s.tuple(p.Tuple)
	case *event.Exchange:
		s.start, s.cookie, s.pid, s.work = p.Start, p.Cookie, p.Process.PID, p.Workload
		s.trace, s.span = p.Trace.TraceID, p.Trace.SpanID
		s.http(&p.HTTP)
		s.target = p.HTTP.Host
		s.tuple(p.Tuple)
	case *event.TLSHello:
		s.cookie, s.name, s.target = p.Cookie, p.SNI, p.SNI
		s.tuple(p.Tuple)
	case *event.Process:
		s.start, s.pid, s.exec, s.name, s.work = p.Started, p.Process.PID, p.ExecID, p.Binary, p.Workload
		s.trace, s.span = p.Trace.TraceID, p.Trace.SpanID
	case *event.Syscall:
		s.pid, s.exec, s.name, s.work = p.Process.PID, p.ExecID, p.Function, p.Workload
		s.verdict, s.target = p.Action, p.File
		s.tuple(p.Tuple)
	case *event.Span:
		s.start, s.trace, s.span, s.parent = p.Start, p.TraceID, p.SpanID, p.ParentID
		s.name, s.service, s.pid, s.work, s.cookie = p.Name, p.Service, p.PID, p.Workload, p.Cookie
		s.src, s.dst, s.target, s.status = p.Local, p.Peer, p.Server, p.HTTP.Status
	case *event.SpanLog:
		s.trace, s.span, s.name, s.service, s.work = p.TraceID, p.SpanID, p.Name, p.Service, p.Workload
	case *event.Pod:
		s.start, s.work, s.name = p.ValidFrom, p.Workload, p.Owner
	case *event.Service:
		s.start, s.name, s.service, s.work.Namespace = p.ValidFrom, p.Name, p.Name, p.Namespace
	case *event.Loss:
		s.start, s.name = p.From, p.Reason
	}
}

func (s *seen) tuple(t event.Tuple) { s.src, s.dst = t.Src, t.Dst }

func (s *seen) http(h *event.HTTP) {
	s.status = h.Status
	if s.name = h.Path; h.Method != "" {
		s.name = h.Method + " " + h.Path
	}
}

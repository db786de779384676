package tables

import (
	"iter"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// Steps has one row a step of each revision of a timeline.
var Steps = Table{
	Name: "steps", Doc: "One row a step of each revision of a timeline; the view steps_current has those of the last ones.",
	Columns: columns(stepColumns),
	Cluster: []string{"agent", "layer", "timeline_id"},
}

// step is what a row of Steps is made of.
type step struct {
	*timeline.Step
	of            *timeline.Timeline
	agent, tool   string // its own, or of the nearest step above that has one
	selfNS        Value
	waitNS        Value
	destination   string
	port          int64
	destinationIP netip.Addr
	buf           []byte
}

func (s *step) attr(key string) Value {
	a, ok := s.Attributes.Get(key)
	if !ok {
		return Value{}
	}
	if a.IsNum {
		return Value{Set: true, Num: a.Num}
	}
	return text(a.Str)
}

// whole is a number, also where a source wrote it as text.
func (s *step) whole(key string) Value {
	a, _ := s.Attributes.Get(key)
	return Value{Set: a.IsNum, Num: a.Num}
}

var stepColumns = []source[step]{
	{must(Day, Date, "day of the request's start, UTC: a request lies in one partition"), func(s *step) Value { return day(s.of.Start, s.of.End) }},
	{must("timeline_id", String, ""), func(s *step) Value { return Value{Set: true, Str: s.of.ID} }},
	{must("revision", Integer, "of the timeline"), func(s *step) Value { return count(s.of.Revision) }},
	{must("step_id", String, ""), func(s *step) Value { return Value{Set: true, Str: s.ID} }},
	{one("parent_step_id", String, ""), func(s *step) Value { return text(s.ParentID) }},
	{one("layer", String, "edge, network, policy, server, agent, model, tool, http, dns, process, file or syscall"), func(s *step) Value { return text(string(s.Layer)) }},
	{one("name", String, ""), func(s *step) Value { return text(s.Name) }},
	{one("start_time", Timestamp, ""), func(s *step) Value { return instant(s.Start) }},
	{one("end_time", Timestamp, ""), func(s *step) Value { return instant(s.End) }},
	{one("duration_ns", Integer, ""), func(s *step) Value { return lasted(s.Start, s.End) }},
	{one("self_ns", Integer, "time in no step below it, less wait_ns; for calls, not for evidence of the network and kernel"), func(s *step) Value { return s.selfNS }},
	{one("wait_ns", Integer, "from its start until its first byte was seen on the wire"), func(s *step) Value { return s.waitNS }},
	{one("status", String, "ok, error, denied, killed or unclaimed"), func(s *step) Value { return text(string(s.Status)) }},
	{one("source", String, "gcp, hubble, tetragon, otlp or socket"), func(s *step) Value { return text(s.Source) }},
	{one("node", String, ""), func(s *step) Value { return text(s.Node) }},
	{one("pid", Integer, ""), func(s *step) Value { return number(s.PID) }},
	{one("socket_cookie", String, "decimal"), func(s *step) Value { return text(s.SocketCookie) }},
	{one("trace_id", String, ""), func(s *step) Value { return text(s.TraceID) }},
	{one("span_id", String, ""), func(s *step) Value { return text(s.SpanID) }},
	{one("namespace", String, ""), func(s *step) Value { return s.attr("k8s.namespace.name") }},
	{one("pod", String, ""), func(s *step) Value { return s.attr("k8s.pod.name") }},
	{one("service", String, ""), func(s *step) Value { return s.attr("service.name") }},
	{one("agent", String, "its own, or of the nearest step above that has one"), func(s *step) Value { return text(s.agent) }},
	{one("tool", String, "its own, or of the nearest step above that has one"), func(s *step) Value { return text(s.tool) }},
	{one("model", String, ""), func(s *step) Value { return s.attr("gen_ai.request.model") }},
	{one("provider", String, "of the model"), func(s *step) Value { return s.attr("gen_ai.provider.name") }},
	{one("input_tokens", Integer, ""), func(s *step) Value { return s.whole("gen_ai.usage.input_tokens") }},
	{one("output_tokens", Integer, ""), func(s *step) Value { return s.whole("gen_ai.usage.output_tokens") }},
	{one("destination", String, "name or address it spoke to; NULL for what came in"), func(s *step) Value { return text(s.destination) }},
	{one("destination_port", Integer, ""), func(s *step) Value { return number(s.port) }},
	{one("destination_public", Bool, "its address is one of the Internet; NULL when no address was seen"), func(s *step) Value {
		if !s.destinationIP.IsValid() {
			return Value{}
		}
		return truth(public(s.destinationIP))
	}},
	{one("method", String, "of the HTTP request"), func(s *step) Value { return s.attr("http.request.method") }},
	{one("path", String, "of the HTTP request"), func(s *step) Value { return s.attr("url.path") }},
	{one("status_code", Integer, "of the HTTP response"), func(s *step) Value { return s.whole("http.response.status_code") }},
	{one("verdict", String, "of the network policy"), func(s *step) Value { return s.attr("hubble.verdict") }},
	{one("policy", String, "that decided: of the network, the balancer's firewall, or the kernel's"), func(s *step) Value {
		for _, key := range [...]string{"network.policy", "gcp.armor.policy", "tetragon.policy"} {
			if v := s.attr(key); v.Set {
				return v
			}
		}
		return Value{}
	}},
	{one("executable", String, "path"), func(s *step) Value { return s.attr("process.executable.path") }},
	{one("file", String, "path"), func(s *step) Value { return s.attr("file.path") }},
	{one("bytes_sent", Integer, ""), func(s *step) Value { return s.whole("network.io.sent") }},
	{one("bytes_received", Integer, ""), func(s *step) Value { return s.whole("network.io.received") }},
	{one("connection_shared", Integer, "steps that share its connection"), func(s *step) Value {
		if s.Connection == nil {
			return Value{}
		}
		return count(s.Connection.Shared)
	}},
	{one("sni", String, "server name of its TLS connection"), func(s *step) Value {
		if s.Connection == nil {
			return Value{}
		}
		return text(s.Connection.SNI)
	}},
	{one("join_method", String, "how it came to its timeline"), func(s *step) Value { return text(s.Join.Method) }},
	{one("join_exact", Bool, "an identifier was equal"), func(s *step) Value { return truth(s.Join.Exact) }},
	{one("join_confidence", Float, "0 to 1"), func(s *step) Value { return real(s.Join.Confidence) }},
	{one("join_candidates", Integer, "requests it might have belonged to"), func(s *step) Value { return count(s.Join.Candidates) }},
	{one("attributes", JSON, "all attributes, under OpenTelemetry's names where it has one"), func(s *step) Value {
		s.buf = s.Attributes.AppendJSON(s.buf[:0]) // a row holds until the next one
		return Value{Set: true, Str: unsafe.String(unsafe.SliceData(s.buf), len(s.buf))}
	}},
	{many("event_ids", "the events it was made of"), func(s *step) Value { return list(s.EventIDs) }},
}

// steps gives what the rows of a timeline's steps are made of. It is reused.
func steps(t *timeline.Timeline) iter.Seq[*step] {
	return func(yield func(*step) bool) {
		tree := treeOf(t.Steps)
		agents, tools := tree.inherit("gen_ai.agent.name"), tree.inherit("gen_ai.tool.name")
		s := new(step)
		for i := range t.Steps {
			*s = step{Step: &t.Steps[i], of: t, agent: agents[i], tool: tools[i], buf: s.buf}
			s.speaksTo()
			if isCall(s.Step) {
				s.waitNS = waited(s.Step)
				if self := tree.self(i); self.Set {
					s.selfNS = Value{Set: true, Num: max(0, self.Num-s.waitNS.Num)}
				}
			}
			if !yield(s) {
				return
			}
		}
	}
}

// speaksTo finds whom a step spoke to. The peer of an accepted connection is who
// asked, and so is that of its close or of a write on it.
func (s *step) speaksTo() {
	switch s.Layer {
	case timeline.LayerHTTP, timeline.LayerModel, timeline.LayerPolicy:
	case timeline.LayerDNS:
		s.destination = s.attr("dns.question.name").Str
		return
	case timeline.LayerNetwork:
		if s.Source != "hubble" && !strings.HasPrefix(s.Name, "connect ") {
			return
		}
	case timeline.LayerSyscall:
		if !strings.HasPrefix(s.Name, "tcp_connect") {
			return
		}
	default:
		return
	}
	peer := s.attr("network.peer.address").Str
	if peer != "" { // whose error would be made each time
		s.destinationIP, _ = netip.ParseAddr(peer)
	}
	s.port = s.whole("network.peer.port").Num
	if s.destination = s.attr("server.address").Str; s.destination == "" {
		s.destination = peer
	}
}

// carrier is the address space between providers and their customers (RFC 6598),
// which clusters use for pods.
var carrier = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether an address is one of the Internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carrier.Contains(a)
}

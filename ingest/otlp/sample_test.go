package otlp

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	respb "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func text(key, v string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: anyText(v)}
}

func whole(key string, v int64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: v}}}
}

func anyText(v string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}
}

func anyList(v ...*common.AnyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: v}}}
}

func anyMap(v ...*common.KeyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: v}}}
}

func id(n int, seed uint64) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = byte(seed >> 33)
	}
	return b
}

// sampleRequest is what an agent's SDK sends: n spans of nine attributes, the
// shapes of ADK Go with HTTP instrumentation.
func sampleRequest(n int) *trace.TracesData {
	scope := &trace.ScopeSpans{Scope: &common.InstrumentationScope{Name: adkScope, Version: "2.0.0"}}
	for i := range n {
		start := uint64(1795396021503773875) + uint64(i)*1_000_000
		s := &trace.Span{
			TraceId: id(16, uint64(i/10)+1), SpanId: id(8, uint64(i)+1000), ParentSpanId: id(8, uint64(i)+2000), Flags: 257,
			Kind: trace.Span_SPAN_KIND_INTERNAL, StartTimeUnixNano: start, EndTimeUnixNano: start + 119_185_680, Status: &trace.Status{},
		}
		switch i % 5 {
		case 0, 1, 2:
			s.Name = "generate_content gemini-2.5-flash"
			s.Attributes = []*common.KeyValue{
				text("gcp.vertex.agent.invocation_id", "e-10ef4153-afbe-4d41-8a37-29ba361aeb04"),
				text("gen_ai.operation.name", "generate_content"), text("gen_ai.request.model", "gemini-2.5-flash"),
				text("gcp.vertex.agent.event_id", "3a6182ff-0c05-438e-974e-a38632913465"),
				{Key: "gen_ai.response.finish_reasons", Value: anyList(anyText("STOP"))},
				whole("gen_ai.usage.input_tokens", 348), whole("gen_ai.usage.output_tokens", 92),
				whole("gen_ai.usage.cache_read.input_tokens", 12), whole("gen_ai.usage.reasoning.output_tokens", 7),
			}
		case 3:
			s.Name = "invoke_agent coordinator"
			s.Attributes = []*common.KeyValue{
				text("gcp.vertex.agent.invocation_id", "e-10ef4153-afbe-4d41-8a37-29ba361aeb04"),
				text("gen_ai.operation.name", "invoke_agent"), text("gen_ai.agent.name", "coordinator"),
				text("gen_ai.agent.description", "Routes what the user asks to the agent that can do it, then answers."),
				text("gen_ai.conversation.id", "session-00004"), text("app.tenant", "acme"), text("app.plan", "gold"),
				text("app.region", "europe-west1"), text("app.revision", "2026-11-23-r7"),
			}
		case 4:
			s.Name = "POST /run"
			s.Kind = trace.Span_SPAN_KIND_SERVER
			s.Attributes = []*common.KeyValue{
				text("http.request.method", "POST"), text("url.scheme", "http"), text("server.address", "10.8.0.12"),
				whole("server.port", 18080), text("network.peer.address", "10.8.1.7"), whole("network.peer.port", 42278),
				text("url.path", "/run"), text("network.protocol.version", "1.1"), whole("http.response.status_code", 200),
			}
		}
		scope.Spans = append(scope.Spans, s)
	}
	return &trace.TracesData{ResourceSpans: []*trace.ResourceSpans{{
		Resource: &respb.Resource{Attributes: []*common.KeyValue{
			text("service.name", "invoice-agent"), text("k8s.cluster.name", "prod"), text("k8s.namespace.name", "agents"),
			text("k8s.pod.name", "invoice-agent-6d5f9c7b8-x2v4q"), text("k8s.node.name", "gke-prod-pool-1-a1b2"),
			whole("process.pid", 23521), text("telemetry.sdk.language", "go"),
		}},
		ScopeSpans: []*trace.ScopeSpans{scope},
	}}}
}

// oddRequest holds what samples do not: every type of value, links, events, a
// tool with structured arguments, several resources and scopes.
func oddRequest() *trace.TracesData {
	times := func(s *trace.Span) *trace.Span {
		s.TraceId, s.StartTimeUnixNano, s.EndTimeUnixNano = id(16, 7), 1, 2
		return s
	}
	return &trace.TracesData{ResourceSpans: []*trace.ResourceSpans{
		{},
		{ScopeSpans: []*trace.ScopeSpans{{}, {Spans: []*trace.Span{
			times(&trace.Span{
				SpanId: id(8, 1), Name: "ä \"quoted\" \\ \t\n", Status: &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: "secret"},
				Kind: trace.Span_SPAN_KIND_CLIENT,
				Events: []*trace.Span_Event{
					{Name: "other", Attributes: []*common.KeyValue{text("k", "v")}},
					{Name: "exception", Attributes: []*common.KeyValue{text("exception.type", "os.ErrNotExist"), text("exception.message", "secret")}},
				},
				Links: []*trace.Span_Link{{TraceId: id(16, 9), SpanId: id(8, 9)}, {TraceId: id(3, 9)}, {}},
				Attributes: []*common.KeyValue{
					text("url.full", "https://user:pw@api.example.com:8443/v1/x?key=secret#f"), text("http.method", "GET"),
					{Key: "http.status_code", Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 204}}},
					{Key: "server.port", Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 1.5}}},
					{Key: "net.peer.name", Value: &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}},
					{Key: "client.address"},
					{},
					text("net.peer.ip", "::ffff:10.0.0.1"), text("net.peer.port", "443"),
				},
			}),
			times(&trace.Span{SpanId: id(8, 2), Name: "execute_tool shell", Attributes: []*common.KeyValue{
				text("gen_ai.operation.name", "execute_tool"), text("gen_ai.tool.name", "shell"),
				{Key: "gen_ai.tool.call.arguments", Value: anyMap(
					&common.KeyValue{Key: "timeout", Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 2.5e30}}},
					&common.KeyValue{Key: "deep", Value: anyMap(&common.KeyValue{Key: "x\"y", Value: anyList(anyText("a\tb"), nil, &common.AnyValue{})})},
					&common.KeyValue{Key: "blob", Value: &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte("x")}}},
					&common.KeyValue{Key: "command", Value: anyList(anyText("ls"), anyText("-l"), anyText("/tmp"))},
				)},
			}}),
			{TraceId: id(16, 7), SpanId: id(8, 3), StartTimeUnixNano: 5},
			{TraceId: id(16, 7), SpanId: id(8, 4), StartTimeUnixNano: 5, EndTimeUnixNano: 4},
			{TraceId: id(16, 7), StartTimeUnixNano: 5},
			{TraceId: make([]byte, 16), SpanId: id(8, 4), StartTimeUnixNano: 5},
		}}}},
	}}
}

func sampleLogs() *logspb.LogsData {
	return &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
		Resource: &respb.Resource{Attributes: []*common.KeyValue{text("service.name", "a"), text("k8s.node.name", "n1")}},
		ScopeLogs: []*logspb.ScopeLogs{{Scope: &common.InstrumentationScope{Name: adkScope}, LogRecords: []*logspb.LogRecord{
			{ObservedTimeUnixNano: 10, TraceId: id(16, 1), SpanId: id(8, 1), EventName: "gen_ai.choice", Body: anyMap(text("content", "hi"))},
			{ObservedTimeUnixNano: 10, TraceId: id(16, 1), SpanId: id(8, 1), EventName: "gen_ai.choice", Body: anyMap(text("content", "ho"))},
			{
				TimeUnixNano: 9, ObservedTimeUnixNano: 10, SeverityNumber: logspb.SeverityNumber_SEVERITY_NUMBER_WARN2, SeverityText: "W",
				Attributes: []*common.KeyValue{text("event.name", "e"), whole("n", -3), {Key: "f", Value: anyList(anyText("x"))}},
			},
			{TimeUnixNano: 9, SeverityText: "Notice", Body: anyText("plain"), Attributes: []*common.KeyValue{text("a", "b")}},
			{TimeUnixNano: 9},
			{},
		}}},
	}}}
}

var idMember = regexp.MustCompile(`"(traceId|spanId|parentSpanId)":\s*"([^"]*)"`)

// otlpJSON renders a request as OTLP/JSON: protobuf's JSON with ids in hex.
func otlpJSON(t testing.TB, m proto.Message, o protojson.MarshalOptions) []byte {
	t.Helper()
	b, err := o.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if o.UseProtoNames {
		return b // ids stay base64: accepted too
	}
	return idMember.ReplaceAllFunc(b, func(m []byte) []byte {
		p := idMember.FindSubmatch(m)
		var raw []byte
		if err := json.Unmarshal(fmt.Appendf(nil, "%q", p[2]), &raw); err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(nil, `"%s":"%s"`, p[1], hex.EncodeToString(raw))
	})
}

func compactJSON(t testing.TB, m proto.Message) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(otlpJSON(t, m, protojson.MarshalOptions{UseEnumNumbers: true}), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v) // sorts members: attributes stand before names, keys before values
	if err != nil {
		t.Fatal(err)
	}
	return b
}

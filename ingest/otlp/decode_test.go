package otlp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

const (
	testTrace = "5cf9474e2a3b02ecaa7c7bf5490bfed8"
	testSpan  = "629a21131ede6325"
)

// spanLine wraps members of one span into a request.
func spanLine(members string) string {
	return `{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"traceId":"` + testTrace + `","spanId":"` + testSpan +
		`","startTimeUnixNano":"1","endTimeUnixNano":"2"` + members + `}]}]}]}`
}

// attributes renders pairs of key and JSON value.
func attributes(pairs ...string) string {
	var b strings.Builder
	b.WriteString(`,"attributes":[`)
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		v := pairs[i+1]
		if !strings.HasPrefix(v, "{") || !json.Valid([]byte(v)) || !strings.Contains(v, "Value\"") {
			quoted, _ := json.Marshal(v)
			v = fmt.Sprintf(`{"stringValue":%s}`, quoted)
		}
		fmt.Fprintf(&b, `{"key":%q,"value":%s}`, pairs[i], v)
	}
	b.WriteByte(']')
	return b.String()
}

func decodeOne(t *testing.T, p redact.Policy, line string) (event.Event, *event.Span) {
	t.Helper()
	d := Decoder{Redact: p}
	var b event.Batch
	tally, err := d.Decode([]byte(line), &b)
	if err != nil || tally != (ingest.Tally{In: 1}) {
		t.Fatalf("%s: %+v, %v", line, tally, err)
	}
	return b.Events[0], b.Events[0].Payload.(*event.Span)
}

func TestRecords(t *testing.T) {
	f := func(line string, want ingest.Tally, wantErr string) {
		t.Helper()
		var d Decoder
		var b event.Batch
		b.Add(event.KindClock, event.SourceK8s) // what was there stays
		tally, err := d.Decode([]byte(line), &b)
		if tally != want {
			t.Errorf("%.200s: %+v, want %+v", line, tally, want)
		}
		if n := want.In - want.Bad - want.UnknownType + 1; len(b.Events) != n {
			t.Errorf("%.200s: %d events, want %d", line, len(b.Events), n)
		}
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%.200s: error %v, want %q", line, err, wantErr)
		}
		if unknown := errors.Is(err, ingest.ErrUnknownType); unknown != (want.UnknownType > 0 && want.Bad == 0) {
			t.Errorf("%.200s: error %v", line, err)
		}
	}
	one, bad, foreign := ingest.Tally{In: 1}, ingest.Tally{In: 1, Bad: 1}, ingest.Tally{In: 1, UnknownType: 1}

	f(spanLine(""), one, "")
	f(spanLine(`,"x":{"y":[1,{}]},"flags":257,"traceState":"a=b","droppedEventsCount":3`), one, "")
	f(`{"resourceSpans":[]}`, ingest.Tally{}, "")
	f(`{"resourceSpans":null}`, ingest.Tally{}, "")
	f(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"5"}]}]}]}`, one, "")
	f(`{"resourceMetrics":[{"a":1}]}`, foreign, "metrics")
	f(`{"resourceProfiles":[]}`, foreign, "profiles")
	f(`{"spans":[{"name":"call_llm"}]}`, foreign, "neither resourceSpans nor resourceLogs")
	f(`{}`, foreign, "not an OTLP request")
	f(`[1,2]`, foreign, "not an OTLP request")
	f(`"text"`, foreign, "not an OTLP request")

	f(``, bad, "not valid JSON")
	f(`{"resourceSpans"`, bad, "not valid JSON")
	f(spanLine("")+"x", bad, "after the value")
	f(`{"resourceSpans":5}`, bad, "want an array")
	f(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00"},{"traceId":]}]}]}`, bad, "not valid JSON")

	// One bad span does not take the others with it.
	sound := `{"traceId":"` + testTrace + `","spanId":"` + testSpan + `","startTimeUnixNano":1,"endTimeUnixNano":"2"}`
	g := func(span, why string) {
		t.Helper()
		for _, form := range []string{
			`{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[%s,%s,%s]}]}]}`,
			`{"resource_spans":[{"instrumentationLibrarySpans":[{"spans":[%s,%s,%s],"instrumentationLibrary":{"name":"x"}}],"resource":{}}]}`,
		} {
			f(fmt.Sprintf(form, sound, span, sound), ingest.Tally{In: 3, Bad: 1}, why)
		}
		f(spanLine("")[:len(spanLine(""))-len("]}]}]}")]+","+span+","+span+"]}]}]}", ingest.Tally{In: 3, Bad: 2}, "1 more bad record")
	}
	g(`{"spanId":"`+testSpan+`","startTimeUnixNano":1}`, "trace id")
	g(`null`, "trace id")
	g(`{"traceId":"00000000000000000000000000000000","spanId":"`+testSpan+`","startTimeUnixNano":1}`, "trace id")
	g(`{"traceId":"`+testTrace+`","startTimeUnixNano":1}`, "span 2 of the request: span id")
	g(`{"traceId":"`+testTrace+`","spanId":"629a","startTimeUnixNano":1}`, "span id")
	g(`{"traceId":"`+testTrace+`","spanId":"629a21131ede632x","startTimeUnixNano":1}`, "span id")
	g(`{"traceId":"`+testTrace+`","spanId":"`+testSpan+`","parentSpanId":"12","startTimeUnixNano":1}`, "parent")
	g(`{"traceId":"`+testTrace+`","spanId":"`+testSpan+`"}`, "neither start nor end")
	g(`{"traceId":"`+testTrace+`","spanId":"`+testSpan+`","startTimeUnixNano":5,"endTimeUnixNano":4}`, "ends before it starts")
	g(`{"traceId":"`+testTrace+`","spanId":"`+testSpan+`","endTimeUnixNano":"18446744073709551615"}`, "2262")
	g(`{"traceId":"`+testTrace+`","spanId":"`+testSpan+`","startTimeUnixNano":true}`, "wrong type")
	g(`{"traceId":7}`, "wrong type")
	g(`{"traceId":"`+testTrace+`","spanId":"`+testSpan+`","startTimeUnixNano":1,"attributes":{"k":"v"}}`, "wrong type")
	g(`[]`, "wrong type")

	over := strings.TrimSuffix(strings.Repeat(`{"key":"k","value":{"stringValue":"v"}},`, MaxAttributes+1), ",")
	g(`{"traceId":"`+testTrace+`","spanId":"`+testSpan+`","startTimeUnixNano":1,"attributes":[`+over+`]}`, "attributes over 1024")
	link := `{"traceId":"` + testTrace + `","spanId":"` + testSpan + `"},`
	g(`{"traceId":"`+testTrace+`","spanId":"`+testSpan+`","startTimeUnixNano":1,"links":[`+strings.TrimSuffix(strings.Repeat(link, MaxAttributes+1), ",")+`]}`,
		"links over 1024")
	f(`{"resourceSpans":[{"resource":{"attributes":[`+over+`]}}]}`, bad, "attributes over 1024")
	f(spanLine(`,"x":`+strings.Repeat("[", 70)+strings.Repeat("]", 70)), bad, "nesting depth over 64")

	f(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{"timeUnixNano":"5","traceId":"x"},{"observedTimeUnixNano":7}]}]}]}`,
		ingest.Tally{In: 3, Bad: 2}, "log record 1 of the request: log record has neither")
	f(`{"resourceSpans":[{"scopeSpans":[{"spans":[`+sound+`]}]}],"resourceMetrics":[]}`, ingest.Tally{In: 2, UnknownType: 1}, "metrics")
}

func TestSpanFields(t *testing.T) {
	f := func(line string, want event.Span) {
		t.Helper()
		_, got := decodeOne(t, redact.Policy{}, line)
		want.TraceID.UnmarshalText([]byte(testTrace))
		want.SpanID.UnmarshalText([]byte(testSpan))
		if want.Start == 0 {
			want.Start = 1
		}
		x, _ := json.Marshal(want)
		y, _ := json.Marshal(got)
		if diff := cmp.Diff(string(x), string(y)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
	f(spanLine(""), event.Span{})
	f(spanLine(`,"name":"a\u0062","kind":2,"status":{"code":1,"message":"m"}`), event.Span{Name: "ab", Kind: event.SpanKindServer, Status: event.StatusOK})
	f(spanLine(`,"kind":"SPAN_KIND_CLIENT","status":{"code":"STATUS_CODE_ERROR"}`), event.Span{Kind: event.SpanKindClient, Status: event.StatusError})
	f(spanLine(`,"kind":"CONSUMER","status":{"code":"OK"}`), event.Span{Kind: event.SpanKindConsumer, Status: event.StatusOK})
	f(spanLine(`,"kind":77,"status":{"code":-3}`), event.Span{})
	f(spanLine(`,"events":[{"name":"exception","attributes":[{"key":"exception.type","value":{"stringValue":"E"}}]}],"status":{"code":2}`),
		event.Span{Status: event.StatusError, Error: "E"})
	f(spanLine(attributes("error.type", "timeout")), event.Span{Status: event.StatusError, Error: "timeout"})
	f(spanLine(attributes("error.type", "timeout")+`,"status":{"code":1}`), event.Span{Status: event.StatusOK, Error: "timeout"})
	f(spanLine(`,"links":[{"spanId":"`+testSpan+`","traceId":"`+testTrace+`"},{"traceId":""}]`), event.Span{Links: []event.SpanLink{{
		TraceID: event.TraceID{0x5c, 0xf9, 0x47, 0x4e, 0x2a, 0x3b, 0x02, 0xec, 0xaa, 0x7c, 0x7b, 0xf5, 0x49, 0x0b, 0xfe, 0xd8},
		SpanID:  event.SpanID{0x62, 0x9a, 0x21, 0x13, 0x1e, 0xde, 0x63, 0x25},
	}}})

	f(spanLine(`,"startTimeUnixNano":"2"`), event.Span{Start: 2}) // of a member twice the last counts, and no time at all may pass
	f(spanLine(attributes("error.type", "a", "error.type", "b")), event.Span{Status: event.StatusError, Error: "b"})
	f(spanLine(attributes("http.method", "OLD", "http.request.method", "NEW", "http.method", "OLD")), event.Span{HTTP: event.HTTP{Method: "NEW"}})

	// base64 ids, snake_case, numbers for texts, a resource that comes late.
	f(`{"resource_spans":[{"scope_spans":[{"spans":[{"trace_id":"XPlHTio7AuyqfHv1SQv+2A==","span_id":"YpohEx7eYyU","start_time_unix_nano":1,"end_time_unix_nano":"2"}],
		"scope":{"name":"sc"}}],"resource":{"attributes":[{"value":{"string_value":"svc"},"key":"service.name"},{"key":"process.pid","value":{"int_value":7}},
		{"key":"k8s.pod.uid","value":{"stringValue":"u"}},{"key":"k8s.container.name","value":{"stringValue":"c"}},{"key":"host.name","value":{"stringValue":"h"}}]}}]}`,
		event.Span{Scope: "sc", Service: "svc", PID: 7, Workload: event.Workload{PodUID: "u", Container: "c"}})
}

func TestUnfinishedSpan(t *testing.T) {
	line := func(times string) string {
		return `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"` + testTrace + `","spanId":"` + testSpan + `"` + times + `}]}]}]}`
	}
	open, s := decodeOne(t, redact.Policy{}, line(`,"startTimeUnixNano":"5"`))
	if open.Time != 5 || s.Start != 5 || s.Status != event.StatusError || s.Error != "unfinished" {
		t.Errorf("open span: %+v at %d", s, open.Time)
	}
	closed, s := decodeOne(t, redact.Policy{}, line(`,"startTimeUnixNano":"5","endTimeUnixNano":"9"`))
	if closed.Time != 9 || s.Start != 5 || s.Status != event.StatusUnset || closed.ID == open.ID {
		t.Errorf("closed span: %+v at %d, id %v and %v", s, closed.Time, closed.ID, open.ID)
	}
	late, s := decodeOne(t, redact.Policy{}, line(`,"endTimeUnixNano":"9"`))
	if late.Time != 9 || s.Start != 9 || late.ID != closed.ID {
		t.Errorf("span without a start: %+v at %d", s, late.Time)
	}
}

func TestNetwork(t *testing.T) {
	f := func(kind string, pairs []string, want string) {
		t.Helper()
		_, s := decodeOne(t, redact.Policy{}, spanLine(`,"kind":"`+kind+`"`+attributes(pairs...)))
		got := fmt.Sprintf("%v %v>%v %v:%d %v | %s %s%s %d %s", s.Stage, s.Local, s.Peer, s.Server, s.ServerPort, s.Client,
			s.HTTP.Method, s.HTTP.Host, s.HTTP.Path, s.HTTP.Status, s.Protocol)
		for _, none := range []string{"invalid AddrPort", "invalid IP"} {
			got = strings.ReplaceAll(got, none, "-")
		}
		if got != want {
			t.Errorf("%v:\ngot  %s\nwant %s", pairs, got, want)
		}
	}
	f("SERVER", []string{
		"network.peer.address", "::ffff:10.0.0.7", "network.peer.port", `{"intValue":"42278"}`, "client.address", "203.0.113.9",
		"server.address", "agent.local", "server.port", `{"intValue":8080}`, "url.path", "/run", "url.query", "token=x",
		"http.request.method", "POST", "http.response.status_code", `{"intValue":"200"}`, "network.protocol.version", "1.1", "http.route", "/{x}",
	}, "http ->10.0.0.7:42278 agent.local:8080 203.0.113.9 | POST /run 200 1.1")
	f("CLIENT", []string{
		"url.full", "https://u:p@api.example.com:8443/v1/models?key=secret", "http.request.method", "GET",
		"network.local.address", "10.8.0.1", "network.local.port", `{"intValue":40000}`, "http.response.status_code", `{"doubleValue":503}`,
	}, "http 10.8.0.1:40000>- api.example.com:8443 - | GET api.example.com:8443/v1/models 503 ")
	f("CLIENT", []string{ // semconv 1.0
		"http.url", "http://[2001:db8::1]/x", "net.peer.name", "db.local", "net.peer.ip", "10.1.1.1", "net.peer.port", `{"intValue":80}`,
		"net.host.ip", "10.2.2.2", "net.host.port", `{"intValue":5555}`, "http.method", "PUT", "http.status_code", `{"intValue":201}`, "http.flavor", "2.0",
	}, "http 10.2.2.2:5555>10.1.1.1:80 db.local:80 - | PUT [2001:db8::1]/x 201 2")
	f("SERVER", []string{ // semconv 1.17
		"http.target", "/a?b=c", "http.host", "shop.example:81", "net.sock.peer.addr", "10.1.1.1", "net.sock.peer.port", "4711",
		"net.host.name", "shop", "net.host.port", `{"intValue":81}`, "http.client_ip", "198.51.100.2",
	}, "http ->10.1.1.1:4711 shop:81 198.51.100.2 |  shop.example:81/a 0 ")
	f("CLIENT", []string{"rpc.system", "grpc", "rpc.service", "pkg.Svc", "rpc.method", "Do", "server.address", "svc"},
		"http ->- svc:0 - |  /pkg.Svc/Do 0 ")
	f("CLIENT", []string{"rpc.system.name", "grpc", "rpc.method", "pkg.Svc/Do"}, "http ->- :0 - |  /pkg.Svc/Do 0 ")
	f("SERVER", []string{"http.route", "/users/{id}"}, "http ->- :0 - |  /users/{id} 0 ")
	f("INTERNAL", []string{"http.route", "/x"}, " ->- :0 - |  /x 0 ")
	f("SERVER", []string{"network.local.address", "10.0.0.9", "net.host.port", `{"intValue":81}`}, " 10.0.0.9:0>- :0 - |   0 ")
	f("SERVER", []string{"network.peer.address", "/run/x.sock", "network.peer.port", `{"intValue":70000}`}, " ->- :0 - |   0 ")

	_, s := decodeOne(t, redact.Policy{}, spanLine(attributes("sennit.socket_cookie", "18446744073709551615")))
	if s.Cookie != 1<<64-1 {
		t.Errorf("cookie %v", s.Cookie)
	}
}

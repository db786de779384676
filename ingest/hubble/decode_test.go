package hubble

import (
	"encoding/json"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/cilium/api/v1/flow"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

func TestDecode(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var d Decoder
		var b event.Batch
		tally, err := d.Decode([]byte(in), &b)
		if err != nil || tally != (ingest.Tally{In: 1}) || len(b.Events) != 1 {
			t.Fatalf("%v, %+v, %d events from %s", err, tally, len(b.Events), in)
		}
		e := b.Events[0]
		if e.Source != event.SourceHubble {
			t.Errorf("source %v", e.Source)
		}
		if strings.Contains(in, `"uuid"`) != strings.HasPrefix(e.ID.String(), "5a0e2c3b9f414d7e8a6c") {
			t.Errorf("id %s from %s", e.ID, in)
		}
		payload, err := json.Marshal(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join([]string{e.Kind.String(), e.Cluster, e.Node, e.Time.String(), string(payload)}, " ")
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(lineTCP, `flow prod-eu node-a1 2026-11-20T09:15:42.318204117Z {"tuple":{"proto":"tcp","src":"10.20.3.47:48122","dst":"10.20.5.12:8443"},"verdict":"forwarded","egress":true,"point":"to-stack","flags":"SYN","src_workload":{"cluster":"prod-eu","namespace":"agents","pod":"invoice-agent-7c9f8d6b5-x2k4p","node":"node-a1"},"dst_workload":{"cluster":"prod-eu","namespace":"gateway","pod":"model-gateway-0"}}`)
	f(lineVerdict, `policy_verdict prod-eu node-a1 2026-11-20T09:15:43.000000001Z {"tuple":{"proto":"tcp","src":"10.20.3.47:51000","dst":"203.0.113.9:443"},"verdict":"dropped","drop_reason":"POLICY_DENIED","policy":"agents/agents-egress","egress":true,"flags":"SYN","src_workload":{"namespace":"agents","pod":"invoice-agent-7c9f8d6b5-x2k4p","node":"node-a1"},"dst_name":"paste.example.net"}`)
	f(lineHTTP, `http_flow prod-eu node-a1 2026-11-20T09:15:44.500000000Z {"tuple":{"proto":"tcp","src":"10.20.3.47:48130","dst":"10.20.5.12:8080"},"trace":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","format":"hubble"},"http":{"method":"POST","host":"model-gateway.gateway:8080","path":"/v1/chat","status":200},"request_id":"49116c2c-3017-4237-97e7-1ff4e16bfe28","response":true,"latency_ns":"912345678","verdict":"forwarded","egress":true,"src_workload":{"namespace":"agents","pod":"invoice-agent-7c9f8d6b5-x2k4p","node":"node-a1"},"dst_workload":{"namespace":"gateway","pod":"model-gateway-0"}}`)
	f(lineDNS, `dns prod-eu node-a1 2026-11-20T09:15:41.000000000Z {"tuple":{"proto":"udp","src":"10.20.3.47:40017","dst":"10.20.0.10:53"},"query":"model-gateway.example.com","type":"A","response":true,"answers":["203.0.113.10","2001:db8::10"],"verdict":"forwarded","workload":{"namespace":"agents","pod":"invoice-agent-7c9f8d6b5-x2k4p","node":"node-a1"},"latency_ns":"1500000"}`)
	f(lineSock, `flow prod-eu node-a1 2026-11-20T09:15:41.200000000Z {"tuple":{"proto":"udp","src":"172.20.0.10:53","dst":"10.20.3.47:0"},"reply":true,"verdict":"translated","point":"post-xlate-rev","socket_cookie":"18446744073709551615","cgroup_id":"7417","dst_workload":{"namespace":"agents","pod":"invoice-agent-7c9f8d6b5-x2k4p","node":"node-a1"}}`)
	f(lineOld, `flow  node-a1 2021-06-16T16:52:13.136834446Z {"tuple":{"proto":"tcp","src":"10.0.2.16:15020","dst":"10.0.2.1:42044"},"translated":"10.0.0.1:15020","reply":true,"verdict":"forwarded","point":"to-stack","flags":"FIN,ACK","src_workload":{"namespace":"shop","pod":"reviews-v1-545db77b95-s6jb8","node":"node-a1"}}`)
	f(lineLost, `loss prod-eu node-a1 2026-11-20T09:15:41.500000000Z {"of":"hubble","count":"17","from":"2026-11-20T09:15:40.000000000Z","to":"2026-11-20T09:15:41.000000000Z","reason":"perf_event_ring_buffer","scope":"cpu-3"}`)

	// A bare flow, enums by number, numbers in quotes, an offset, nulls.
	f(`{"time":"2026-11-20T11:15:42.5+02:00","node_name":"n1","verdict":2,"drop_reason":"181","IP":{"source":"::ffff:10.0.0.1","destination":"fe80::1%eth0"},"l4":{"SCTP":{"source_port":"7","destination_port":8}},"event_type":{"type":5},"traffic_direction":2,"trace_observation_point":101,"is_reply":null,"source":null,"l7":null}`,
		`policy_verdict  n1 2026-11-20T09:15:42.500000000Z {"tuple":{"proto":"sctp","src":"10.0.0.1:7","dst":"[fe80::1]:8"},"verdict":"dropped","drop_reason":"POLICY_DENY","egress":true,"point":"to-endpoint"}`)
	// The envelope's time and node where the flow has none; its own come first.
	f(`{"flow":{"verdict":"AUDIT"},"node_name":"a/b/n1","time":"2026-11-20T09:15:42Z"}`,
		`flow a/b n1 2026-11-20T09:15:42.000000000Z {"verdict":"audit"}`)
	f(`{"node_name":"outer","time":"2026-11-20T09:15:42Z","flow":{"node_name":"c/inner","time":"2026-11-20T09:15:41Z"}}`,
		`flow c inner 2026-11-20T09:15:41.000000000Z {}`)
	f(`{"flow":{}}`, `flow    {}`)
	// is_reply beats reply; a drop reason of a newer Cilium keeps its number.
	f(`{"flow":{"reply":true,"is_reply":false,"drop_reason":299,"aggregate":{"ingress_flow_count":4294967295,"egress_flow_count":3}}}`,
		`flow    {"drop_reason":"DROP_REASON_299","count":4294967295}`)
	// Denied comes before allowed, a policy without a name is none.
	f(`{"flow":{"egress_allowed_by":[{"name":"a"}],"ingress_denied_by":[{"namespace":"x"},{"name":"b","namespace":"ns"},{"name":"c"}]}}`,
		`flow    {"policy":"ns/b"}`)
	// Kafka, and a layer 7 record of no kind, are plain flows.
	f(`{"flow":{"Type":"L7","l7":{"type":"RESPONSE","kafka":{"topic":"t"}},"is_reply":true}}`,
		`flow    {"reply":true}`)
	// Without its type, is_reply says which layer 7 message it is.
	f(`{"flow":{"l7":{"dns":{"query":"a.example."}},"is_reply":true,"IP":{"source":"10.0.0.53","destination":"10.0.0.1"}}}`,
		`dns    {"tuple":{"src":"10.0.0.1:0","dst":"10.0.0.53:0"},"query":"a.example","response":true}`)
	f(`{"lost_events":{"source":3,"num_events_lost":1},"node_name":"kubernetes/worker1","time":"2025-09-28T08:25:44.749505064Z"}`,
		`loss kubernetes worker1 2025-09-28T08:25:44.749505064Z {"of":"hubble","count":"1","to":"2025-09-28T08:25:44.749505064Z","reason":"hubble_ring_buffer"}`)
}

func TestDecodeRefuses(t *testing.T) {
	var d Decoder
	var b event.Batch
	f := func(in string, want error, text string) {
		t.Helper()
		tally, err := d.Decode([]byte(in), &b)
		wantTally := ingest.Tally{In: 1, Bad: 1}
		if want == ingest.ErrUnknownType {
			wantTally = ingest.Tally{In: 1, UnknownType: 1}
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), text) || tally != wantTally || len(b.Events) != 0 {
			t.Errorf("%v, %+v, %d events from %s", err, tally, len(b.Events), in)
		}
	}
	f(`{"agent_event":{"type":"AGENT_STARTED"},"node_name":"n"}`, ingest.ErrUnknownType, "agent_event")
	f(`{"debug_event":{"type":1}}`, ingest.ErrUnknownType, "debug_event")
	f(`{"nodeStatus":{"state_change":"NODE_CONNECTED"}}`, ingest.ErrUnknownType, "node_status")
	f(`{"node_name":"n","time":"2026-11-20T09:15:42Z"}`, ingest.ErrUnknownType, "no Hubble flow")
	f(`{"flow":null}`, ingest.ErrUnknownType, "no Hubble flow")
	f(`{"lost_events":null}`, ingest.ErrUnknownType, "no Hubble flow")
	f(`{"resourceSpans":[]}`, ingest.ErrUnknownType, "no Hubble flow")
	f(`[1,2]`, ingest.ErrUnknownType, "no Hubble flow")
	f(`"flow"`, ingest.ErrUnknownType, "no Hubble flow")
	f(``, scan.ErrSyntax, "unexpected end")
	f(`{"flow":{"verdict":"FORWARDED"}`, scan.ErrSyntax, "unexpected end")
	f(`{"flow":{}} x`, scan.ErrSyntax, "after the value")
	f(`{"agent_event":{"type":}}`, scan.ErrSyntax, "")
	f(`{"flow":[]}`, scan.ErrType, "want an object")
	f(`{"flow":{"IP":{"source":"10.0.0.300"}}}`, scan.ErrType, "want an IP address")
	f(`{"flow":{"time":"yesterday"}}`, scan.ErrType, "want an RFC 3339 time")
	f(`{"flow":{"l4":{"TCP":{"source_port":70000}}}}`, scan.ErrType, "a port over 65535")
	f(`{"flow":{"socket_cookie":-1}}`, scan.ErrType, "unsigned")
	f(`{"flow":`+strings.Repeat(`{"a":`, scan.MaxDepth)+strings.Repeat(`}`, scan.MaxDepth+1), scan.ErrLimit, "nesting depth")
}

// What is good in a batch stays there when a later record is bad.
func TestDecodeKeepsTheBatch(t *testing.T) {
	var d Decoder
	var b event.Batch
	for _, line := range []string{lineTCP, `{"flow":{"IP":{"source":"x"}}}`, lineDNS, `{}`} {
		d.Decode([]byte(line), &b)
	}
	if len(b.Events) != 2 || b.Events[0].Kind != event.KindFlow || b.Events[1].Kind != event.KindDNS {
		t.Fatalf("events %+v", b.Events)
	}
}

func TestTraceContext(t *testing.T) {
	f := func(context, headers, want string) {
		t.Helper()
		var d Decoder
		var b event.Batch
		in := `{"flow":{"trace_context":` + context + `,"l7":{"type":"REQUEST","http":{"headers":[` + headers + `]}}}}`
		if _, err := d.Decode([]byte(in), &b); err != nil {
			t.Fatalf("%v from %s", err, in)
		}
		tc := b.Events[0].Payload.(*event.HTTPFlow).Trace
		if got := strings.Trim(tc.Format+" "+tc.TraceID.String()+" "+tc.SpanID.String(), " 0"); got != want {
			t.Errorf("got %q, want %q, from %s", got, want, in)
		}
	}
	const (
		trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
		other       = "80f198ee56343ba864fe8b2a57d3eff7"
		parent      = `{"parent":{"trace_id":"` + trace + `"}}`
		w3c         = `{"key":"traceparent","value":"00-` + trace + `-` + span + `-01"}`
		cloud       = `{"key":"X-Cloud-Trace-Context","value":"` + other + `/7;o=1"}`
		b3          = `{"key":"B3","value":"` + other + `-` + span + `-1"}`
		b3s         = `{"key":"X-B3-Traceid","value":"` + other + `"},{"value":"` + span + `","key":"x-b3-spanid"}`
	)
	f(parent, ``, "hubble "+trace)
	f(parent, w3c, "hubble "+trace+" "+span)
	f(parent, `{"key":"traceparent","value":"00-`+other+`-`+span+`-01"}`, "hubble "+trace)
	f(`null`, w3c+","+cloud+","+b3, "traceparent "+trace+" "+span)
	f(`{"parent":null}`, cloud+","+b3, "cloud "+other+" 0000000000000007")
	f(`{}`, b3+","+b3s, "b3 "+other+" "+span)
	f(`{}`, b3s, "b3 "+other+" "+span)
	f(`{}`, `{"key":"x-b3-traceid","value":"`+other+`"}`, "")
	f(`{"parent":{"trace_id":"00000000000000000000000000000000"}}`, ``, "")
	f(`{"parent":{"trace_id":"short"}}`, w3c, "traceparent "+trace+" "+span)
	f(`{}`, `{"key":"traceparent","value":"HUBBLE_REDACTED"}`, "")
	// Escapes in a value that comes before its key.
	f(`{}`, `{"value":"\u0030\u0030-`+trace+`-`+span+`-01","key":"trace\u0070arent"}`, "traceparent "+trace+" "+span)
}

// Nothing of a request but its method, host, path and ids leaves the decoder,
// unless it is switched on.
func TestRedaction(t *testing.T) {
	render := func(p redact.Policy) string {
		d := Decoder{Redact: p}
		var b event.Batch
		if _, err := d.Decode([]byte(lineHTTP), &b); err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(b.Events)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := render(redact.Policy{}); strings.Contains(got, "secret") || strings.Contains(got, "Bearer") {
		t.Errorf("secrets leave by default: %s", got)
	}
	if got := render(redact.Policy{URLQueries: true}); !strings.Contains(got, "/v1/chat?key=secret") || strings.Contains(got, "Bearer") {
		t.Errorf("with queries switched on: %s", got)
	}
}

// Two records of the same flow have one id, however they are written; two flows
// that differ in anything that was read have two.
func TestID(t *testing.T) {
	id := func(in string) event.ID {
		t.Helper()
		var d Decoder
		var b event.Batch
		if _, err := d.Decode([]byte(in), &b); err != nil {
			t.Fatal(err)
		}
		return b.Events[0].ID
	}
	if a, b := id(lineOld), id(camel(lineOld)); a != b {
		t.Errorf("%s and %s in camelCase", a, b)
	}
	seen := map[event.ID]string{id(lineOld): "the line itself"}
	f := func(from, to string) {
		t.Helper()
		in := strings.Replace(lineOld, from, to, 1)
		if in == lineOld {
			t.Fatalf("no %s in the line", from)
		}
		if other, ok := seen[id(in)]; ok {
			t.Errorf("%s → %s has the id of %s", from, to, other)
		}
		seen[id(in)] = from + " → " + to
	}
	f(`10.0.2.16`, `10.0.2.17`)
	f(`15020`, `15021`)
	f(`10.0.0.1"`, `10.0.0.2"`)
	f(`"FIN":true`, `"SYN":true`)
	f(`FORWARDED`, `DROPPED`)
	f(`"reply":true`, `"reply":false`)
	f(`INGRESS`, `EGRESS`)
	f(`TO_STACK`, `TO_PROXY`)
	f(`{"type":4,`, `{"type":5,`)
	f(`136834446Z","verdict`, `136834447Z","verdict`)
	f(`"node_name":"node-a1"`, `"node_name":"node-a2"`)
	f(`reviews-v1`, `reviews-v2`)
	f(`"TCP"`, `"UDP"`)
	f(`{"flow":{`, `{"flow":{"uuid":"not-a-uuid",`)
	f(`{"flow":{`, `{"flow":{"uuid":"not-a-uuid-either",`)
	f(`{"flow":{`, `{"flow":{"uuid":"5a0e2c3b-9f41-4d7e-8a6c-1b2d3e4f5a6b",`)
}

// camel respells the member names of a line as protobuf's JSON does by default.
func camel(line string) string {
	return camelName.ReplaceAllStringFunc(line, func(name string) string {
		out := []byte(name[:0])
		for i := 0; i < len(name); i++ {
			if name[i] == '_' {
				i++
				out = append(out, name[i]&^0x20)
				continue
			}
			out = append(out, name[i])
		}
		return string(out)
	})
}

var camelName = regexp.MustCompile(`"[a-z0-9]+(_[a-z0-9]+)+":`)

func TestCamelCase(t *testing.T) {
	for _, line := range []string{lineTCP, lineVerdict, lineHTTP, lineDNS, lineSock, lineOld, lineLost} {
		var d Decoder
		var a, b event.Batch
		if _, err := d.Decode([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decode([]byte(camel(line)), &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a.Events, b.Events, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
			t.Errorf("snake_case and camelCase differ (-snake +camel):\n%s", diff)
		}
	}
}

func TestDropNames(t *testing.T) {
	for n, name := range flow.DropReason_name {
		if got := new(Decoder).dropName(int64(n)); n != 0 && got != name {
			t.Errorf("drop reason %d is %q, want %q", n, got, name)
		}
	}
	for n := range dropNames {
		if _, ok := flow.DropReason_name[int32(n)]; !ok {
			t.Errorf("drop reason %d is none of Cilium's", n)
		}
	}
}

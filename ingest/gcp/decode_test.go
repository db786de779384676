package gcp

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

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
		if e.Source != event.SourceGCP || e.ID.IsZero() {
			t.Errorf("source %v, id %s", e.Source, e.ID)
		}
		payload, err := json.Marshal(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join([]string{e.Kind.String(), e.Cluster, e.Node, e.Time.String(), e.Observed.String(), string(payload)}, " ")
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(lineEdge, `edge_request   2026-11-20T09:15:44.160317000Z 2026-11-20T09:15:44.912340001Z {"trace":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"e9004ce8eccc7c2d","format":"cloud"},"start":"2026-11-20T09:15:42.318204000Z","http":{"method":"POST","host":"agents.example.com","path":"/run/invoice","status":200},"client":"198.51.100.23","backend":"10.20.3.47","backend_name":"gke-agents-be","request_bytes":"1904","response_bytes":"2210","status_details":"response_sent_by_backend","waf":"agents-armor","waf_outcome":"forwarded"}`)
	f(lineDenied, `edge_request   2026-11-20T09:15:43.756116000Z 2026-11-20T09:15:45.446934692Z {"start":"2026-11-20T09:15:43.653165000Z","http":{"method":"GET","host":"agents.example.com","path":"/.env","status":403},"client":"2001:db8::17","request_bytes":"462","response_bytes":"275","status_details":"denied_by_security_policy","waf":"edge-armor","waf_outcome":"dropped","waf_rules":"owasp-crs-v030001-id930120-lfi,owasp-crs-v030001-id930130-lfi"}`)
	f(lineDNS, `dns   2026-11-20T09:15:41.469213028Z 2026-11-20T09:15:42.356561793Z {"tuple":{"proto":"udp","src":"10.132.0.43:0","dst":"169.254.169.254:0"},"query":"model.example.com","type":"A","response":true,"answers":["203.0.113.10","2001:db8::10"],"workload":{"node":"gke-prod-pool-1"},"latency_ns":"4000000"}`)
	f(linePolicy, `policy_verdict  gke-prod-pool-1 2026-11-20T09:15:42.445836587Z  {"tuple":{"proto":"tcp","src":"10.84.1.8:45084","dst":"10.84.0.11:8080"},"verdict":"dropped","drop_reason":"POLICY_DENIED","src_workload":{"namespace":"web","pod":"client-7b78d7c957-zkn54"},"dst_workload":{"namespace":"agents","pod":"invoice-agent-0","node":"gke-prod-pool-1"},"count":12}`)
	f(linePolicyEntry, `policy_verdict prod gke-prod-pool-1 2026-11-20T09:15:42.445000000Z 2026-11-20T09:15:47.000000000Z {"tuple":{"proto":"tcp","src":"10.84.0.11:51000","dst":"203.0.113.9:443"},"verdict":"forwarded","policy":"agents/models","egress":true,"src_workload":{"namespace":"agents","pod":"invoice-agent-0","node":"gke-prod-pool-1"},"count":1}`)
	f(lineVPC, `flow   2026-11-20T09:16:23.813103387Z 2026-11-20T09:25:01.160200757Z {"tuple":{"proto":"tcp","src":"10.84.0.11:55502","dst":"203.0.113.10:443"},"egress":true,"point":"src","src_workload":{"cluster":"prod","namespace":"agents","pod":"invoice-agent-0","node":"gke-prod-pool-1"},"start":"2026-11-20T09:15:42.618334505Z","bytes":"31200","packets":"16"}`)
	// The log's name decides, wherever it stands; snake_case as protobuf may have it.
	f(`{"json_payload":{"connection":{"protocol":17}},"receive_timestamp":"2026-11-20T09:15:43Z","timestamp":"2026-11-20T09:15:42Z","log_name":"organizations/1/logs/networkmanagement.googleapis.com%2Fvpc_flows"}`,
		`flow   2026-11-20T09:15:42.000000000Z 2026-11-20T09:15:43.000000000Z {"tuple":{"proto":"udp"}}`)
	// Denied, and the optional fields that say by what switched off.
	f(`{"resource":{"type":"http_external_regional_lb_rule","labels":{"backend_name":"b"}},"httpRequest":{"status":403},"jsonPayload":{"statusDetails":"denied_by_security_policy","remoteIp":"198.51.100.1:99"}}`,
		`edge_request     {"http":{"status":403},"client":"198.51.100.1","backend_name":"b","status_details":"denied_by_security_policy","waf_outcome":"dropped"}`)
	// A trace field that is none, and a span id without a trace, are left out.
	f(`{"resource":{"type":"http_load_balancer"},"httpRequest":{},"trace":"x","spanId":"e9004ce8eccc7c2d","timestamp":"2026-11-20T09:15:42Z"}`,
		`edge_request   2026-11-20T09:15:42.000000000Z  {"start":"2026-11-20T09:15:42.000000000Z"}`)
	f(`{"logName":"projects/p/logs/dns.googleapis.com/dns_queries","jsonPayload":{"queryName":".","responseCode":"NEWCODE","protocol":"tcp","rdata":"a.\t1\tIN\ta\t10.0.0.1\na.\t1\tIN\ta\tx\na.\t1\tIN\n\n"}}`,
		`dns     {"tuple":{"proto":"tcp"},"query":".","rcode":65535,"response":true,"answers":["10.0.0.1"]}`)
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
	const edge = `"resource":{"type":"http_load_balancer"}`
	f(lineRun, ingest.ErrUnknownType, "does not read")
	f(`{}`, ingest.ErrUnknownType, "no LogEntry")
	f(`[]`, ingest.ErrUnknownType, "no LogEntry")
	f(`{"entries":[{"logName":"x"}]}`, ingest.ErrUnknownType, "no LogEntry")
	f(`{"connection":{}}`, ingest.ErrUnknownType, "no LogEntry")
	// An audit log about a load balancer, a firewall log, a log of an app.
	f(`{"protoPayload":{},`+edge+`}`, ingest.ErrUnknownType, "does not read")
	f(`{"logName":"projects/p/logs/compute.googleapis.com%2Ffirewall","jsonPayload":{"connection":{"src_ip":"10.0.0.1"},"disposition":"DENIED"}}`,
		ingest.ErrUnknownType, "does not read")
	f(`{"logName":"projects/p/logs/stdout","jsonPayload":{"connection":"lost","timestamp":"now","count":-1,"src":7}}`,
		ingest.ErrUnknownType, "does not read")
	f(`{"jsonPayload":{"connection":"lost"},"logName":"projects/p/logs/policy-action"}`, scan.ErrType, "want an object")
	f(`{"httpRequest":{"latency":"fast"},`+edge+`}`, scan.ErrType, "latency")
	f(`{"httpRequest":{"latency":"-1s"},`+edge+`}`, scan.ErrType, "latency")
	f(`{"httpRequest":{"status":"ok"},`+edge+`}`, scan.ErrType, "unsigned number")
	f(`{"httpRequest":{"remoteIp":"10.0.0.1:x"},`+edge+`}`, scan.ErrType, "address")
	f(`{"timestamp":"now","httpRequest":{},`+edge+`}`, scan.ErrType, "RFC 3339")
	f(`{"jsonPayload":{"connection":{"protocol":256}},"logName":"projects/p/logs/policy-action"}`, scan.ErrType, "protocol")
	f(``, scan.ErrSyntax, "unexpected end")
	f(`{"httpRequest":{"status":"ok"},`+edge, scan.ErrSyntax, "unexpected end")
	f(`{"logName":"x"}}`, scan.ErrSyntax, "after the value")
}

func TestSeconds(t *testing.T) {
	f := func(in string, want uint64, ok bool) {
		t.Helper()
		if got, gotOK := seconds([]byte(in)); got != want || gotOK != ok {
			t.Errorf("seconds(%q) = %d, %v", in, got, gotOK)
		}
	}
	f("0.005192s", 5_192_000, true)
	f("12s", 12_000_000_000, true)
	f("0s", 0, true)
	f("3.123456789s", 3_123_456_789, true)
	f("3.1234567891s", 0, false)
	f("1", 0, false)
	f("s", 0, false)
	f(".5s", 0, false)
	f("-1s", 0, false)
	f("1.5", 0, false)
	f("1.xs", 0, false)
	f("99999999999s", 0, false)
	f("999999999999999999999s", 0, false)
}

// Nothing of a request but its method, host, path, sizes and client leaves the
// decoder, unless it is switched on.
func TestRedaction(t *testing.T) {
	render := func(p redact.Policy) string {
		d := Decoder{Redact: p}
		var b event.Batch
		if _, err := d.Decode([]byte(lineEdge), &b); err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(b.Events)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := render(redact.Policy{}); strings.Contains(got, "secret") || strings.Contains(got, "curl") {
		t.Errorf("secrets leave by default: %s", got)
	}
	if got := render(redact.Policy{URLQueries: true}); !strings.Contains(got, "/run/invoice?token=secret") || strings.Contains(got, "user:") {
		t.Errorf("with queries switched on: %s", got)
	}
}

// An entry has one id wherever it is read from; without an insertId what was read
// makes the id.
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
	for _, line := range []string{lineEdge, lineDNS, linePolicyEntry, lineVPC} {
		if a, b := id(line), id(strings.Replace(line, `"receiveTimestamp":"2026-11-20T09`, `"receiveTimestamp":"2026-11-20T10`, 1)); a != b {
			t.Errorf("the id hangs on the time of receipt: %s", line)
		}
	}
	f := func(line string, changes ...string) {
		t.Helper()
		seen := map[event.ID]string{id(line): "the line itself"}
		for i := 0; i < len(changes); i += 2 {
			in := strings.Replace(line, changes[i], changes[i+1], 1)
			if in == line {
				t.Fatalf("no %s in %s", changes[i], line)
			}
			got := id(in)
			if other, ok := seen[got]; ok {
				t.Errorf("%s → %s has the id of %s", changes[i], changes[i+1], other)
			}
			seen[got] = changes[i+1]
		}
	}
	anonymous := func(line string) string { return strings.Replace(line, `"insertId"`, `"x"`, 1) }
	f(lineEdge, `1v3x9kf2hq0d7`, `1v3x9kf2hq0d8`, `:42.318204Z`, `:42.318205Z`, `logs/requests`, `logs/requests2`)
	f(anonymous(lineEdge), `1.842113s`, `1.842114s`, `POST`, `PUT`, `/run/invoice`, `/run/other`, `10.20.3.47`, `10.20.3.48`,
		`"198.51.100.23"`, `"198.51.100.24"`, `"status":200`, `"status":201`, `4736"}`, `4737"}`, `gke-agents-be`, `be`, `"ACCEPT"`, `"DENY"`)
	f(anonymous(lineDNS), `"A"`, `"AAAA"`, `Model`, `Model2`, `10.132.0.43`, `10.132.0.44`, `203.0.113.10`, `203.0.113.11`, `NOERROR`, `SERVFAIL`)
	f(linePolicy, `45084`, `45085`, `deny`, `allow`, `ingress`, `egress`, `"count":12`, `"count":13`, `pool-1`, `pool-2`, `agent-0`, `agent-1`)
	f(anonymous(lineVPC), `31200`, `31201`, `"16"`, `"17"`, `SRC`, `DEST`, `09:15:42.618334505Z`, `09:15:42.618334506Z`, `agent-0`, `agent-1`)
}

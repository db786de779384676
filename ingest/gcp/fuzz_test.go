package gcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// FuzzDecode holds the decoder to encoding/json: where every field that is taken
// over has a value of its type, the two readings must agree.
func FuzzDecode(f *testing.F) {
	for _, line := range []string{
		lineEdge, lineDenied, lineDNS, linePolicy, linePolicyEntry, lineVPC, lineRun,
		`{"logName":"projects/p/logs/policy-action","jsonPayload":{"connection":{},"disposition":"deny","timestamp":"2026-11-20T09:15:42.1Z"},"timestamp":"2026-11-20T09:15:42Z"}`,
		`{"resource":{"type":"http_load_balancer"},"httpRequest":{"status":"200","latency":"0.1s","requestUrl":"\/\u0061?b"}}`,
		`{"connection":{"protocol":"ICMPv6","src_ip":"::1"},"disposition":"allow","policies":[{"name":""},{"name":"p"}],"src":{"node_name":"n"}}`,
	} {
		f.Add([]byte(line))
	}
	// A decoder of its own for each input: with what another has remembered the
	// coverage, which the fuzzer goes by, would not be the input's.
	f.Fuzz(func(t *testing.T, in []byte) { differ(t, new(Decoder), new(event.Batch), in) })
}

// differ compares the two readings of one record, and tells whether there were
// two to compare.
func differ(t *testing.T, d *Decoder, b *event.Batch, in []byte) bool {
	t.Helper()
	b.Reset()
	tally, err := d.Decode(in, b)
	if tally.In != 1 || len(b.Events)+tally.Bad+tally.UnknownType != 1 || (err == nil) != (len(b.Events) == 1) {
		t.Fatalf("%d events, %+v, %v from %q", len(b.Events), tally, err, in)
	}
	if !json.Valid(in) {
		if tally.Bad != 1 {
			t.Fatalf("%+v, %v from %q, which is not JSON", tally, err, in)
		}
		return false
	}
	if !utf8.Valid(in) || repeats(in) || errors.Is(err, scan.ErrLimit) {
		return false // every reader does as it likes with these
	}
	var m map[string]any
	dec := json.NewDecoder(bytes.NewReader(in))
	dec.UseNumber()
	if dec.Decode(&m) != nil {
		if tally.UnknownType != 1 {
			t.Fatalf("%+v, %v from %q, which is no object", tally, err, in)
		}
		return false
	}
	want, known, clean := expect(m)
	if !clean {
		return false
	}
	if known != (len(b.Events) == 1) || !known && tally.UnknownType != 1 {
		t.Fatalf("%+v, %v, want an event: %v, from %q", tally, err, known, in)
	}
	if !known {
		return true
	}
	got := b.Events[0]
	if got.ID.IsZero() {
		t.Fatalf("no id from %q", in)
	}
	want.ID = got.ID
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("encoding/json and the decoder differ (-encoding/json +decoder):\n%s\nfrom %q", diff, in)
	}
	return true
}

// repeats tells whether some object of a valid text has a member twice.
func repeats(in []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(in))
	var walk func() bool
	walk = func() bool {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		switch tok {
		case json.Delim('{'):
			seen := map[string]bool{}
			for dec.More() {
				key, err := dec.Token()
				if err != nil {
					return false
				}
				name := key.(string)
				if alias, ok := aliases[name]; ok {
					name = alias
				}
				if seen[name] || walk() {
					return true
				}
				seen[name] = true
			}
			dec.Token()
		case json.Delim('['):
			for dec.More() {
				if walk() {
					return true
				}
			}
			dec.Token()
		}
		return false
	}
	return walk()
}

// aliases are the snake_case spellings of the members of a LogEntry.
var aliases = map[string]string{
	"insert_id": "insertId", "log_name": "logName", "receive_timestamp": "receiveTimestamp", "span_id": "spanId",
	"http_request": "httpRequest", "json_payload": "jsonPayload", "request_method": "requestMethod",
	"request_url": "requestUrl", "request_size": "requestSize", "response_size": "responseSize",
	"remote_ip": "remoteIp", "server_ip": "serverIp",
}

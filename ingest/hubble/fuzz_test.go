package hubble

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// FuzzDecode holds the decoder to Cilium's generated types: what protojson reads
// as a flow or a loss the decoder must read, and both must agree on every field
// that is taken over. The expectation is written over the generated types alone.
func FuzzDecode(f *testing.F) {
	for _, line := range []string{
		lineTCP, lineVerdict, lineHTTP, lineDNS, lineSock, lineOld, lineLost,
		camel(lineTCP), camel(lineSock), camel(lineLost),
		`{"flow":{"verdict":2,"drop_reason":181,"event_type":{"type":5},"traffic_direction":2,"trace_observation_point":101,"sock_xlate_point":3}}`,
		`{"verdict":"DROPPED","IP":{"source":"::1"},"l4":{"ICMPv6":{"type":1}},"time":"2026-11-20T09:15:42+01:00"}`,
		`{"flow":{"l7":{"type":3,"http":{"headers":[{"value":"\u0062","key":"b3"}]}}}}`,
		`{"agent_event":{"type":"AGENT_STARTED"},"node_name":"n","time":null}`,
		`{"node_status":{}}`,
		`{"flow":{"x":0e}}`,
	} {
		f.Add([]byte(line))
	}
	// TestRecordingsAgree goes over all of the recordings; as seeds some are enough.
	if os.Getenv("SENNIT_SHARED_DATA") != "" {
		for i, line := range recordedLines(f) {
			if i%40 == 0 {
				f.Add(line)
			}
		}
	}
	// A decoder of its own for each input: with what another has remembered the
	// coverage, which the fuzzer goes by, would not be the input's.
	f.Fuzz(func(t *testing.T, in []byte) { differ(t, new(Decoder), new(event.Batch), in) })
}

// TestRecordingsAgree is the same over every recorded line.
func TestRecordingsAgree(t *testing.T) {
	var d Decoder
	var b event.Batch
	for _, line := range recordedLines(t) {
		if !differ(t, &d, &b, line) {
			t.Fatalf("protojson refuses %s", line)
		}
	}
}

// differ compares the two readings of one record, and tells whether there were
// two to compare.
func differ(t *testing.T, d *Decoder, b *event.Batch, in []byte) bool {
	t.Helper()
	b.Reset()
	d.Redact = redact.Policy{}
	tally, err := d.Decode(in, b)
	if tally.In != 1 || len(b.Events)+tally.Bad+tally.UnknownType != 1 || (err == nil) != (len(b.Events) == 1) {
		t.Fatalf("%d events, %+v, %v from %q", len(b.Events), tally, err, in)
	}
	if !json.Valid(in) {
		if tally.Bad != 1 {
			t.Fatalf("%+v, %v from %q, which is not JSON", tally, err, in)
		}
		return false // protojson reads "0e" as a number
	}
	var m observer.ExportEvent
	opts := protojson.UnmarshalOptions{DiscardUnknown: true}
	if opts.Unmarshal(in, &m) != nil {
		return false
	}
	if m.ResponseTypes == nil && len(b.Events) == 1 {
		var bare flow.Flow
		if err := opts.Unmarshal(in, &bare); err != nil {
			return false
		}
		m.ResponseTypes = &observer.ExportEvent_Flow{Flow: &bare}
	}
	want, known := expect(&m)
	if !known || errors.Is(err, scan.ErrLimit) || err != nil && looseTime.Match(in) {
		return false
	}
	if err != nil {
		t.Fatalf("%v, but protojson reads %v from %q", err, &m, in)
	}
	got := b.Events[0]
	if id := m.GetFlow().GetUuid(); strings.Trim(id, "0-") != "" && len(id) == 36 && canonicalUUID(id) {
		if got.ID.String() != strings.ToLower(strings.ReplaceAll(id, "-", "")) {
			t.Fatalf("id %s from uuid %s", got.ID, id)
		}
	} else if got.ID.IsZero() {
		t.Fatal("no id")
	}
	want.ID = got.ID
	forgiveNewNames(&want, &got)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("protojson and the decoder differ (-protojson +decoder):\n%s\nfrom %q", diff, in)
	}
	return true
}

// looseTime finds what Go's time package takes for RFC 3339 and is not: an hour of
// one digit, a comma, an offset of a day.
var looseTime = regexp.MustCompile(`-\d\dT(\d:|[^"]*,|[^"]*[+-]24:|[^"]*:60)`)

func canonicalUUID(s string) bool {
	for i, c := range s {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') {
			return false
		}
		if c != '-' && !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return false
		}
	}
	return true
}

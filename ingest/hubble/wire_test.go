package hubble

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/ingest/scan/wiretest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	"github.com/sennit-io/sennit/schemas/racetest"
)

// wirePair are the two ways of a record, each with a decoder of its own.
type wirePair struct {
	wire, text   Decoder
	fromW, fromT event.Batch
	buf          []byte
}

// differ holds the reading of a message to that of the JSON which the generated
// types make of it: the same events with the same ids, the same verdict on the
// record. It tells whether there were two to compare.
func (p *wirePair) differ(t *testing.T, in []byte) bool {
	t.Helper()
	p.fromW.Reset()
	p.buf = append(p.buf[:0], in...)
	tally, err := p.wire.DecodeProto(p.buf, &p.fromW)
	clear(p.buf) // gRPC's buffers are used again: nothing may be kept of them
	if tally.In != 1 || len(p.fromW.Events)+tally.Bad+tally.UnknownType != 1 || (err == nil) != (len(p.fromW.Events) == 1) {
		t.Fatalf("%d events, %+v, %v from %x", len(p.fromW.Events), tally, err, in)
	}
	var m observer.GetFlowsResponse
	if proto.Unmarshal(in, &m) != nil {
		return false
	}
	text, jsonErr := m.MarshalJSON()
	if jsonErr != nil {
		return false
	}
	p.fromT.Reset()
	want, wantErr := p.text.Decode(text, &p.fromT)
	if errors.Is(err, scan.ErrLimit) || errors.Is(wantErr, scan.ErrLimit) {
		return false
	}
	if tally != want || errors.Is(wantErr, ingest.ErrUnknownType) && err.Error() != wantErr.Error() {
		t.Fatalf("protobuf gives %+v, %v, JSON %+v, %v\nfrom %s\n%x", tally, err, want, wantErr, text, in)
	}
	if diff := cmp.Diff(p.fromT.Events, p.fromW.Events, eventtest.Equal); diff != "" {
		t.Fatalf("JSON (-) and protobuf (+) differ:\n%s\nfrom %s\n%x", diff, text, in)
	}
	return err == nil
}

// TestWireGenerated compares the two readings of messages filled at random over
// the whole of Cilium's types, written as generated code does and in strange ways.
func TestWireGenerated(t *testing.T) {
	var p wirePair
	compared, mangled := 0, 0
	rounds := racetest.Size(6000, 1500)
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 3))
		var m observer.GetFlowsResponse
		fill(r, m.ProtoReflect(), 0)
		in, err := proto.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		if p.differ(t, in) {
			compared++
		}
		for range 3 {
			if p.differ(t, wiretest.Mangle(r, in)) {
				mangled++
			}
		}
		var other observer.GetFlowsResponse // written behind it, it is merged with it
		fill(r, other.ProtoReflect(), 0)
		if in, err = (proto.MarshalOptions{}).MarshalAppend(in, &other); err != nil {
			t.Fatal(err)
		}
		p.differ(t, in)
	}
	if compared < rounds/4 || mangled < rounds/4 { // messages of other types, and what cannot be
		t.Errorf("of %d messages only %d gave events, and %d when mangled", rounds, compared, mangled)
	}
	t.Logf("of %d messages %d gave events, and %d when mangled", rounds, compared, mangled)
}

// TestWireRecordings is the same over every recorded line.
func TestWireRecordings(t *testing.T) {
	var p wirePair
	for _, line := range recordedLines(t) {
		if !p.differ(t, protoOf(t, line)) {
			t.Fatalf("no event from %s", line)
		}
	}
}

// TestWireAgents is the same over the project's own recordings.
func TestWireAgents(t *testing.T) {
	files, err := filepath.Glob("../../testdata/agents/*.hubble.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	var p wirePair
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			if !p.differ(t, protoOf(t, line)) {
				t.Fatalf("no event from %s", line)
			}
		}
	}
}

// protoOf is a line as it comes over gRPC.
func protoOf(t testing.TB, line []byte) []byte {
	t.Helper()
	var m observer.GetFlowsResponse
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(line, &m); err != nil {
		t.Fatal(err)
	}
	in, err := proto.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// FuzzDecodeProto holds the decoder to the generated types on any bytes: what
// these read, and write as JSON, it reads alike, and whatever it is given, the
// records add up.
func FuzzDecodeProto(f *testing.F) {
	for _, line := range []string{lineTCP, lineVerdict, lineHTTP, lineDNS, lineSock, lineLost} {
		f.Add(protoOf(f, []byte(line)))
	}
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 4))
		var m observer.GetFlowsResponse
		fill(r, m.ProtoReflect(), 0)
		in, err := proto.Marshal(&m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(in)
		f.Add(wiretest.Mangle(r, in))
	}
	f.Fuzz(func(t *testing.T, in []byte) { new(wirePair).differ(t, in) })
}

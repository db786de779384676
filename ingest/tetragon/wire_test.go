package tetragon

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	api "github.com/cilium/tetragon/api/v1/tetragon"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/ingest/scan/wiretest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	"github.com/sennit-io/sennit/schemas/racetest"
	"github.com/sennit-io/sennit/testdata/recordings"
)

// wirePair are the two ways of a record, each with a decoder of its own.
type wirePair struct {
	wire, text   Decoder
	fromW, fromT event.Batch
	buf          []byte
}

// differ holds the reading of a message to that of the JSON which the generated
// types make of it: the same events with the same ids, the same verdict on the
// record. It tells whether there were two events to compare.
func (p *wirePair) differ(t *testing.T, in []byte) bool {
	t.Helper()
	p.fromW.Reset()
	p.buf = append(p.buf[:0], in...)
	tally, err := p.wire.DecodeProto(p.buf, &p.fromW)
	clear(p.buf) // gRPC's buffers are used again: nothing may be kept of them
	if tally.In != 1 || len(p.fromW.Events)+tally.Bad+tally.UnknownType != 1 || (err == nil) != (len(p.fromW.Events) == 1) {
		t.Fatalf("%d events, %+v, %v from %x", len(p.fromW.Events), tally, err, in)
	}
	var m api.GetEventsResponse
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
		t.Fatalf("JSON (-) and protobuf (+) differ:\n%s\nfrom %s\n%x\ndigests\n%q\n%q", diff, text, in, p.text.digest, p.wire.digest)
	}
	return err == nil
}

// TestWireGenerated compares the two readings of messages filled at random over
// the whole of Tetragon's types, written as generated code does and in strange
// ways.
func TestWireGenerated(t *testing.T) {
	var p wirePair
	compared, mangled := 0, 0
	rounds := racetest.Size(4000, 600)
	for seed := range uint64(rounds) {
		g := generator{rand.New(rand.NewPCG(seed, 9))}
		msg := new(api.GetEventsResponse)
		g.fill(msg.ProtoReflect(), 0)
		in, err := proto.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		if p.differ(t, in) {
			compared++
		}
		for range 3 {
			if p.differ(t, wiretest.Mangle(g.Rand, in)) {
				mangled++
			}
		}
		other := new(api.GetEventsResponse) // written behind it, it is merged with it
		g.fill(other.ProtoReflect(), 0)
		if in, err = (proto.MarshalOptions{}).MarshalAppend(in, other); err != nil {
			t.Fatal(err)
		}
		p.differ(t, in)
	}
	if compared < rounds/3 || mangled < rounds/3 { // what is of another type, and what cannot be
		t.Errorf("of %d messages only %d gave events, and %d when mangled", rounds, compared, mangled)
	}
	t.Logf("of %d messages %d gave events, and %d when mangled", rounds, compared, mangled)
}

// TestWireRecordings is the same over every recorded line.
func TestWireRecordings(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings.Dir(t), "tetragon", "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings of Tetragon: %v, %v", files, err)
	}
	var p wirePair
	compared := 0
	for _, file := range files {
		for _, line := range readLines(t, file) {
			if p.differ(t, protoMessage(t, []byte(line))) {
				compared++
			}
		}
	}
	if compared < 51 {
		t.Errorf("only %d lines gave events", compared)
	}
}

// TestWireAgents is the same over the project's own recordings.
func TestWireAgents(t *testing.T) {
	files, err := filepath.Glob("../../testdata/agents/*.tetragon.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	var p wirePair
	for _, file := range files {
		for _, line := range readLines(t, file) {
			if !p.differ(t, protoMessage(t, []byte(line))) {
				t.Fatalf("no event from %s", line)
			}
		}
	}
}

// protoMessage is a line as it comes over gRPC.
func protoMessage(t testing.TB, line []byte) []byte {
	t.Helper()
	var m api.GetEventsResponse
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
	f.Add(protoMessage(f, []byte(execLine)))
	f.Add(protoMessage(f, []byte(kprobeLine)))
	for seed := range uint64(40) {
		g := generator{rand.New(rand.NewPCG(seed, 10))}
		msg := new(api.GetEventsResponse)
		g.fill(msg.ProtoReflect(), 2)
		in, err := proto.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(in)
		f.Add(wiretest.Mangle(g.Rand, in))
	}
	f.Fuzz(func(t *testing.T, in []byte) { new(wirePair).differ(t, in) })
}

// What a record may make of itself is bounded: names are longer than the numbers
// they stand for, and messages in pieces are put together.
func TestWireLimits(t *testing.T) {
	hook := func(args ...*api.KprobeArgument) []byte {
		in, err := proto.Marshal(&api.GetEventsResponse{
			Event: &api.GetEventsResponse_ProcessKprobe{ProcessKprobe: &api.ProcessKprobe{Process: &api.Process{ExecId: "x"}, Args: args}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	f := func(name string, in []byte, digest int, want error) {
		t.Helper()
		var d Decoder
		var b event.Batch
		tally, err := d.DecodeProto(in, &b)
		if !errors.Is(err, want) || (want == nil) != (err == nil) || tally.In != 1 || tally.Bad == 1 != (want != nil) {
			t.Errorf("%s: %+v, %v, want %v", name, tally, err, want)
		}
		if len(d.digest) > digest {
			t.Errorf("%s: a digest of %d bytes", name, len(d.digest))
		}
	}
	caps := func(n int) *api.KprobeArgument {
		return &api.KprobeArgument{Arg: &api.KprobeArgument_CredArg{CredArg: &api.KprobeCred{Permitted: make([]api.CapabilitiesType, n)}}}
	}
	f("capabilities", hook(caps(1000), caps(1000)), 1<<15, nil)
	f("capabilities without end", hook(caps(3<<20)), scan.MaxRecord+64, scan.ErrLimit)
	var many []*api.KprobeArgument
	for range 300 {
		many = append(many, caps(10<<10))
	}
	f("lists without end", hook(many...), scan.MaxRecord+64, scan.ErrLimit)
	long := &api.KprobeArgument{Arg: &api.KprobeArgument_StringArg{StringArg: strings.Repeat("a", scan.MaxString+1)}}
	f("a long string", hook(long), 1<<10, scan.ErrLimit)
	one := hook()
	f("in pieces", append(append([]byte{}, one...), one...), 0, nil)
	pieces := []byte{}
	for len(pieces) < 1<<20 {
		pieces = append(pieces, one...)
	}
	f("in pieces without end", pieces, 0, scan.ErrLimit)
}

// The tables of the messages are what the generated types say.
func TestWireFields(t *testing.T) {
	root := new(api.GetEventsResponse).ProtoReflect().Descriptor()
	events := root.Oneofs().ByName("event").Fields()
	for i := range events.Len() {
		f := events.Get(i)
		k := kindOf(uint64(f.Number())<<3 | scan.WireBytes)
		if k == kindNone || envelopeNames.Name(int(k)) != string(f.Name()) {
			t.Errorf("%s is of kind %d", f.Name(), k)
			continue
		}
		fields := f.Message().Fields()
		read := 0
		for j := range fields.Len() {
			f := fields.Get(j)
			place := none
			if n := int(f.Number()); n < len(bodyFields[k]) {
				place = bodyFields[k][n]
			}
			want := none
			for p := range bodyCount {
				if bodyNames.Name(p) == string(f.Name()) && bodyKinds[p]&(1<<k) != 0 {
					want = p
				}
			}
			if place != want {
				t.Errorf("%s is at %d, want %d", f.FullName(), place, want)
			}
			if place == none {
				continue
			}
			read++
			number := f.Kind() != protoreflect.StringKind && f.Kind() != protoreflect.BytesKind && f.Kind() != protoreflect.MessageKind
			if number != (bodyNumbers&(1<<place) != 0) {
				t.Errorf("%s is of kind %v", f.FullName(), f.Kind())
			}
		}
		for _, place := range bodyFields[k] {
			if place != none {
				read--
			}
		}
		if read != 0 {
			t.Errorf("%s: %d fields are not there", f.Name(), -read)
		}
	}
	compareFields(t, argumentFields[:], new(api.KprobeArgument).ProtoReflect().Descriptor())
}

// compareFields compares a table with a message, and those of the messages in it.
func compareFields(t *testing.T, table []field, m protoreflect.MessageDescriptor) {
	t.Helper()
	kinds := map[protoreflect.Kind]fieldKind{
		protoreflect.StringKind: fieldText, protoreflect.BytesKind: fieldBytes, protoreflect.BoolKind: fieldBool,
		protoreflect.Int32Kind: fieldInt32, protoreflect.Int64Kind: fieldInt64, protoreflect.Uint32Kind: fieldUint32,
		protoreflect.Uint64Kind: fieldUint64, protoreflect.EnumKind: fieldEnum, protoreflect.MessageKind: fieldMessage,
	}
	wrappers := map[protoreflect.FullName]fieldKind{
		"google.protobuf.BoolValue": fieldBoolValue, "google.protobuf.Int32Value": fieldInt32Value, "google.protobuf.UInt32Value": fieldUint32Value,
	}
	fields, known := m.Fields(), 0
	last := protoreflect.FieldNumber(0)
	for i := range fields.Len() {
		f := fields.Get(i)
		if int(f.Number()) >= len(table) {
			t.Errorf("%s is not in the table", f.FullName())
			continue
		}
		if f.Number() < last && f.Number() != argLabel { // JSON has fields in the order of their declaration
			t.Errorf("%s is not in the order of numbers", f.FullName())
		}
		last = f.Number()
		got := table[f.Number()]
		want := field{
			name: strings.ReplaceAll(strings.ToLower(string(f.Name())), "_", ""), kind: kinds[f.Kind()], list: f.IsList(),
			kept: got.kept, names: got.names, message: got.message,
		}
		if f.Message() != nil {
			if kind, ok := wrappers[f.Message().FullName()]; ok {
				want.kind = kind
			} else if got.message == nil {
				t.Errorf("%s has no message", f.FullName())
			} else {
				compareFields(t, got.message[:], f.Message())
			}
		}
		if f.Enum() != nil {
			for j := range f.Enum().Values().Len() {
				v := f.Enum().Values().Get(j)
				if got.names[int32(v.Number())] != string(v.Name()) {
					t.Errorf("%s %d is %q", f.FullName(), v.Number(), got.names[int32(v.Number())])
				}
			}
			if len(got.names) != f.Enum().Values().Len() {
				t.Errorf("%s has names that are none", f.FullName())
			}
		}
		if f.IsList() && f.Kind() != protoreflect.EnumKind || f.IsMap() {
			t.Errorf("%s is a list of what the decoder does not know", f.FullName())
		}
		if got.name != want.name || got.kind != want.kind || got.list != want.list {
			t.Errorf("%s is %+v, want %+v", f.FullName(), got, want)
		}
		known++
	}
	for _, f := range table {
		if f.name != "" {
			known--
		}
	}
	if known != 0 {
		t.Errorf("%s: the table has %d fields that are none", m.FullName(), -known)
	}
}

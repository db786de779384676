package otlp

import (
	"bytes"
	"testing"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// TestWire holds the reader of fields to the generated types on what they
// accept and refuse.
func TestWire(t *testing.T) {
	sound, err := proto.Marshal(sampleRequest(2))
	if err != nil {
		t.Fatal(err)
	}
	f := func(raw []byte, wantErr bool) {
		t.Helper()
		if got := proto.Unmarshal(raw, &trace.TracesData{}) != nil; got != wantErr {
			t.Fatalf("%x: the generated types say error %v", raw, got)
		}
		var d Decoder
		var b event.Batch
		b.Add(event.KindClock, event.SourceK8s)
		tally, err := d.DecodeProto(append(bytes.Clone(raw), sound...), &b)
		want, events := ingest.Tally{In: 2}, 3
		if wantErr {
			want, events = ingest.Tally{In: 1, Bad: 1}, 1
		}
		if tally != want || len(b.Events) != events || (err != nil) != wantErr {
			t.Errorf("%x: %+v, %d events, %v", raw, tally, len(b.Events), err)
		}
	}
	tag := protowire.AppendTag
	group := func(n protowire.Number, body []byte) []byte {
		return tag(append(tag(nil, n, protowire.StartGroupType), body...), n, protowire.EndGroupType)
	}
	f(nil, false)
	f(protowire.AppendVarint(tag(nil, 99, protowire.VarintType), 1<<63), false)
	f(protowire.AppendFixed32(tag(nil, 99, protowire.Fixed32Type), 7), false)
	f(protowire.AppendFixed64(tag(nil, 536870911, protowire.Fixed64Type), 7), false)
	f(protowire.AppendString(tag(nil, 99, protowire.BytesType), "x"), false)
	f(protowire.AppendVarint(tag(nil, 1, protowire.VarintType), 5), false) // a known number of another type
	f(group(99, nil), false)
	f(group(1, group(2, protowire.AppendString(tag(nil, 3, protowire.BytesType), "x"))), false)
	f(group(5, append(protowire.AppendFixed32(tag(nil, 1, protowire.Fixed32Type), 1), protowire.AppendFixed64(tag(nil, 1, protowire.Fixed64Type), 1)...)), false)

	f([]byte{0x00}, true)                                   // field 0
	f([]byte{0x07}, true)                                   // wire type 7
	f(tag(nil, 1, protowire.EndGroupType), true)            // an end without a start
	f(append(tag(nil, 9, protowire.BytesType), 0xff), true) // an unfinished length
	f([]byte{0x0a, 0x7f}, true)
	f([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, true) // a varint of eleven bytes' worth
	f(append(tag(nil, 1<<29-1, protowire.StartGroupType), tag(nil, 2, protowire.EndGroupType)...), true)
	f(tag(append(tag(nil, 9, protowire.StartGroupType), 0x00), 9, protowire.EndGroupType), true)
	for _, n := range []int{1, 4, 8} {
		f(bytes.Repeat([]byte{0x80}, n), true)
	}

	// Cut anywhere, a request is one bad record or a shorter sound one.
	for n := range sound {
		var d Decoder
		var b event.Batch
		tally, err := d.DecodeProto(sound[:n], &b)
		checkLaw(t, &b, tally, err)
		if unsound := proto.Unmarshal(sound[:n], &trace.TracesData{}) != nil; unsound != (err != nil) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestReadID(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		var d Decoder
		var got [8]byte
		if ok := d.readID(got[:], []byte(text)); ok != want || ok && got != [8]byte{0x62, 0x9a, 0x21, 0x13, 0x1e, 0xde, 0x63, 0xfb} {
			t.Errorf("%q: %x, %v", text, got, ok)
		}
	}
	f("629a21131ede63fb", true)
	f("629A21131EDE63FB", true)
	f("YpohEx7eY/s=", true)
	f("YpohEx7eY_s=", true)
	f("YpohEx7eY/s", true)
	f("YpohEx7eY/s==", false)
	f("YpohEx7eY/", false)
	f("YpohEx7eY/s!", false)
	f("629a21131ede63f", false)
	f("629a21131ede63fg", false)
	f("", false)
	var d Decoder
	var long [16]byte
	for _, text := range []string{"XPlHTio7AuyqfHv1SQv+2A==", "XPlHTio7AuyqfHv1SQv-2A", testTrace} {
		if !d.readID(long[:], []byte(text)) || long != [16]byte{0x5c, 0xf9, 0x47, 0x4e, 0x2a, 0x3b, 0x02, 0xec, 0xaa, 0x7c, 0x7b, 0xf5, 0x49, 0x0b, 0xfe, 0xd8} {
			t.Errorf("%q: %x", text, long)
		}
	}
	if d.readID(long[:], []byte("XPlHTio7AuyqfHv1SQv+2A=")) {
		t.Error("half a padding was taken")
	}
}

package event_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	sennitv1 "github.com/sennit-io/sennit/schemas/proto/sennit/v1"
)

type copied struct{}

func (copied) String(b []byte) string { return string(b) }

// sent are the kinds that a sender may make.
func sent() []event.Kind { return eventtest.Kinds()[:event.KindClock] }

// TestWireIsTheGeneratedForm holds the codec to the generated types: what it
// writes is what they write of the same message, and reads back equal.
func TestWireIsTheGeneratedForm(t *testing.T) {
	for _, k := range eventtest.Kinds() {
		for seed := range uint64(200) {
			e := eventtest.Fill(k, seed)
			got := e.AppendWire(nil)
			var m sennitv1.Event
			if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(got, &m); err != nil {
				t.Fatalf("%s, seed %d: %v", k, seed, err)
			}
			want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&m)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%s, seed %d: wrote\n%x\nthe generated type writes\n%x", k, seed, got, want)
			}
			if !k.Control() || k <= event.KindClock {
				back := readWire(t, got)
				if d := cmp.Diff(e, back, eventtest.Equal); d != "" {
					t.Fatalf("%s, seed %d (-want +got):\n%s", k, seed, d)
				}
			}
		}
	}
}

func readWire(t *testing.T, data []byte) *event.Event {
	t.Helper()
	var b event.Batch
	r := event.WireReader{Strings: copied{}}
	if err := r.Read(&b, data); err != nil {
		t.Fatal(err)
	}
	return &b.Events[0]
}

// The numbers come from the names by the generator; a few are held by hand, so
// that generator and test cannot be wrong together.
func TestWireNamesMatch(t *testing.T) {
	span := &event.Span{Name: "call_llm", Service: "agent", PID: 7, GenAI: event.GenAI{Model: "m", Usage: event.Usage{Input: 1 << 40}}}
	e := &event.Event{ID: event.ID{1}, Kind: event.KindSpan, Source: event.SourceOTLP, Node: "n1", Time: -5, Payload: span}
	var m sennitv1.Event
	if err := proto.Unmarshal(e.AppendWire(nil), &m); err != nil {
		t.Fatal(err)
	}
	s := m.GetSpan()
	if m.GetNode() != "n1" || m.GetTime() != -5 || s.GetName() != "call_llm" || s.GetPid() != 7 || s.GetGenAi().GetUsage().GetInput() != 1<<40 || s.GetGenAi().GetModel() != "m" {
		t.Errorf("read back %v", &m)
	}
}

func TestWireRefuses(t *testing.T) {
	good := eventtest.Fill(event.KindSpan, 1).AppendWire(nil)
	f := func(why string, data []byte) {
		t.Helper()
		var b event.Batch
		r := event.WireReader{Strings: copied{}}
		if err := r.Read(&b, data); err == nil || !strings.Contains(err.Error(), why) || len(b.Events) != 0 {
			t.Errorf("%x: %v (%d events), want %q", data, err, len(b.Events), why)
		}
	}
	f("no payload", nil)
	f("cut off", good[:len(good)-1])
	f("out of order", append(bytes.Clone(good), 0x10, 1))
	f("a field twice", append([]byte{0x10, 1}, 0x10, 1))
	f("another length", []byte{0x0a, 1, 1})
	f("out of range", protowire.AppendVarint([]byte{0x10}, 25))
	f("another wire type", []byte{0x12, 0})
	f("not the kind's", append(protowire.AppendVarint([]byte{0x10}, uint64(event.KindSpan)), 0x82, 1, 0))
	f("no sender makes", eventtest.Fill(event.KindAlias, 1).AppendWire(nil))
}

// FuzzWire: what the reader takes, the generated type takes too, and both
// understand the same by it.
func FuzzWire(f *testing.F) {
	for _, k := range sent() {
		f.Add(eventtest.Fill(k, 1).AppendWire(nil))
		f.Add(eventtest.Fill(k, 2).AppendWire(nil))
		f.Add(bytes.ReplaceAll(eventtest.Fill(k, 2).AppendWire(nil), []byte("o"), []byte("\xff")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b event.Batch
		r := event.WireReader{Strings: copied{}}
		if r.Read(&b, data) != nil {
			return
		}
		var want, got sennitv1.Event
		if err := proto.Unmarshal(data, &want); err != nil {
			if strings.Contains(err.Error(), "UTF-8") {
				out := b.Events[0].AppendWire(nil) // it is replaced
				if err := proto.Unmarshal(out, &got); err != nil {
					t.Fatalf("written anew: %v", err)
				}
				return
			}
			t.Fatalf("the generated type refuses what was read: %v", err)
		}
		out := b.Events[0].AppendWire(nil)
		if err := proto.Unmarshal(out, &got); err != nil {
			t.Fatalf("written anew: %v", err)
		}
		normal(want.ProtoReflect())
		normal(got.ProtoReflect())
		if d := cmp.Diff(&want, &got, cmp.Comparer(func(a, b *sennitv1.Event) bool { return proto.Equal(a, b) })); d != "" {
			t.Fatalf("%x: %s", data, d)
		}
	})
}

// normal drops what says nothing: empty parts, unknown fields, empty addresses.
func normal(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				normal(v.List().Get(i).Message())
			}
		case f.IsList() && f.Kind() == protoreflect.Fixed64Kind: // hashes of nothing
			for i := range v.List().Len() {
				if v.List().Get(i).Uint() != 0 {
					return true
				}
			}
			m.Clear(f)
		case f.IsList():
		case f.Message() != nil:
			normal(v.Message())
			if f.ContainingOneof() == nil && proto.Size(v.Message().Interface()) == 0 {
				m.Clear(f)
			}
		case f.Kind() == protoreflect.BytesKind:
			if strings.Trim(string(v.Bytes()), "\x00") == "" {
				m.Clear(f) // ids of zeros are none, and so is no address at port 0
			}
		}
		return true
	})
}

func TestWireAllocations(t *testing.T) {
	var b event.Batch
	r := event.WireReader{Strings: constant{}}
	data := eventtest.Fill(event.KindSpan, 1).AppendWire(nil)
	buf := make([]byte, 0, 1<<12)
	if n := testing.AllocsPerRun(100, func() {
		b.Reset()
		if err := r.Read(&b, data); err != nil {
			t.Fatal(err)
		}
		buf = b.Events[0].AppendWire(buf[:0])
	}); n != 0 {
		t.Errorf("reading and writing an event allocates %v times", n)
	}
}

type constant struct{}

func (constant) String([]byte) string { return "x" }

func BenchmarkWire(b *testing.B) {
	e := eventtest.Fill(event.KindExchange, 1)
	data := e.AppendWire(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			data = e.AppendWire(data[:0])
		}
	})
	b.Run("read", func(b *testing.B) {
		var batch event.Batch
		r := event.WireReader{Strings: constant{}}
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			batch.Reset()
			if err := r.Read(&batch, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

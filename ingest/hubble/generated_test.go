package hubble

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sennit-io/sennit/schemas/event"
)

// TestGenerated compares the two readings of messages filled at random over the
// whole of Cilium's types, in every spelling that protojson has. Byte fuzzing
// hardly ever reaches a deep field with a good value; this does each time.
func TestGenerated(t *testing.T) {
	var d Decoder
	var b event.Batch
	compared := 0
	const rounds = 4000
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		var m observer.ExportEvent
		fill(r, m.ProtoReflect(), 0)
		in, err := protojson.MarshalOptions{
			UseProtoNames: r.IntN(2) == 0, UseEnumNumbers: r.IntN(3) == 0, EmitUnpopulated: r.IntN(4) == 0,
			Multiline: r.IntN(8) == 0,
		}.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		if differ(t, &d, &b, in) {
			compared++
		}
	}
	if compared < rounds/4 { // four of five messages are of types without an event
		t.Errorf("only %d of %d messages were compared", compared, rounds)
	}
	t.Logf("%d of %d messages compared", compared, rounds)
}

// fill sets about half of a message's fields.
func fill(r *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if r.IntN(2) == 0 || f.IsMap() {
			continue
		}
		if o := f.ContainingOneof(); o != nil && depth == 0 && r.IntN(2) == 0 {
			f = o.Fields().ByName("flow") // the rest of this oneof is soon compared
		}
		if f.IsList() {
			list := m.Mutable(f).List()
			for range r.IntN(3) {
				list.Append(value(r, f, list.NewElement, depth))
			}
			continue
		}
		m.Set(f, value(r, f, func() protoreflect.Value { return m.NewField(f) }, depth))
	}
}

func value(r *rand.Rand, f protoreflect.FieldDescriptor, message func() protoreflect.Value, depth int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.MessageKind:
		v := message()
		switch sub := v.Message().Interface().(type) {
		case *timestamppb.Timestamp:
			sub.Seconds, sub.Nanos = r.Int64N(4e9), int32(r.IntN(1e9)/pick(r, []int{1, 1e3, 1e6})*pick(r, []int{0, 1}))
		case *anypb.Any:
			sub.TypeUrl = "type.googleapis.com/google.protobuf.BoolValue"
		default:
			fill(r, v.Message(), depth+1)
		}
		return v
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		n := values.Get(r.IntN(values.Len())).Number()
		if r.IntN(20) == 0 {
			n = 999
		}
		return protoreflect.ValueOfEnum(n)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text(r, string(f.Name())))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(r.IntN(1 << pick(r, []int{1, 8, 16}))))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(r.Uint64() >> r.IntN(64))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(r.IntN(8)))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(r.Int64N(1e6))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{1})
	}
	panic(fmt.Sprintf("no value for a field of kind %v", f.Kind()))
}

func text(r *rand.Rand, field string) string {
	switch field {
	case "source", "destination", "source_xlated", "ips":
		return pick(r, []string{"10.0.0.1", "2001:db8::1", "::ffff:192.0.2.7", "", "172.20.255.1"})
	case "trace_id":
		return pick(r, []string{"4bf92f3577b34da6a3ce929d0e0e4736", "", "4BF92F3577B34DA6A3CE929D0E0E4736", "zz"})
	case "uuid":
		return pick(r, []string{"5a0e2c3b-9f41-4d7e-8a6c-1b2d3e4f5a6b", "", "flow 7"})
	case "node_name":
		return pick(r, []string{"n1", "c/n1", "a/b/n1", "", "/"})
	case "url":
		return pick(r, []string{"http://u:p@h:1/p?q=1#f", "/p?q", "", "https://h", "*"})
	case "key":
		return pick(r, []string{"Traceparent", "b3", "X-B3-TraceId", "x-b3-spanid", "X-Cloud-Trace-Context", "X-Request-Id", "Cookie"})
	case "value":
		return pick(r, []string{
			"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736/9;o=1",
			"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1", "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1", "HUBBLE_REDACTED",
		})
	}
	return pick(r, []string{"", "a", "Name.Example.", ".", "with \"quotes\" and \\ and \n", "größe 日本 😀", "k8s:app=agent-with-a-name-longer-than-thirty-two-bytes"})
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

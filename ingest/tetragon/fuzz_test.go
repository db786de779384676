package tetragon

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	api "github.com/cilium/tetragon/api/v1/tetragon"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// TestGenerated decodes random messages, written by the generated types in
// every spelling, and compares with the plain reading of the message.
func TestGenerated(t *testing.T) {
	var d Decoder
	var b event.Batch
	const rounds = 1500
	impossible := 0
	for seed := range uint64(rounds) {
		g := generator{rand.New(rand.NewPCG(seed, 7))}
		msg := new(api.GetEventsResponse)
		g.fill(msg.ProtoReflect(), 0)
		if _, err := reference(msg); errors.Is(err, errImpossible) {
			impossible++
		}
		var ids []event.ID
		for _, opt := range []protojson.MarshalOptions{
			{UseProtoNames: true}, {}, {UseProtoNames: true, Multiline: true, Indent: "\t"}, {UseProtoNames: true, UseEnumNumbers: true},
		} {
			text, err := opt.Marshal(msg)
			if err != nil {
				t.Fatal(err)
			}
			b.Reset()
			_, err = d.Decode(text, &b)
			compare(t, string(text), msg, &b, err)
			for i := range b.Events {
				ids = append(ids, b.Events[i].ID)
			}
		}
		for _, id := range ids {
			// Enumerations inside arguments are text in one spelling and
			// numbers in another: the last one may differ, there alone.
			if id != ids[0] && (id != ids[len(ids)-1] || len(d.digest) == 0) {
				t.Fatalf("seed %d: the same event has the ids %v", seed, ids)
			}
		}
	}
	if impossible == 0 || impossible > rounds/2 {
		t.Errorf("%d of %d messages had impossible values: the generator is worth nothing", impossible, rounds)
	}
}

type generator struct{ *rand.Rand }

var words = []string{
	"", "a", "tcp_connect", "security_socket_bind", "sys_openat", "sys_enter_openat", "open", "/etc/passwd", "/usr/bin/curl", "/bin/sh",
	`-c "curl https://example.com/a?b=c"`, "execve clone", "procFS auid", "execve truncArgs", "TRACEPARENT", "PATH",
	"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "bm9kZS0xOjI0Njk4Mjk4ODYxNDI6MTI0NDE=", "OjI0Njk4Mjk4ODYxNDI6MTI0NDE=", "bm9kZTo6MQ==", "eDp5Ojc=",
	"containerd://551e161c47d8ff0eb665438a7bcd5b4e3ef5a297282b40a92b7c77d6bd168eb3", "551e161c47d8ff0eb665438a7bcd5b4",
	"IPPROTO_TCP", "IPPROTO_UDP", "IPPROTO_MPTCP", "IPPROTO_ICMPV6", "AF_INET", "10.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::", "fe80::1",
	"no address", "quote \" slash \\ tab \t nul \x00 caf\u00e9 \U0001f600", "gke-node-1", "default", strings.Repeat("long ", 100),
}

var addresses = []string{"", "10.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::", "2001:db8::1", "fe80::1", "no address"}

// fill sets each field or not, values as real as the decoder's branches need.
func (g generator) fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	if one := m.Descriptor().Oneofs(); one.Len() > 0 && depth < 6 {
		choices := one.Get(0).Fields()
		if f := choices.Get(g.IntN(choices.Len())); g.IntN(10) > 0 {
			m.Set(f, g.value(m, f, depth))
		}
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.ContainingOneof() != nil, depth > 5, g.IntN(3) == 0:
		case f.Name() == "ancestors" && depth > 1:
		case f.IsMap():
			mv := m.Mutable(f).Map()
			for range g.IntN(3) {
				mv.Set(protoreflect.ValueOfString(g.word()).MapKey(), protoreflect.ValueOfString(g.word()))
			}
		case f.IsList():
			list := m.Mutable(f).List()
			for range g.IntN(4) {
				if f.Kind() == protoreflect.MessageKind {
					v := list.NewElement()
					g.fill(v.Message(), depth+1)
					list.Append(v)
				} else {
					list.Append(g.scalar(f))
				}
			}
		default:
			m.Set(f, g.value(m, f, depth))
		}
	}
}

func (g generator) value(m protoreflect.Message, f protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	if f.Kind() != protoreflect.MessageKind {
		return g.scalar(f)
	}
	v := m.NewField(f)
	switch v.Message().Descriptor().FullName() {
	case "google.protobuf.Timestamp":
		sec := v.Message().Descriptor().Fields().ByName("seconds")
		v.Message().Set(sec, protoreflect.ValueOfInt64(1795396215+g.Int64N(1e6)))
		if g.IntN(300) == 0 {
			v.Message().Set(sec, protoreflect.ValueOfInt64(250e9)) // the year 9892
		}
		ns := []int32{0, 1, 500000000, 123456000, 999999999}[g.IntN(5)]
		v.Message().Set(v.Message().Descriptor().Fields().ByName("nanos"), protoreflect.ValueOfInt32(ns))
	default:
		g.fill(v.Message(), depth+1)
	}
	return v
}

func (g generator) word() string { return words[g.IntN(len(words))] }

func (g generator) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		switch f.Name() {
		case "saddr", "daddr", "addr":
			n := len(addresses)
			if g.IntN(20) > 0 {
				n-- // nearly always an address
			}
			return protoreflect.ValueOfString(addresses[g.IntN(n)])
		}
		return protoreflect.ValueOfString(g.word())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(g.word()))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(g.IntN(2) == 0)
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(g.IntN(values.Len())).Number())
	case protoreflect.Uint32Kind:
		if f.Name() == "sport" || f.Name() == "dport" || f.Name() == "port" {
			return protoreflect.ValueOfUint32([]uint32{0, 80, 65535, 54321, 80, 443, 443, 80, 80, 65535, 65536}[g.IntN(10+g.IntN(2))])
		}
		return protoreflect.ValueOfUint32([]uint32{0, 1, 12441, 7, 1<<32 - 1}[g.IntN(5)])
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32([]int32{0, 1, -1, 1<<31 - 1, -1 << 31}[g.IntN(5)])
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64([]uint64{0, 1, 18446616041938487424, 1<<64 - 1}[g.IntN(4)])
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64([]int64{0, -1, 1<<63 - 1, -1 << 63}[g.IntN(4)])
	}
	panic(fmt.Sprint("no value for ", f.FullName()))
}

// FuzzDecode holds the decoder to the generated types on any text: what these
// read, it reads alike, and whatever it is given, the records add up.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(execLine))
	f.Add([]byte(kprobeLine))
	for seed := range uint64(40) {
		g := generator{rand.New(rand.NewPCG(seed, 8))}
		msg := new(api.GetEventsResponse)
		g.fill(msg.ProtoReflect(), 2)
		text, err := protojson.MarshalOptions{UseProtoNames: seed%2 == 0}.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, s := range []string{`{}`, `[]`, `null`, `{"process_exec":null}`, `{"process_exec":{},"process_exit":{}}`, `{"process_exec":{"process":null}}`, `{"processKprobe":{"action":3}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var d Decoder
		var b event.Batch
		b.Add(event.KindFlow, event.SourceHubble) // what was there stays
		tally, err := d.Decode(in, &b)
		if tally.In != 1 || len(b.Events)-1+tally.Bad+tally.UnknownType != 1 || (err == nil) != (len(b.Events) == 2) {
			t.Fatalf("%q: %+v, %d events, %v", in, tally, len(b.Events)-1, err)
		}
		if err == nil && b.Events[1].Payload == nil {
			t.Fatalf("%q: an event without payload", in)
		}
		msg := new(api.GetEventsResponse)
		if protojson.Unmarshal(in, msg) != nil || errors.Is(err, scan.ErrLimit) || strings.Contains(string(in), "null") {
			// With unknown members the generated types are of no help: they
			// skip what they should refuse. A null among list elements neither.
			return
		}
		known := proto.Clone(msg).(*api.GetEventsResponse)
		compare(t, string(in), known, &b, err)
	})
}

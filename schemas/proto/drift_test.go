package proto

import (
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	sennitv1 "github.com/sennit-io/sennit/schemas/proto/sennit/v1"
)

// special are the types that travel in a form of their own.
var special = map[reflect.Type]protoreflect.Kind{
	reflect.TypeFor[netip.Addr]():         protoreflect.BytesKind,
	reflect.TypeFor[netip.AddrPort]():     protoreflect.BytesKind,
	reflect.TypeFor[event.Time]():         protoreflect.Sfixed64Kind,
	reflect.TypeFor[event.SockAddr]():     protoreflect.Fixed64Kind,
	reflect.TypeFor[event.Proto]():        protoreflect.Uint32Kind,
	reflect.TypeFor[event.ID]():           protoreflect.BytesKind,
	reflect.TypeFor[event.TraceID]():      protoreflect.BytesKind,
	reflect.TypeFor[event.SpanID]():       protoreflect.BytesKind,
	reflect.TypeFor[event.BootID]():       protoreflect.BytesKind,
	reflect.TypeFor[event.SocketCookie](): protoreflect.Uint64Kind,
}

var plain = map[reflect.Kind]protoreflect.Kind{
	reflect.String: protoreflect.StringKind, reflect.Bool: protoreflect.BoolKind, reflect.Uint8: protoreflect.EnumKind,
	reflect.Uint16: protoreflect.Uint32Kind, reflect.Uint32: protoreflect.Uint32Kind, reflect.Uint64: protoreflect.Uint64Kind,
	reflect.Int64: protoreflect.Sint64Kind, reflect.Struct: protoreflect.MessageKind,
}

func TestEventAndProtoHaveTheSameFields(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	var same func(typ reflect.Type, m protoreflect.MessageDescriptor)
	same = func(typ reflect.Type, m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		if string(m.Name()) != typ.Name() {
			t.Errorf("%s travels as %s", typ.Name(), m.Name())
		}
		members := map[string]bool{}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name == "payload" {
				continue // a oneof: below
			}
			members[name] = true
			f := m.Fields().ByName(protoreflect.Name(name))
			if f == nil {
				t.Errorf("message %s lacks %q", m.Name(), name)
				continue
			}
			ft, list := typ.Field(i).Type, false
			if ft.Kind() == reflect.Slice || ft == reflect.TypeFor[event.Hashes]() {
				ft, list = ft.Elem(), true
			}
			want, ok := special[ft]
			if !ok {
				want = plain[ft.Kind()]
			}
			if typ.Field(i).Type == reflect.TypeFor[event.Hashes]() {
				want = protoreflect.Fixed64Kind
			}
			if f.Kind() != want || f.IsList() != list {
				t.Errorf("%s.%s is a %s (list: %v), want %s (%v)", m.Name(), name, f.Kind(), f.IsList(), want, list)
				continue
			}
			if want == protoreflect.MessageKind {
				same(ft, f.Message())
			}
		}
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if f.ContainingOneof() == nil && !members[string(f.Name())] {
				t.Errorf("type %s lacks %q", typ.Name(), f.Name())
			}
		}
	}
	root := (*sennitv1.Event)(nil).ProtoReflect().Descriptor()
	same(reflect.TypeFor[event.Event](), root)

	of := map[string]protoreflect.FieldDescriptor{}
	payload := root.Oneofs().ByName("payload")
	for i := range payload.Fields().Len() {
		f := payload.Fields().Get(i)
		of[string(f.Message().Name())] = f
	}
	used := map[string]bool{}
	for _, k := range eventtest.Kinds() {
		typ := reflect.TypeOf(event.NewPayload(k)).Elem()
		f := of[typ.Name()]
		if f == nil {
			t.Errorf("Event.payload has no %s, the payload of %s", typ.Name(), k)
			continue
		}
		used[typ.Name()] = true
		same(typ, f.Message())
	}
	if len(used) != len(of) {
		t.Errorf("%d payloads in event, %d in the oneof", len(used), len(of))
	}
	messages := sennitv1.File_sennit_v1_event_proto.Messages()
	for i := range messages.Len() {
		if m := messages.Get(i); !seen[m.FullName()] {
			t.Errorf("message %s belongs to no event", m.Name())
		}
	}
}

func TestEnumsHaveTheSameNumbers(t *testing.T) {
	f := func(name string, n int, text func(uint8) string) {
		t.Helper()
		e := sennitv1.File_sennit_v1_event_proto.Enums().ByName(protoreflect.Name(name))
		if e == nil {
			t.Errorf("no enum %s", name)
			return
		}
		if e.Values().Len() != n {
			t.Errorf("%s has %d values, want %d", name, e.Values().Len(), n)
		}
		for i := range n {
			v := e.Values().ByNumber(protoreflect.EnumNumber(i))
			if v == nil {
				t.Errorf("%s lacks number %d", name, i)
				continue
			}
			want := "_" + strings.ToUpper(text(uint8(i)))
			if i == 0 && name != "Proof" {
				want = "_UNSPECIFIED"
			}
			if !strings.HasSuffix(string(v.Name()), want) {
				t.Errorf("%s %d is %s, want ...%s", name, i, v.Name(), want)
			}
		}
	}
	f("Kind", int(event.KindAlias)+1, func(i uint8) string { return event.Kind(i).String() })
	f("Source", event.Sources, func(i uint8) string { return event.Source(i).String() })
	f("Verdict", int(event.VerdictReset)+1, func(i uint8) string { return event.Verdict(i).String() })
	f("Role", int(event.RoleServer)+1, func(i uint8) string { return event.Role(i).String() })
	f("SpanKind", int(event.SpanKindConsumer)+1, func(i uint8) string { return event.SpanKind(i).String() })
	f("Stage", int(event.StageToolGroup)+1, func(i uint8) string { return event.Stage(i).String() })
	f("Status", int(event.StatusKilled)+1, func(i uint8) string { return event.Status(i).String() })
	f("Proof", int(event.ProofSocket)+1, func(i uint8) string { return event.Proof(i).String() })
}

// TestImageIsStillRead is "buf breaking" for those who have no buf: what the
// released image describes still has its number, name and type.
func TestImageIsStillRead(t *testing.T) {
	image, err := os.ReadFile("sennit.binpb")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := protobuf.Unmarshal(image, &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	now := map[protoreflect.FullName]protoreflect.MessageDescriptor{}
	enums := map[protoreflect.FullName]protoreflect.EnumDescriptor{}
	for _, file := range []protoreflect.FileDescriptor{sennitv1.File_sennit_v1_event_proto, sennitv1.File_sennit_v1_bus_proto} {
		for i := range file.Messages().Len() {
			now[file.Messages().Get(i).FullName()] = file.Messages().Get(i)
		}
		for i := range file.Enums().Len() {
			enums[file.Enums().Get(i).FullName()] = file.Enums().Get(i)
		}
	}
	fields := 0
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			old := file.Messages().Get(i)
			m := now[old.FullName()]
			if m == nil {
				t.Errorf("message %s is gone", old.FullName())
				continue
			}
			for j := range old.Fields().Len() {
				fields++
				was := old.Fields().Get(j)
				is := m.Fields().ByNumber(was.Number())
				if is == nil || is.Name() != was.Name() || is.Kind() != was.Kind() || is.Cardinality() != was.Cardinality() {
					t.Errorf("field %d of %s was %s %s, now %v", was.Number(), old.FullName(), was.Kind(), was.Name(), is)
				}
			}
		}
		for i := range file.Enums().Len() {
			old := file.Enums().Get(i)
			e := enums[old.FullName()]
			for j := range old.Values().Len() {
				v := old.Values().Get(j)
				if e == nil || e.Values().ByNumber(v.Number()) == nil || e.Values().ByNumber(v.Number()).Name() != v.Name() {
					t.Errorf("value %s is gone or has another number", v.FullName())
				}
			}
		}
		return true
	})
	if fields < 200 {
		t.Errorf("the image has only %d fields: it is not the whole schema", fields)
	}
}

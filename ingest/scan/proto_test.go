package scan

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sennit-io/sennit/schemas/event"
)

// A timestamp is read, or refused, as its JSON is.
func TestProtoTime(t *testing.T) {
	f := func(sec int64, nanos int32) {
		t.Helper()
		m := &timestamppb.Timestamp{Seconds: sec, Nanos: nanos}
		wire, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var p Proto
		got := p.Time(wire)
		var want event.Time
		text, err := protojson.Marshal(m)
		if err == nil {
			var s JSON
			s.Reset(text)
			want = s.Time()
			err = s.End()
		}
		if got != want || (p.Err() == nil) != (err == nil) {
			t.Errorf("%d s %d ns: %v, %v, want %v, %v", sec, nanos, got, p.Err(), want, err)
		}
	}
	f(0, 0)
	f(0, 1)
	f(1795396215, 999999999)
	f(1795396215, 1000000000)
	f(1795396215, -1)
	f(-1, 500)
	first, end := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	f(first, 0)
	f(first-1, 999999999)
	f(end-1, 999999999)
	f(end, 0)
	f(1<<62, 0)
	f(-1<<63, 0)
}

func TestProtoValues(t *testing.T) {
	var p Proto
	f := func(name string, ok bool, want error) {
		t.Helper()
		if !ok || !errors.Is(p.Err(), want) || (want == nil) != (p.Err() == nil) {
			t.Errorf("%s: %v, %v, want %v", name, ok, p.Err(), want)
		}
		p.Reset()
	}
	f("no timestamp", p.Time(nil) == 0, nil)
	f("a torn one", p.Time([]byte{0x08}) == 0, ErrWire)
	f("text", string(p.Text([]byte("größe"))) == "größe", nil)
	f("text that is none", p.Text([]byte("a\xff")) == nil, ErrWire)
	f("long text", len(p.Text(bytes.Repeat([]byte("a"), MaxString))) == MaxString, nil)
	f("longer text", p.Text(bytes.Repeat([]byte("a"), MaxString+1)) == nil, ErrLimit)
	f("address", p.Addr([]byte("::ffff:10.0.0.1")) == netip.MustParseAddr("10.0.0.1"), nil)
	f("no address", !p.Addr(nil).IsValid(), nil)
	f("address that is none", !p.Addr([]byte("here")).IsValid(), ErrType)
	f("port", p.Uint16(65535) == 65535, nil)
	f("port of more bits on the wire", p.Uint16(1<<32+80) == 80, nil)
	f("port that is none", p.Uint16(65536) == 0, ErrType)
	wire, err := proto.Marshal(wrapperspb.Int32(-7))
	f("wrapper", err == nil && int32(p.Wrapped(wire)) == -7, nil)
	f("no wrapper", p.Wrapped(nil) == 0, nil)
	f("a torn wrapper", p.Wrapped([]byte{0x0a, 1}) == 0, ErrWire)
	p.Fail(ErrLimit)
	p.Fail(ErrWire)
	f("the first error", true, ErrLimit)
}

// Pieces of a message are one message, as generated code has it, and what they
// come to is bounded.
func TestProtoMerge(t *testing.T) {
	var p Proto
	var all []byte
	tag := func(n protowire.Number) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), 1)
	}
	for n := range protowire.Number(5) {
		all = p.Merge(all, tag(n+1))
	}
	if want := bytes.Join([][]byte{tag(1), tag(2), tag(3), tag(4), tag(5)}, nil); !bytes.Equal(all, want) || p.Err() != nil {
		t.Errorf("%x, %v, want %x", all, p.Err(), want)
	}
	if empty := p.Merge(nil, []byte{}); empty == nil {
		t.Error("an empty message is none")
	}
	for all = nil; p.Err() == nil; all = p.Merge(all, tag(1)) {
	}
	if !errors.Is(p.Err(), ErrLimit) || cap(p.pieces) > 2*MaxPieces {
		t.Errorf("%v with %d bytes", p.Err(), cap(p.pieces))
	}
	one, two := tag(1), tag(2)
	if n := testing.AllocsPerRun(100, func() { p.Reset(); p.Merge(p.Merge(nil, one), two) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package event

import (
	"encoding"
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

func TestIDsRoundTrip(t *testing.T) {
	f := func(v encoding.TextMarshaler, back encoding.TextUnmarshaler, want string) {
		t.Helper()
		text, err := v.MarshalText()
		if err != nil || string(text) != want {
			t.Errorf("%T renders as %q, %v, want %q", v, text, err, want)
		}
		if err := back.UnmarshalText(text); err != nil || !reflect.DeepEqual(reflect.ValueOf(back).Elem().Interface(), v) {
			t.Errorf("%q reads back as %v, %v", text, back, err)
		}
		for _, bad := range []string{"", "x", want + "0", want[1:] + "g", "-1"} {
			if err := back.UnmarshalText([]byte(bad)); bad == want+"0" && len(want) < 20 && want[0] == '1' {
				continue // a longer number is a number
			} else if !errors.Is(err, ErrBadID) {
				t.Errorf("%T reads %q: %v, want ErrBadID", back, bad, err)
			}
		}
	}
	f(ID{0: 1, 15: 0xff}, new(ID), "010000000000000000000000000000ff")
	f(TraceID{0: 0xab}, new(TraceID), "ab000000000000000000000000000000")
	f(SpanID{7: 1}, new(SpanID), "0000000000000001")
	f(BootID{1: 2}, new(BootID), "00020000000000000000000000000000")
	f(SocketCookie(18446744073709551615), new(SocketCookie), "18446744073709551615")
	f(SockAddr(18446616041938487424), new(SockAddr), "18446616041938487424")
	f(CgroupID(17), new(CgroupID), "17")

	var upper TraceID
	if err := upper.UnmarshalText([]byte("AB000000000000000000000000000000")); err != nil || upper != (TraceID{0: 0xab}) {
		t.Errorf("upper case reads as %v, %v", upper, err)
	}
}

func TestTuple(t *testing.T) {
	a, b := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:40000")
	tu := Tuple{ProtoTCP, b, a}
	if tu.Reverse() != (Tuple{ProtoTCP, a, b}) || tu.Reverse().Reverse() != tu {
		t.Errorf("reverse of %v is %v", tu, tu.Reverse())
	}
	if tu.Canonical() != tu.Reverse().Canonical() || tu.Canonical().Src != a {
		t.Errorf("canonical %v and %v", tu.Canonical(), tu.Reverse().Canonical())
	}
	f := func(tu Tuple, complete, zero bool) {
		t.Helper()
		if tu.Complete() != complete || tu.IsZero() != zero {
			t.Errorf("%v: complete %v, zero %v", tu, tu.Complete(), tu.IsZero())
		}
	}
	f(tu, true, false)
	f(Tuple{}, false, true)
	f(Tuple{Proto: ProtoUDP}, false, false)
	f(Tuple{ProtoTCP, netip.AddrPortFrom(b.Addr(), 0), a}, false, false)
	f(Tuple{Src: a}, false, false)
}

func TestHash64Spreads(t *testing.T) {
	var count [64]int
	for i := range 64 * 200 {
		count[TraceID{14: byte(i >> 8), 15: byte(i)}.Hash64()%64]++
	}
	for p, n := range count {
		if n < 100 || n > 300 {
			t.Errorf("partition %d has %d of 200 expected", p, n)
		}
	}
}

// Parts keep to themselves: what moves from one to the next gives another id.
func TestHasherParts(t *testing.T) {
	var h Hasher
	seen := map[ID]int{}
	for i, id := range []ID{
		h.Reset(KindSpan).Sum(), h.Reset(KindFlow).Sum(),
		h.Reset(KindFlow).String("ab").String("c").Sum(), h.Reset(KindFlow).String("a").String("bc").Sum(), h.Reset(KindFlow).String("abc").Sum(),
		h.Reset(KindFlow).String("abc").String("").Sum(), h.Reset(KindFlow).Uint(1).Sum(), h.Reset(KindFlow).Uint(1 << 32).Sum(),
	} {
		if j, ok := seen[id]; ok {
			t.Errorf("parts %d and %d have one id", i, j)
		}
		seen[id] = i
	}
	if h.Reset(KindFlow).String("abc").Sum() != h.Reset(KindFlow).Bytes([]byte("abc")).Sum() {
		t.Error("a string and its bytes differ")
	}
	if n := testing.AllocsPerRun(100, func() { h.Reset(KindFlow).String("gke-node-1").Uint(7).Bytes(nil).Sum() }); n != 0 {
		t.Errorf("%v allocations an id, want 0", n)
	}
}

func TestCompare(t *testing.T) {
	// In order.
	events := []Event{
		{Time: -1},
		{Time: 1, Source: SourceK8s, ID: ID{9}},
		{Time: 1, Source: SourceHubble},
		{Time: 1, Source: SourceHubble, ID: ID{15: 1}},
		{Time: 1, Source: SourceHubble, ID: ID{1}},
		{Time: 1, Source: SourceGCP},
		{Time: 2},
	}
	for i := range events {
		for j := range events {
			got := Compare(&events[i], &events[j])
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("Compare(%d, %d) = %d", i, j, got)
			}
		}
	}
}

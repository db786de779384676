package scan

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
)

func TestNumbers(t *testing.T) {
	f := func(in string, want uint64, wantErr error) {
		t.Helper()
		var s JSON
		s.Reset([]byte(in))
		got := s.Uint64()
		if err := s.End(); got != want || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
			t.Errorf("Uint64(%s) = %d, %v, want %d, %v", in, got, err, want, wantErr)
		}
	}
	f(`0`, 0, nil)
	f(`"18446744073709551615"`, math.MaxUint64, nil)
	f(`18446744073709551615`, math.MaxUint64, nil)
	f(`18446744073709551616`, 0, ErrType)
	f(`null`, 0, nil)
	f(`""`, 0, nil)
	f(`1e3`, 1000, nil)
	f(`2.0`, 2, nil)
	f(`"2.50e1"`, 25, nil)
	f(`1.5`, 0, ErrType)
	f(`-1`, 0, ErrType)
	f(`"0x10"`, 0, ErrType)
	f(`"0x1p4"`, 0, ErrType)
	f(`"Infinity"`, 0, ErrType)
	f(`1e400`, 0, ErrType)
	f(`true`, 0, ErrType)
	f(`{}`, 0, ErrType)
	f(``, 0, ErrSyntax)

	g := func(in string, want int64, wantErr error) {
		t.Helper()
		var s JSON
		s.Reset([]byte(in))
		got := s.Int64()
		if err := s.End(); got != want || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
			t.Errorf("Int64(%s) = %d, %v, want %d, %v", in, got, err, want, wantErr)
		}
	}
	g(`-9223372036854775808`, math.MinInt64, nil)
	g(`"9223372036854775807"`, math.MaxInt64, nil)
	g(`9223372036854775808`, 0, ErrType)
	g(`-9223372036854775809`, 0, ErrType)
	g(`-0`, 0, nil)
	g(`-1e3`, -1000, nil)
	g(`"--1"`, 0, ErrType)
	g(`null`, 0, nil)

	h := func(in string, want uint32, ok bool) {
		t.Helper()
		var s JSON
		s.Reset([]byte(in))
		if got := s.Uint32(); got != want || (s.End() == nil) != ok {
			t.Errorf("Uint32(%s) = %d, %v", in, got, s.Err())
		}
		s.Reset([]byte(in))
		if got := s.Uint16(); ok && want <= math.MaxUint16 && uint32(got) != want {
			t.Errorf("Uint16(%s) = %d, %v", in, got, s.Err())
		} else if (s.End() == nil) != (ok && want <= math.MaxUint16) {
			t.Errorf("Uint16(%s) = %d, %v", in, got, s.Err())
		}
	}
	h(`65535`, 65535, true)
	h(`65536`, 65536, true)
	h(`4294967295`, math.MaxUint32, true)
	h(`4294967296`, 0, false)
}

func TestAddr(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, ok := Addr([]byte(in))
		if want == "" {
			if ok {
				t.Errorf("Addr(%q) = %v, want none", in, got)
			}
			return
		}
		if !ok || got != netip.MustParseAddr(want) {
			t.Errorf("Addr(%q) = %v, %v, want %v", in, got, ok, want)
		}
	}
	f("10.0.0.1", "10.0.0.1")
	f("255.255.255.255", "255.255.255.255")
	f("::ffff:127.0.0.1", "127.0.0.1")
	f("fe80::1%eth0", "fe80::1")
	f("2001:DB8::1", "2001:db8::1")
	f("256.0.0.1", "")
	f("01.2.3.4", "")
	f("1.2.3", "")
	f("1.2.3.4.5", "")
	f("1..2.3", "")
	f("", "")
	f("localhost", "")
	f(strings.Repeat("1", 100), "")
}

func TestTraceHeaders(t *testing.T) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	f := func(read func([]byte) (event.TraceContext, bool), in, wantTrace, wantSpan string) {
		t.Helper()
		tc, ok := read([]byte(in))
		if ok != (wantTrace != "") {
			t.Errorf("%q: %v, %v", in, tc, ok)
		}
		if ok && (tc.TraceID.String() != wantTrace || tc.SpanID.String() != wantSpan) {
			t.Errorf("%q: %v", in, tc)
		}
	}
	f(TraceParent, "00-"+trace+"-"+span+"-01", trace, span)
	f(TraceParent, "cc-"+trace+"-"+span+"-01-what-the-future-brings", trace, span)
	f(TraceParent, "ff-"+trace+"-"+span+"-01", "", "")
	f(TraceParent, "00-"+strings.Repeat("0", 32)+"-"+span+"-01", "", "")
	f(TraceParent, "00-"+trace+"-"+strings.Repeat("0", 16)+"-01", "", "")
	f(TraceParent, "00-"+trace+"-"+span, "", "")
	f(TraceParent, "00-"+trace[:31]+"g-"+span+"-01", "", "")
	f(CloudTrace, trace+"/255;o=1", trace, "00000000000000ff")
	f(CloudTrace, trace, trace, "0000000000000000")
	f(CloudTrace, "projects/p-1/traces/"+trace, trace, "0000000000000000")
	f(CloudTrace, trace+"/x;o=1", "", "")
	f(CloudTrace, trace[:30], "", "")
	f(CloudTrace, trace+"junk", "", "")
}

func TestErrorsStick(t *testing.T) {
	var s JSON
	s.Reset([]byte(`{"a":"text","b":2}`))
	var got uint64
	for s.Object(); s.Next(); {
		got += s.Uint64()
	}
	if err := s.End(); !errors.Is(err, ErrType) || !strings.Contains(err.Error(), "at byte") || got != 0 {
		t.Errorf("got %d, %v, want ErrType with its place", got, err)
	}
	first := s.Err()
	s.Fail(Impossible("later"))
	s.Skip()
	if s.Err() != first || s.Next() || s.Bytes() != nil || s.Raw() != nil || s.Bool() || s.Int64() != 0 {
		t.Error("something was read after an error")
	}
	s.Reset([]byte(`1`))
	if s.Uint64() != 1 || s.End() != nil {
		t.Error("Reset did not forget the error")
	}
}

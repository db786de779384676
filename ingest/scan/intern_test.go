package scan

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

func TestInternString(t *testing.T) {
	var in Intern
	f := func(in0, want string) {
		t.Helper()
		if got := in.String([]byte(in0)); got != want {
			t.Errorf("String(%q) = %q, want %q", in0, got, want)
		}
	}
	f("", "")
	f("pod-a", "pod-a")
	f("caf\u00e9", "caf\u00e9")
	f("bad\xff\xfe", "bad\ufffd\ufffd")
	f(strings.Repeat("x", 5000), strings.Repeat("x", 5000))
	f(strings.Repeat("x", 5000)+"\xff", strings.Repeat("x", 5000)+"\ufffd")

	a, b := in.String([]byte("pod-b")), in.String([]byte("pod-b"))
	if unsafe.StringData(a) != unsafe.StringData(b) {
		t.Error("the same bytes gave two strings")
	}
	buf := []byte("pod-c")
	kept := in.String(buf)
	copy(buf, "xxxxx")
	if kept != "pod-c" {
		t.Errorf("the string changed with its bytes: %q", kept)
	}
}

// Names in use survive a table that others fill.
func TestInternForgetsOldStringsOnly(t *testing.T) {
	var in Intern
	first := in.String([]byte("steady"))
	for i := range 5 * maxIntern {
		in.String(fmt.Appendf(nil, "once-%d", i))
		if i%1000 == 0 {
			in.String([]byte("steady"))
		}
		if n := len(in.recent) + len(in.old); n > 2*maxIntern {
			t.Fatalf("%d strings kept, limit %d", n, 2*maxIntern)
		}
	}
	if again := in.String([]byte("steady")); unsafe.StringData(again) != unsafe.StringData(first) {
		t.Error("a name in use was copied anew")
	}
}

func TestInternLower(t *testing.T) {
	var in Intern
	f := func(in0, want string) {
		t.Helper()
		if got := in.Lower([]byte(in0)); got != want {
			t.Errorf("Lower(%q) = %q, want %q", in0, got, want)
		}
	}
	f("", "")
	f("TO_ENDPOINT-9", "to_endpoint-9")
	f("\u00c4X[@", "\u00c4x[@")
	f(strings.Repeat("AB", 100), strings.Repeat("ab", 100))
}

func TestScannerAllocatesNothing(t *testing.T) {
	var s JSON
	var in Intern
	line := []byte(`{"a\u0062":"x\ny","time":"2026-11-23T06:56:00.5Z","ip":"10.0.0.1","n":"18446744073709551615","l":[1,{"k":null}],"name":"pod-a"}`)
	n := testing.AllocsPerRun(100, func() {
		s.Reset(line)
		for s.Object(); s.Next(); {
			switch string(s.Key()) {
			case "ab":
				s.Bytes()
			case "time":
				s.Time()
			case "ip":
				s.Addr()
			case "n":
				s.Uint64()
			case "name":
				in.String(s.Bytes())
			default:
				s.Skip()
			}
		}
		if s.End() != nil {
			t.Fatal(s.Err())
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a record, want 0", n)
	}
}

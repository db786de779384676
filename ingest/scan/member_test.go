package scan

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestMemberAgreesWithNext(t *testing.T) {
	names := NewNames("a", "b", "long_name", "abc", "z")
	f := func(in string) {
		t.Helper()
		var plain, fast JSON
		var want, got []string
		plain.Reset([]byte(in))
		for plain.Object(); plain.Next(); {
			want = append(want, fmt.Sprintf("%s=%s", plain.Key(), plain.Raw()))
		}
		fast.Reset([]byte(in))
		fast.Object()
		for i := fast.Member(names, 0); i >= 0; i = fast.Member(names, i+1) {
			if i < len(names.bare) && names.bare[i] != string(fast.Key()) {
				t.Errorf("%s: member %d is named %s", in, i, fast.Key())
			}
			got = append(got, fmt.Sprintf("%s=%s", fast.Key(), fast.Raw()))
		}
		if a, b := fmt.Sprint(want, plain.End()), fmt.Sprint(got, fast.End()); a != b {
			t.Errorf("%s: Member gave %s, Next %s", in, b, a)
		}
	}
	f(`{}`)
	f(`null`)
	f(`{"a":1}`)
	f(`{"a":1,"b":2,"long_name":3,"abc":4,"z":5}`)
	f(`{"z":1,"abc":2,"b":3,"a":4}`)
	f(`{"a":1,"a":2,"unknown":{"a":3},"z":4}`)
	f(`{ "a" : 1 , "b" : [] ,"z":{"z":1}}`)
	f(`{"a":{"b":1},"b":{},"z":null}`)
	f(`{"\u0061":1,"b":2}`)
	f(`{,"a":1}`)
	f(`{"a":1"b":2}`)
	f(`{"a":1,}`)
	f(`{"a":1,,"b":2}`)
	f(`{"a":1`)
	f(`{"a"`)
	f(`{"a":`)
	f(`{`)
	f(`[]`)
	f(``)
}

func TestTextAgreesWithBytes(t *testing.T) {
	f := func(in string) {
		t.Helper()
		var a, b JSON
		a.Reset([]byte(in))
		b.Reset([]byte(in))
		want := fmt.Sprintf("%q", a.Bytes())
		got := fmt.Sprintf("%q", b.Text())
		if want != got || fmt.Sprint(a.End()) != fmt.Sprint(b.End()) {
			t.Errorf("Text(%q) = %s (%v), Bytes %s (%v)", in, got, b.End(), want, a.End())
		}
	}
	for n := range 40 {
		s := strings.Repeat("x", n)
		f(`"` + s + `"`)
		f(`"` + s)
		for at := range n {
			for _, c := range []string{`\n`, `\"`, "\x00", "\x1f", "\x20", "\x21", "\x7f", "\x80", "\xff", "é", `\u00e9`} {
				f(`"` + s[:at] + c + s[at:] + `"`)
			}
		}
	}
	f(`null`)
	f(`12`)
	f(``)
	f(` "space before"`)
	f(`"` + strings.Repeat("x", MaxString) + `"`)
	f(`"` + strings.Repeat("x", MaxString+1) + `"`)
}

func FuzzUint(f *testing.F) {
	for _, s := range []string{
		"0", "7", `"7"`, "18446744073709551615", `"18446744073709551615"`, "18446744073709551616", "9999999999999999999",
		"01", `"01"`, "1e3", "2.0", "2.5", "-1", `""`, "null", `"x"`, "1 ", " 1", `"1`, "1]", "1}", "true",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		in = "[" + in + "]"
		var a, b JSON
		a.Reset([]byte(in))
		b.Reset([]byte(in))
		var want, got uint64
		for a.Array(); a.Next(); {
			want += a.Uint64()
		}
		for b.Array(); b.Next(); {
			got += b.Uint()
		}
		if (a.End() == nil) != (b.End() == nil) || a.Err() == nil && want != got {
			t.Fatalf("Uint of %s = %d (%v), Uint64 %d (%v)", in, got, b.Err(), want, a.Err())
		}
		var oracle []uint64
		if json.Unmarshal([]byte(in), &oracle) == nil && len(oracle) == 1 && (b.Err() != nil || got != oracle[0]) {
			t.Fatalf("Uint of %s = %d (%v), encoding/json %d", in, got, b.Err(), oracle[0])
		}
	})
}

func TestRecentGivesWhatItGot(t *testing.T) {
	var r Recent
	for round := range 3 {
		for i := range 20000 {
			want := fmt.Sprintf("pod-%d-%d", i%5000, round)
			if got := r.String([]byte(want)); got != want {
				t.Fatalf("String(%q) = %q", want, got)
			}
		}
	}
	long := []byte(strings.Repeat("y", math.MaxUint16))
	if got := r.String(long); got != string(long) {
		t.Error("a long string came back changed")
	}
	name := []byte("gke-node-1")
	if n := testing.AllocsPerRun(100, func() { r.String(name) }); n != 0 {
		t.Errorf("%v allocations for a known string, want 0", n)
	}
}

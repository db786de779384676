package jsontext

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"testing"
)

// oracle is encoding/json without HTML escaping.
func oracle(t testing.TB, v any) string {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
}

func FuzzString(f *testing.F) {
	for _, s := range []string{
		"", "plain", `quote " and \ back`, "\x00\x01\b\f\n\r\t\x1f\x7f", "<a href='x'>&</a>", "日本語 🙂",
		"\u2028\u2029", "bad \xff\xfe utf8 \xe2\x82", "\ufffd real",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(String(nil, s)), oracle(t, s); got != want {
			t.Fatalf("String(%q) = %s, want %s", s, got, want)
		}
	})
}

func FuzzFloat(f *testing.F) {
	for _, v := range []float64{
		0, math.Copysign(0, -1), 1, 0.95, 0.001, 1.0 / 3, 1e-6, 9.99e-7, 1e-9, 1e20, 1e21, 1e22, -1e21, -5e-324,
		math.MaxFloat64, 123456789.125,
	} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		want := "0"
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			want = oracle(t, v)
		}
		if got := string(Float(nil, v)); got != want {
			t.Fatalf("Float(%v) = %s, want %s", v, got, want)
		}
	})
}

func TestAddresses(t *testing.T) {
	f := func(s string) {
		t.Helper()
		var a netip.Addr
		var ap netip.AddrPort
		if s != "" {
			a = netip.MustParseAddr(s)
			ap = netip.AddrPortFrom(a, 8080)
		}
		if got, want := string(Addr(nil, a)), oracle(t, a); got != want {
			t.Errorf("Addr(%q) = %s, want %s", s, got, want)
		}
		if got, want := string(AddrPort(nil, ap)), oracle(t, ap); got != want {
			t.Errorf("AddrPort(%q) = %s, want %s", s, got, want)
		}
	}
	f("")
	f("10.0.0.1")
	f("::1")
	f("::ffff:10.0.0.1")
	f("2001:db8::1")
	f("fe80::1%eth0")
	f("fe80::1%a\"b\n")
}

func TestNumbersAndHex(t *testing.T) {
	f := func(got []byte, want string) {
		t.Helper()
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(QuotedUint(nil, math.MaxUint64), `"18446744073709551615"`)
	f(QuotedInt(nil, math.MinInt64), `"-9223372036854775808"`)
	f(Hex(nil, []byte{0, 0xab, 0xff}), `"00abff"`)
	f(Close([]byte(`{"a":1,`), '}'), `{"a":1}`)
	f(Close([]byte(`{`), '}'), `{}`)
	f(Close([]byte(`[`), ']'), `[]`)
}

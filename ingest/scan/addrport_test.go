package scan

import (
	"net/netip"
	"testing"
)

func TestAddrPort(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, ok := AddrPort([]byte(in))
		if want == "" {
			if ok {
				t.Errorf("AddrPort(%q) = %v, want a refusal", in, got)
			}
			return
		}
		if !ok || got != netip.MustParseAddrPort(want) {
			t.Errorf("AddrPort(%q) = %v, %v, want %s", in, got, ok, want)
		}
	}
	f("10.0.0.1:80", "10.0.0.1:80")
	f("10.0.0.1:0", "10.0.0.1:0")
	f("[2001:db8::1]:65535", "[2001:db8::1]:65535")
	f("[::ffff:10.0.0.1]:443", "10.0.0.1:443")
	f("[fe80::1%eth0]:443", "[fe80::1]:443")
	f("", "")
	f("10.0.0.1", "")
	f("10.0.0.1:", "")
	f("10.0.0.1:65536", "")
	f("10.0.0.1:-1", "")
	f("[10.0.0.1]:80", "")
	f("2001:db8::1:80", "")
	f("[]:80", "")
	f("[::1]:80x", "")
	f(":80", "")
}

func FuzzAddrPort(f *testing.F) {
	f.Add("10.0.0.1:80")
	f.Add("[::1%lo]:80")
	f.Add("[::ffff:1.2.3.4]:1")
	f.Fuzz(func(t *testing.T, in string) {
		want, err := netip.ParseAddrPort(in)
		got, ok := AddrPort([]byte(in))
		if err == nil && len(in) < 64 {
			if want = netip.AddrPortFrom(want.Addr().Unmap().WithZone(""), want.Port()); !ok || got != want {
				t.Fatalf("AddrPort(%q) = %v, %v, want %v", in, got, ok, want)
			}
		}
		if ok && got.Addr().Zone() != "" {
			t.Fatalf("AddrPort(%q) kept a zone", in)
		}
	})
}

package event

import "testing"

func TestProtoNames(t *testing.T) {
	for i := range 256 {
		var p Proto
		if err := p.UnmarshalText([]byte(Proto(i).String())); err != nil || p != Proto(i) {
			t.Errorf("protocol %d is written %q and read back as %d (%v)", i, Proto(i), p, err)
		}
	}
	f := func(in string) {
		t.Helper()
		var p Proto
		if err := p.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was read as protocol %d", in, p)
		}
	}
	f("TCP")
	f("ip-")
	f("ip-256")
	f("ip--1")
	f("ip-1x")
	f("ip-:")
	f("ip-0001")
}

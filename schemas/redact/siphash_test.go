package redact

import "testing"

// The vectors of the reference implementation: key 00..0f, message 00 01 02 ….
func TestSipHashVectors(t *testing.T) {
	msg := make([]byte, 15)
	for i := range msg {
		msg[i] = byte(i)
	}
	f := func(n int, want uint64) {
		t.Helper()
		if got := sipHash(0x0706050403020100, 0x0f0e0d0c0b0a0908, msg[:n]); got != want {
			t.Errorf("%d bytes: %#x, want %#x", n, got, want)
		}
	}
	f(0, 0x726fdb47dd0e0e31)
	f(1, 0x74f839c593dc67fd)
	f(7, 0xab0200f58b01d137)
	f(8, 0x93f5f5799a932462)
	f(15, 0xa129ca6149be45e5)
}

package socket

import (
	"crypto/tls"
	"net"
	"testing"
)

// clientHello is the first record that Go's TLS client sends.
func clientHello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		_ = tls.Client(client, cfg).Handshake()
		client.Close()
	}()
	defer server.Close()
	b := make([]byte, 4096)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestHello(t *testing.T) {
	f := func(cfg *tls.Config, name, protocols string) {
		t.Helper()
		b := clientHello(t, cfg)
		h, ok := parseHello(b)
		if got := string(h.alpn(nil)); !ok || string(h.name) != name || got != protocols {
			t.Errorf("got %v %q %q, want %q %q", ok, h.name, got, name, protocols)
		}
		// Cut anywhere, it gives the same or less, and never other names.
		for n := range b {
			if h, ok := parseHello(b[:n]); ok && len(h.name) > 0 && string(h.name) != name {
				t.Errorf("cut at %d: name %q", n, h.name)
			}
		}
	}
	f(&tls.Config{ServerName: "model.example", NextProtos: []string{"h2", "http/1.1"}}, "model.example", "h2,http/1.1")
	f(&tls.Config{ServerName: "a.b", MaxVersion: tls.VersionTLS12}, "a.b", "")
	f(&tls.Config{InsecureSkipVerify: true}, "", "")
	if _, ok := parseHello([]byte("\x16\x03\x01 GET / HTTP/1.1 and then some more of it, to be long enough")); ok {
		t.Error("nonsense is taken for a hello")
	}
}

func FuzzHello(f *testing.F) {
	f.Add(clientHello(f, &tls.Config{ServerName: "model.example", NextProtos: []string{"h2"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseHello(b)
		if !ok && (h.name != nil || h.protocols != nil) {
			t.Errorf("%q is no hello and has a name", b)
		}
		if p := h.alpn(nil); len(h.name) > len(b) || len(p) > len(b) || len(p) > 0 && !printable(p) {
			t.Errorf("%q: name %q, protocols %q", b, h.name, p)
		}
	})
}

package socket

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sennit-io/sennit/schemas/event"
)

// deferring serves on an address where the kernel makes a connection of its first
// data (TCP_DEFER_ACCEPT): as where a request overtakes the end of the handshake,
// but always.
func deferring(t *testing.T, network, at string) string {
	t.Helper()
	listen := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if controlErr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 10)
		}); controlErr != nil {
			return controlErr
		}
		return err
	}}
	listen.SetMultipathTCP(false)
	l, err := listen.Listen(t.Context(), network, at)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	})}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(l) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// A request with which a connection is established is seen at the server: small,
// longer than a packet, longer than what is kept, of HTTP/2, over IPv6, and to a
// socket of IPv6 over IPv4.
func TestKernelEarly(t *testing.T) {
	four, six := deferring(t, "tcp4", "127.0.0.1:0"), deferring(t, "tcp6", "[::1]:0")
	_, both, err := net.SplitHostPort(deferring(t, "tcp", "[::]:0"))
	if err != nil {
		t.Fatal(err)
	}
	both = "127.0.0.1:" + both
	const post = "POST %s HTTP/1.1\r\nHost: h\r\ntraceparent: " + traceparent + "\r\nContent-Length: %d\r\n\r\n%s"
	w := watch(t, func() {
		for path, at := range map[string]string{"/small": four, "/long": four, "/longer": four, "/six": six, "/both": both} {
			c, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			body := strings.Repeat("x", map[string]int{"/long": 2000, "/longer": 60000}[path])
			fmt.Fprintf(c, post, path, len(body), body)
			if _, err := c.Read(make([]byte, 4096)); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			// What follows goes the usual way.
			fmt.Fprintf(c, post, path+"/again", 0, "")
			if _, err := c.Read(make([]byte, 4096)); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			c.Close()
		}
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: p}
		for range 3 {
			r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+four+"/two", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("traceparent", traceparent)
			a, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, a.Body)
			a.Body.Close()
		}
		transport.CloseIdleConnections()
	})
	for path, want := range map[string]int{
		"/small": 1, "/long": 1, "/longer": 1, "/six": 1, "/both": 1, "/small/again": 1, "/long/again": 1, "/longer/again": 1, "/six/again": 1, "/both/again": 1, "/two": 3,
	} {
		c, s := w.exchanges(path)
		if len(c) != want || len(s) != want {
			t.Errorf("%s: %d exchanges of the client, %d of the server, want %d each", path, len(c), len(s), want)
			continue
		}
		for i := range c {
			if c[i].Tuple != s[i].Tuple.Reverse() || s[i].Role != event.RoleServer || s[i].Trace.TraceID != c[i].Trace.TraceID || c[i].Trace.TraceID.IsZero() ||
				c[i].BytesOut != s[i].BytesIn || c[i].BytesIn != s[i].BytesOut || s[i].HTTP.Status != 200 || s[i].Degraded || c[i].Ordinal != s[i].Ordinal {
				t.Errorf("%s: the ends do not agree: %+v %+v", path, c[i], s[i])
			}
		}
	}
	if w.source.Lost != 0 || w.source.Bad != 0 || w.source.Decoder.Unreadable != 0 {
		t.Errorf("%d records lost, %d bad, %d unreadable", w.source.Lost, w.source.Bad, w.source.Decoder.Unreadable)
	}
}

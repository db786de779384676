package socket

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/sennit-io/sennit/schemas/event"
)

// serveHTTP2 answers with what it read, in pieces, and the status that the path
// asks for. It speaks HTTP/2 only, within TLS if secure.
func serveHTTP2(t *testing.T, address string, secure bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasSuffix(r.URL.Path, "/missing") {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "begin")
		_ = http.NewResponseController(w).Flush()
		if strings.HasPrefix(r.URL.Path, "/slow") {
			time.Sleep(50 * time.Millisecond)
		}
		_, _ = w.Write(body)
	}))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.Listener.Close()
	s.Listener = listener
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(!secure)
	s.Config.Protocols.SetHTTP2(secure)
	if secure {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func http2Client() *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	p.SetHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// traceOf is the trace of one of many requests.
func traceOf(round, i int) string {
	return fmt.Sprintf("%016x%016x", round+1, i+1)
}

// ask sends rounds of requests at once, over one connection, and waits for each round.
func ask(t *testing.T, c *http.Client, url, name string, rounds, atOnce int) {
	t.Helper()
	for round := range rounds {
		var g sync.WaitGroup
		for i := range atOnce {
			g.Go(func() {
				path := fmt.Sprintf("%s/%d/%d", name, round, i)
				if i%2 == 1 {
					path += "/missing"
				}
				body := bytes.Repeat([]byte("a secret prompt GET / HTTP/1.1\r\n"), i*200)
				r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+path+"?key=secret", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("traceparent", "00-"+traceOf(round, i)+"-00f067aa0ba902b7-01")
				r.Header.Set("x-secret", "hush")
				r.Header.Set("x-long", strings.Repeat("hush", 100*i))
				answer, err := c.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer answer.Body.Close()
				if got, err := io.ReadAll(answer.Body); err != nil || len(got) != len(body)+5 {
					t.Errorf("%s: %d bytes: %v", path, len(got), err)
				}
			})
			if round == 0 && i == 0 {
				g.Wait() // so that there is one connection
			}
		}
		g.Wait()
	}
}

// checkStreams wants each of those requests once at each end that is watched,
// all on one connection.
func (w *watched) checkStreams(t *testing.T, name string, rounds, atOnce int, client, server bool) {
	t.Helper()
	cookies := make(map[event.SocketCookie]bool)
	for round := range rounds {
		for i := range atOnce {
			path, status := fmt.Sprintf("%s/%d/%d", name, round, i), uint16(200)
			if i%2 == 1 {
				path, status = path+"/missing", 404
			}
			c, s := w.exchanges(path)
			if len(c) != btoi(client) || len(s) != btoi(server) {
				t.Errorf("%s: %d exchanges of the client and %d of the server", path, len(c), len(s))
				continue
			}
			for _, x := range append(c, s...) {
				cookies[x.Cookie] = true
				body := uint64(i * 200 * 32)
				asked, answered := x.BytesOut, x.BytesIn
				if x.Role == event.RoleServer {
					asked, answered = answered, asked
				}
				if x.HTTP.Status != status || x.HTTP.Method != http.MethodPost || x.HTTP.Host == "" || x.Trace.TraceID.String() != traceOf(round, i) ||
					x.Protocol != "h2" || x.StreamID == 0 || x.Ordinal != 0 || !x.Tuple.Complete() || x.FirstByte <= x.Start ||
					asked < body || asked > body+uint64(1000+400*i) || answered < body+5 || answered > body+1000 {
					t.Errorf("%s: %+v", path, x)
				}
			}
			if client && server && len(c)+len(s) == 2 && (c[0].Tuple != s[0].Tuple.Reverse() || c[0].StreamID != s[0].StreamID ||
				c[0].BytesOut != s[0].BytesIn || c[0].BytesIn != s[0].BytesOut || c[0].Start > s[0].Start) {
				t.Errorf("%s: two ends do not agree: %+v %+v", path, c[0], s[0])
			}
		}
	}
	if len(cookies) != btoi(client)+btoi(server) {
		t.Errorf("%s: on %d sockets, want one an end", name, len(cookies))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkSecrets looks for what must not leave the node.
func (w *watched) checkSecrets(t *testing.T) {
	t.Helper()
	for i := range w.events {
		if w.events[i].Kind == event.KindProcessExec {
			continue
		}
		if line := string(w.events[i].AppendJSON(nil)); strings.Contains(line, "secret") || strings.Contains(line, "hush") {
			t.Errorf("what should not leave the node did: %s", line)
		}
	}
	if w.source.Lost != 0 || w.source.Bad != 0 {
		t.Errorf("%d records lost, %d bad", w.source.Lost, w.source.Bad)
	}
}

// HTTP/2 over plain text: 16 streams at once on one connection, IPv4 and IPv6,
// by Go's client and curl.
func TestKernelHTTP2(t *testing.T) {
	four, six := serveHTTP2(t, "127.0.0.1:0", false), serveHTTP2(t, "[::1]:0", false)
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("SKIPPED: the real kernel is not watched: no curl")
	}
	w := watchWhole(t, func() {
		c, d := http2Client(), http2Client()
		ask(t, c, four.URL, "/four", 4, 16)
		ask(t, d, six.URL, "/six", 2, 16)
		for _, path := range []string{"/slow-one", "/curl-two"} {
			cmd := exec.Command(curl, "-s", "--http2-prior-knowledge", "-o", os.DevNull, "-H", "traceparent: "+traceparent, four.URL+path)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("curl: %v: %s", err, out)
			}
		}
	})
	w.checkStreams(t, "/four", 4, 16, true, true)
	w.checkStreams(t, "/six", 2, 16, true, true)
	w.checkSecrets(t)
	for _, path := range []string{"/slow-one", "/curl-two"} {
		c, s := w.exchanges(path)
		if len(c) != 1 || len(s) != 1 {
			t.Fatalf("%s: %d exchanges of the client and %d of the server, want one each", path, len(c), len(s))
		}
		if c[0].HTTP.Method != http.MethodGet || c[0].HTTP.Status != 200 || c[0].Trace.TraceID.String() != traceparent[3:35] || s[0].Trace != c[0].Trace {
			t.Errorf("%s: %+v", path, c[0])
		}
		for i := range w.events {
			if e := &w.events[i]; e.Payload == event.Payload(c[0]) && path == "/slow-one" && e.Time.Sub(c[0].FirstByte) < 40*time.Millisecond {
				t.Errorf("%s ended %v after its first byte, its end came 50ms after", path, e.Time.Sub(c[0].FirstByte))
			}
		}
	}
}

// watchWhole watches again where packets overtook each other more than is waited for:
// what refers to what was missed is unknown then.
func watchWhole(t *testing.T, f func()) (w watched) {
	t.Helper()
	for range 3 {
		if w = watch(t, f); w.source.Decoder.Unknown == 0 {
			break
		}
		t.Logf("watched again: %d header blocks refer to what was missed", w.source.Decoder.Unknown)
	}
	return w
}

// Of a connection that is older than the shim what refers to the time before is
// unknown, and the rest is right.
func TestKernelHTTP2Older(t *testing.T) {
	server := serveHTTP2(t, "127.0.0.1:0", false)
	c := http2Client()
	ask(t, c, server.URL, "/before", 1, 2)
	w := watch(t, func() { ask(t, c, server.URL, "/after", 2, 8) })
	for round := range 2 {
		for i := range 8 {
			path, status := fmt.Sprintf("/after/%d/%d", round, i), uint16(200)
			if i%2 == 1 {
				path, status = path+"/missing", 404
			}
			client, accepted := w.exchanges(path)
			if len(client) != 1 || len(accepted) != 1 {
				t.Errorf("%s: %d exchanges of the client and %d of the server, want one each", path, len(client), len(accepted))
			}
			for _, x := range append(client, accepted...) {
				if x.HTTP.Status != status || x.HTTP.Method != http.MethodPost || !x.Trace.TraceID.IsZero() && x.Trace.TraceID.String() != traceOf(round, i) || x.StreamID < 5 {
					t.Errorf("%s: %+v", path, x)
				}
			}
		}
	}
	if w.source.Decoder.Unknown == 0 {
		t.Error("nothing was unknown")
	}
}

// gRPC: the path is sent once and then referred to, the end is trailers, and 16
// calls share a connection.
func TestKernelGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	defer server.Stop()
	w := watch(t, func() {
		c, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		client := healthpb.NewHealthClient(c)
		for round := range 3 {
			var g sync.WaitGroup
			for i := range 16 {
				g.Go(func() {
					ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+traceOf(round, i)+"-00f067aa0ba902b7-01", "x-secret", "hush")
					if _, err := client.Check(ctx, &healthpb.HealthCheckRequest{}); err != nil {
						t.Error(err)
					}
				})
			}
			g.Wait()
		}
	})
	c, s := w.exchanges("/grpc.health.v1.Health/Check")
	traces := make(map[string]int)
	for _, x := range append(c, s...) {
		traces[x.Trace.TraceID.String()]++
		if x.HTTP.Status != 200 || x.HTTP.Method != http.MethodPost || x.Cookie != c[0].Cookie && x.Cookie != s[0].Cookie {
			t.Errorf("%+v", x)
		}
	}
	if len(c) != 48 || len(s) != 48 || len(traces) != 48 {
		t.Errorf("%d exchanges of the client and %d of the server in %d traces, want 48 each", len(c), len(s), len(traces))
	}
	w.checkSecrets(t)
}

// Where packets are lost and sent again, and overtake each other so, small
// requests are told all the same, and nothing that is told is wrong.
func TestKernelHTTP2Loss(t *testing.T) {
	// A thread of its own in a network of its own, of which one in thirty packets with
	// data does not arrive.
	thread := make(chan func())
	defer close(thread)
	setup := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		for _, command := range []string{
			"ip link set lo up", "nft add table inet loss",
			"nft add chain inet loss in { type filter hook prerouting priority -300; }",
			"nft add rule inet loss in tcp flags psh numgen random mod 30 == 0 drop",
		} {
			if err == nil {
				args := strings.Fields(command)
				err = exec.Command(args[0], args[1:]...).Run()
			}
		}
		setup <- err
		for f := range thread {
			f()
		}
	}()
	if err := <-setup; err != nil {
		t.Skipf("SKIPPED: no lossy network is watched: %v", err)
	}
	within := func(f func() (net.Conn, error)) (c net.Conn, err error) {
		done := make(chan struct{})
		thread <- func() {
			c, err = f()
			close(done)
		}
		<-done
		return c, err
	}
	var listener net.Listener
	if _, err := within(func() (_ net.Conn, err error) {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		return nil, err
	}); err != nil {
		t.Fatal(err)
	}
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})}
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{Protocols: p, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return within(func() (net.Conn, error) { return net.Dial("tcp", listener.Addr().String()) })
	}}}
	const rounds, atOnce = 20, 16
	w := watch(t, func() {
		for round := range rounds {
			var g sync.WaitGroup
			for i := range atOnce {
				g.Go(func() {
					r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/loss/%d", listener.Addr(), i), nil)
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("traceparent", "00-"+traceOf(round, i)+"-00f067aa0ba902b7-01")
					answer, err := client.Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				})
			}
			g.Wait()
		}
	})
	told, whole := 0, 0
	for i := range w.events {
		p, ok := w.events[i].Payload.(*event.Exchange)
		if !ok || p.Protocol != "h2" || p.HTTP.Path != "" && !strings.HasPrefix(p.HTTP.Path, "/loss/") {
			continue
		}
		var n int
		_, err := fmt.Sscanf(p.HTTP.Path, "/loss/%d", &n)
		trace := p.Trace.TraceID.String()
		if err == nil && !p.Trace.TraceID.IsZero() && !strings.HasSuffix(trace, traceOf(0, n)[16:]) {
			t.Errorf("%s has the trace of another: %+v", p.HTTP.Path, p)
		}
		told++
		if err == nil && !p.Trace.TraceID.IsZero() && p.HTTP.Status == 200 {
			whole++
		}
	}
	t.Logf("%d requests at two ends: %d told, %d of them whole; %d header blocks with unknown headers", rounds*atOnce, told, whole, w.source.Decoder.Unknown)
	if whole < 2*rounds*atOnce*9/10 {
		t.Errorf("%d of %d are whole, want 9 of 10", whole, 2*rounds*atOnce)
	}
}

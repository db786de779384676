package socket

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// libssl finds the library that a program is linked with.
func libssl(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command("ldd", program).Output()
	if err == nil {
		for line := range strings.Lines(string(out)) {
			if _, after, ok := strings.Cut(line, "libssl.so.3 => "); ok {
				file, err := filepath.EvalSymlinks(strings.Fields(after)[0])
				if err == nil {
					return file
				}
			}
		}
	}
	t.Skipf("SKIPPED: nobody looks into TLS: %s uses no libssl.so.3", program)
	return ""
}

// pythonTLS serves and asks over TLS in two processes: both have OpenSSL.
const pythonTLS = `import http.client, http.server, os, ssl, sys, time
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in b"5\r\nhello\r\n", b"0\r\n\r\n":
            time.sleep(0.05)
            self.wfile.write(part)
s = http.server.HTTPServer(("127.0.0.1", 0), H)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(sys.argv[1])
s.socket = c.wrap_socket(s.socket, server_side=True)
child = os.fork()
if child == 0:
    s.serve_forever()
try:
    c = http.client.HTTPSConnection("localhost", s.server_port, context=ssl._create_unverified_context())
    for path in sys.argv[2:]:
        c.request("POST", path, b"a secret prompt", {"traceparent": "` + traceparent + `", "X-Secret": "hush"})
        c.getresponse().read()
finally:
    time.sleep(0.2) # the server is on its way out of its last call
    os.kill(child, 9)
print(child)`

// Within TLS the same is seen as without: exchanges with their ends, on the right
// sockets, of the right processes, with the trace on the wire.
func TestKernelTLS(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("SKIPPED: nobody looks into TLS: no curl")
	}
	module, err := exec.Command("python3", "-c", "import _ssl; print(_ssl.__file__)").Output()
	if err != nil {
		t.Skipf("SKIPPED: nobody looks into TLS: python's ssl has no file: %v", err)
	}
	libraries := []string{libssl(t, curl), libssl(t, strings.TrimSpace(string(module)))}
	slices.Sort(libraries)
	libraries = slices.Compact(libraries)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	}))
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(cert, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})...), 0o600); err != nil {
		t.Fatal(err)
	}
	var curlPID, pythonPID int
	var served string
	w := watch(t, func() {
		cmd := exec.Command(curl, "-sk", "--http1.1", "-o", os.DevNull, "-o", os.DevNull, "-H", "traceparent: "+traceparent, "-d", "a secret prompt",
			server.URL+"/tls-one", server.URL+"/tls-two?key=secret")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("curl: %v: %s", err, out)
		}
		curlPID = cmd.Process.Pid
		python := exec.Command("python3", "-c", pythonTLS, cert, "/py-one", "/py-two")
		python.Env = append(os.Environ(), "PYTHONWARNINGS=ignore")
		out, err := python.Output()
		if err != nil {
			t.Errorf("python: %v", err)
		}
		pythonPID, served = python.Process.Pid, strings.TrimSpace(string(out))
	}, libraries...)

	one := func(path string, pid int) *event.Exchange {
		t.Helper()
		c, _ := w.exchanges(path)
		if len(c) != 1 {
			t.Fatalf("%s: %d exchanges of the client, want 1", path, len(c))
		}
		x := c[0]
		if x.HTTP.Status != 200 || int(x.Process.PID) != pid || x.Trace.TraceID.String() != traceparent[3:35] || !x.Tuple.Complete() || x.FirstByte <= x.Start {
			t.Errorf("%s: %+v", path, x)
		}
		return x
	}
	a, b := one("/tls-one", curlPID), one("/tls-two", curlPID)
	if a.Cookie != b.Cookie || a.Ordinal != 1 || b.Ordinal != 2 {
		t.Errorf("one connection has cookies %v and %v, ordinals %d and %d", a.Cookie, b.Cookie, a.Ordinal, b.Ordinal)
	}
	for _, path := range []string{"/py-one", "/py-two"} {
		x := one(path, pythonPID)
		_, accepted := w.exchanges(path)
		if len(accepted) != 1 {
			t.Fatalf("%s: %d exchanges of the server, want 1", path, len(accepted))
		}
		y := accepted[0]
		if x.Tuple != y.Tuple.Reverse() || x.BytesOut != y.BytesIn || x.BytesIn != y.BytesOut || served == "" {
			t.Errorf("%s: two ends do not agree: %+v %+v", path, x, y)
		}
		for i := range w.events {
			if e := &w.events[i]; e.Payload == event.Payload(y) && e.Time.Sub(y.FirstByte) < 100*time.Millisecond {
				t.Errorf("%s ended %v after its first byte, its last chunk came 100ms after", path, e.Time.Sub(y.FirstByte))
			}
		}
	}
	hellos := 0
	for i := range w.events {
		if w.events[i].Kind == event.KindTLSHello {
			hellos++
		}
		if line := string(w.events[i].AppendJSON(nil)); w.events[i].Kind != event.KindProcessExec && (strings.Contains(line, "secret") || strings.Contains(line, "hush")) {
			t.Errorf("what should not leave the node did: %s", line)
		}
	}
	if hellos < 4 {
		t.Errorf("%d hellos, want those of both ends of two connections", hellos)
	}
}

// buildAsk builds a program without symbols that asks over TLS. Where there is no
// compiler (.ci/vmtest), SENNIT_TEST_ASK names what another machine has built.
func buildAsk(t *testing.T) (program string) {
	t.Helper()
	if program := os.Getenv("SENNIT_TEST_ASK"); program != "" {
		return program
	}
	program = filepath.Join(t.TempDir(), "ask")
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, "./testdata/ask").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: nobody looks into TLS: no Go program is built: %v: %s", err, out)
	}
	return program
}

// Within TLS of Go, HTTP/1 and HTTP/2: 16 streams at once on one connection; a
// program without symbols, and curl with OpenSSL, on the other side.
func TestKernelTLSGo(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("SKIPPED: nobody looks into TLS: no curl")
	}
	stripped := buildAsk(t)
	four, six := serveHTTP2(t, "127.0.0.1:0", true), serveHTTP2(t, "[::1]:0", true)
	var served atomic.Uint64
	old := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/go-two" {
			served.Store(goroutineID())
		}
		_, _ = io.WriteString(w, "hello")
	}))
	defer old.Close()
	var curlPID, strippedPID int
	var asked uint64
	w := watch(t, func() {
		ask(t, http2Client(), four.URL, "/go-four", 4, 16)
		ask(t, http2Client(), six.URL, "/go-six", 2, 16)
		answer, err := http2Client().Get(four.URL + "/go-parent")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		asked = goroutineID()
		for _, path := range []string{"/go-one", "/go-two"} {
			r, err := old.Client().Post(old.URL+path+"?key=secret", "text/plain", strings.NewReader("a secret prompt"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
		for _, run := range []struct {
			pid  *int
			args []string
		}{
			{&curlPID, []string{curl, "-sk", "-o", os.DevNull, "-o", os.DevNull, "-H", "traceparent: " + traceparent, "-d", "a secret prompt", four.URL + "/ssl-one", four.URL + "/ssl-two"}},
			{&strippedPID, []string{stripped, four.URL, "/stripped-one", "/stripped-two"}},
		} {
			cmd := exec.Command(run.args[0], run.args[1:]...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", run.args[0], err, out)
			}
			*run.pid = cmd.Process.Pid
		}
	}, self, stripped, libssl(t, curl))
	w.checkStreams(t, "/go-four", 4, 16, true, true)
	w.checkStreams(t, "/go-six", 2, 16, true, true)
	w.checkSecrets(t)
	both := func(protocol string, pid int, paths ...string) {
		t.Helper()
		cookies := make(map[event.SocketCookie]bool)
		for _, path := range paths {
			c, s := w.exchanges(path)
			if len(c) != 1 || len(s) != 1 {
				t.Errorf("%s: %d exchanges of the client and %d of the server, want one each", path, len(c), len(s))
				continue
			}
			cookies[c[0].Cookie] = true
			if c[0].Tuple != s[0].Tuple.Reverse() || c[0].HTTP.Status != 200 || c[0].Protocol != protocol || int(c[0].Process.PID) != pid ||
				int(s[0].Process.PID) != os.Getpid() || c[0].FirstByte <= c[0].Start || protocol == "h2" && c[0].Trace.TraceID.String() != traceparent[3:35] {
				t.Errorf("%s: %+v %+v", path, c[0], s[0])
			}
		}
		if len(cookies) != 1 {
			t.Errorf("%v: %d connections, want one", paths, len(cookies))
		}
	}
	both("http/1.1", os.Getpid(), "/go-one", "/go-two")
	if c, _ := w.exchanges("/go-parent"); len(c) != 1 || c[0].ParentGo != asked || c[0].Goroutine == 0 || c[0].Goroutine == asked {
		t.Errorf("asked by goroutine %d: %+v", asked, c)
	}
	if _, s := w.exchanges("/go-two"); len(s) != 1 || s[0].Goroutine != served.Load() {
		t.Errorf("served by goroutine %d: %+v", served.Load(), s)
	}
	both("h2", curlPID, "/ssl-one", "/ssl-two")
	both("h2", strippedPID, "/stripped-one", "/stripped-two")
}

// goroutineID is the number of this goroutine, as a stack trace has it.
func goroutineID() (id uint64) {
	b := make([]byte, 64)
	_, _ = fmt.Sscanf(string(b[:runtime.Stack(b, false)]), "goroutine %d ", &id)
	return id
}

// Programs that use TLS are found: one that runs already, and those that start.
func TestKernelTLSAuto(t *testing.T) {
	program := buildAsk(t)
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("SKIPPED: nobody looks into TLS: no curl")
	}
	server := serveHTTP2(t, "127.0.0.1:0", true)
	var pids []int
	start := func(path string) (finish func()) {
		cmd := exec.Command(program, server.URL, path)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, cmd.Process.Pid)
		return func() {
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
	}
	older := start("/auto-older")
	w := watchWith(t, func(w *watched) {
		younger := start("/auto-younger")
		// The first curl waits for what to send and is found meanwhile, the second
		// is seen from its first call.
		first := exec.Command(curl, "-sk", "-o", os.DevNull, "--data-binary", "@-", server.URL+"/auto-first")
		second := exec.Command(curl, "-sk", "-o", os.DevNull, server.URL+"/auto-second")
		in, err := first.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		for _, try := range [][]string{{curl, "-sk", "-o", os.DevNull, server.URL + "/curl"}, {program, server.URL, "/go"}} {
			w.waitFor(t, func(path string) {
				args := slices.Clone(try[1:])
				args[len(args)-1] += path
				if err := exec.Command(try[0], args...).Run(); err != nil {
					t.Error(err)
				}
			}, try[len(try)-1][strings.LastIndex(try[len(try)-1], "/"):])
		}
		in.Close()
		if err := first.Wait(); err != nil {
			t.Errorf("curl: %v", err)
		}
		if out, err := second.CombinedOutput(); err != nil {
			t.Errorf("curl: %v: %s", err, out)
		}
		pids = append(pids, first.Process.Pid, second.Process.Pid)
		older()
		younger()
	}, "auto")
	for i, path := range []string{"/auto-older", "/auto-younger", "/auto-first", "/auto-second"} {
		c, _ := w.exchanges(path)
		if len(c) != 1 {
			t.Errorf("%s: %d exchanges, want 1", path, len(c))
		} else if int(c[0].Process.PID) != pids[i] || c[0].HTTP.Status != 200 || c[0].Protocol != "h2" {
			t.Errorf("%s: %+v", path, c[0])
		}
	}
}

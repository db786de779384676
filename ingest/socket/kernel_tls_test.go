package socket

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

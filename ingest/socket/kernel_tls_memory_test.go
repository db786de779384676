package socket

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
)

// nodeTLS serves over TLS in a child, and asks over kept connections: two of
// HTTP/1.1 at once, and 8 streams of one HTTP/2.
const nodeTLS = `const fs = require("fs"), https = require("https"), http2 = require("http2"), cp = require("child_process");
const pem = fs.readFileSync(process.argv[2]);
if (process.argv[3] === "serve") {
  const answer = (q, a) => { q.resume(); q.on("end", () => { a.writeHead(200, {"content-type": "text/plain"}); a.end("hello"); }); };
  const one = https.createServer({key: pem, cert: pem}, answer), two = http2.createSecureServer({key: pem, cert: pem}, answer);
  one.listen(0, "127.0.0.1", () => two.listen(0, "127.0.0.1", () => process.send([one.address().port, two.address().port])));
} else {
  const child = cp.fork(process.argv[1], [process.argv[2], "serve"]);
  child.on("message", async ([one, two]) => {
    const agent = new https.Agent({keepAlive: true, maxSockets: 2}), headers = {traceparent: process.argv[3], "x-secret": "hush"};
    const ask = (path) => new Promise((done, fail) => {
      const q = https.request({port: one, host: "127.0.0.1", path, method: "POST", headers, agent, rejectUnauthorized: false}, (a) => { a.resume(); a.on("end", done); });
      q.on("error", fail); q.end("a secret prompt");
    });
    const all = []; for (let i = 0; i < 8; i++) all.push(ask("/node/" + i));
    await Promise.all(all);
    const session = http2.connect("https://127.0.0.1:" + two, {rejectUnauthorized: false});
    const stream = (path) => new Promise((done, fail) => {
      const q = session.request({":path": path, ":method": "POST", ...headers});
      q.on("error", fail); q.on("end", done); q.resume(); q.end("a secret prompt");
    });
    const more = []; for (let i = 0; i < 8; i++) more.push(stream("/node2/" + i));
    await Promise.all(more);
    agent.destroy(); session.close();
    console.log(process.pid + " " + child.pid);
    child.kill();
  });
}`

// asyncioTLS asks and serves in one process and thread.
const asyncioTLS = `import asyncio, os, ssl, sys
async def serve(r, w):
    while True:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = await r.readline()
            if not line:
                w.close()
                return
            head += line
        w.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await w.drain()
async def ask(port, i):
    r, w = await asyncio.open_connection("127.0.0.1", port, ssl=ssl._create_unverified_context())
    for turn in range(2):
        w.write(b"GET /asyncio/%d/%d HTTP/1.1\r\nHost: x\r\ntraceparent: %s\r\nX-Secret: hush\r\n\r\n" % (i, turn, sys.argv[2].encode()))
        await r.readexactly(len(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
    w.close()
async def main():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(sys.argv[1])
    s = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=c)
    await asyncio.gather(*(ask(s.sockets[0].getsockname()[1], i) for i in range(8)))
asyncio.run(main())`

// certificate writes a key with its certificate.
func certificate(t *testing.T) (file string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})...), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Programs that keep OpenSSL off their sockets: each exchange is on the socket that
// carried it, of many that one thread has open at once.
func TestKernelTLSInMemory(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIPPED: nobody looks into TLS of Node: there is no node")
	}
	module, err := exec.Command("python3", "-c", "import _ssl; print(_ssl.__file__)").Output()
	if err != nil {
		t.Skipf("SKIPPED: nobody looks into TLS: python's ssl has no file: %v", err)
	}
	script := filepath.Join(t.TempDir(), "tls.js")
	if err := os.WriteFile(script, []byte(nodeTLS), 0o600); err != nil {
		t.Fatal(err)
	}
	cert := certificate(t)
	var client, server, python int
	w := watch(t, func() {
		out, err := exec.Command(node, script, cert, traceparent).Output()
		if err != nil {
			t.Fatalf("node: %v", err)
		}
		one, two, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		client, _ = strconv.Atoi(one)
		server, _ = strconv.Atoi(two)
		cmd := exec.Command("python3", "-W", "ignore", "-c", asyncioTLS, cert, traceparent)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("python: %v: %s", err, out)
		}
		python = cmd.Process.Pid
	}, node, libssl(t, strings.TrimSpace(string(module))))
	w.checkSecrets(t)
	both := func(path, protocol string, client, server int) *event.Exchange {
		t.Helper()
		c, s := w.exchanges(path)
		if len(c) != 1 || len(s) != 1 {
			t.Fatalf("%s: %d exchanges of the client and %d of the server, want one each", path, len(c), len(s))
		}
		if c[0].Tuple != s[0].Tuple.Reverse() || !c[0].Tuple.Complete() || c[0].HTTP.Status != 200 || c[0].Protocol != protocol ||
			int(c[0].Process.PID) != client || int(s[0].Process.PID) != server || c[0].Trace.TraceID.String() != traceparent[3:35] {
			t.Errorf("%s: %+v %+v", path, c[0], s[0])
		}
		return c[0]
	}
	sockets := func(prefix, protocol string, client, server int) map[event.SocketCookie]int {
		t.Helper()
		cookies := make(map[event.SocketCookie]int)
		for i := range 8 {
			cookies[both(prefix+strconv.Itoa(i), protocol, client, server).Cookie]++
		}
		return cookies
	}
	if one := sockets("/node/", "http/1.1", client, server); len(one) != 2 {
		t.Errorf("HTTP/1.1 of Node: %v, want two sockets", one)
	}
	if two := sockets("/node2/", "h2", client, server); len(two) != 1 {
		t.Errorf("HTTP/2 of Node: %v, want one socket", two)
	}
	all := make(map[event.SocketCookie]bool)
	for i := range 8 {
		path := "/asyncio/" + strconv.Itoa(i) + "/"
		a, b := both(path+"0", "http/1.1", python, python), both(path+"1", "http/1.1", python, python)
		if a.Cookie != b.Cookie || a.Ordinal != 1 || b.Ordinal != 2 {
			t.Errorf("%s: one connection has cookies %v and %v, ordinals %d and %d", path, a.Cookie, b.Cookie, a.Ordinal, b.Ordinal)
		}
		all[a.Cookie] = true
	}
	if len(all) != 8 {
		t.Errorf("asyncio: %d sockets, want 8", len(all))
	}
}

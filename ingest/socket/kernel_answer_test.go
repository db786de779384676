package socket

import (
	"compress/gzip"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// modelServer answers as the APIs of models do, by path, over TLS: whole, chunked
// and as a stream of events. Below /long the answer is longer than a record of TLS.
func modelServer(t *testing.T) *httptest.Server {
	bodies := map[string]string{
		"/v1/chat/completions": openAI, "/v1/messages": anthropic, "/v1beta/models/gemini-2.5-flash:generateContent": gemini,
		"/packed/chat": openAI, "/packed/stream": anthropicStream,
		"/stream/chat": openAIStream, "/stream/messages": anthropicStream, "/stream/responses": responses,
		"/long": strings.Replace(openAI, "a secret", strings.Repeat("a secret ", 20000), 1),
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for path, body := range bodies {
			if !strings.HasPrefix(r.URL.Path, path) {
				continue
			}
			w.Header().Set("Set-Cookie", strings.Repeat("hush", 200))
			if strings.HasPrefix(path, "/packed") {
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				_, _ = io.WriteString(z, body)
				_ = z.Close()
				return
			}
			if !strings.HasPrefix(path, "/stream") {
				_, _ = io.WriteString(w, body)
				return
			}
			for line := range strings.SplitAfterSeq(body, "\n\n") {
				_, _ = io.WriteString(w, line)
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

var modelAnswers = map[string]string{
	"/v1/chat/completions": "chatcmpl-1 gpt-4o-2024-08-06 tool_calls 19/10", "/v1/messages": "msg_01 claude-sonnet-4 tool_use 2095/503",
	"/v1beta/models/gemini-2.5-flash:generateContent": "abc-_123 gemini-2.5-flash stop 11/73",
	"/packed/chat":      "chatcmpl-1 gpt-4o-2024-08-06 tool_calls 19/10",
	"/packed/stream":    "msg_02 claude-sonnet-4 end_turn 25/15",
	"/stream/chat":      "chatcmpl-2 gpt-4o stop 5/6",
	"/stream/messages":  "msg_02 claude-sonnet-4 end_turn 25/15",
	"/stream/responses": "resp_1 o3  36/87",
	"/long":             "chatcmpl-1 gpt-4o-2024-08-06 tool_calls 19/10",
}

// Programs that ask a URL for each path, with a prompt.
const (
	pythonAsk = `import http.client, ssl, sys
host = sys.argv[1].removeprefix("https://")
c = http.client.HTTPSConnection(host, context=ssl._create_unverified_context())
for path in sys.argv[2:]:
    c.request("POST", path, b"a secret prompt", {"X-Secret": "hush"})
    r = c.getresponse()
    while r.read(100): pass`
	nodeAsk = `const https = require("https"), agent = new https.Agent({keepAlive: true, maxSockets: 1, rejectUnauthorized: false});
const ask = path => new Promise((done, failed) => {
  const r = https.request(process.argv[1] + path, {method: "POST", agent, headers: {"X-Secret": "hush"}}, a => { a.resume(); a.on("end", done) });
  r.on("error", failed); r.end("a secret prompt")
});
(async () => { for (const path of process.argv.slice(2)) await ask(path); agent.destroy() })()`
	nodeAskAtOnce = `const https = require("https");
for (const path of process.argv.slice(2))
  https.request(process.argv[1] + path, {method: "POST", rejectUnauthorized: false, headers: {"X-Secret": "hush"}}, a => a.resume()).end("a secret prompt")`
	pythonAskAtOnce = `import asyncio, ssl, sys
host, _, port = sys.argv[1].removeprefix("https://").partition(":")
async def ask(path):
    r, w = await asyncio.open_connection(host, int(port), ssl=ssl._create_unverified_context())
    w.write(f"POST {path} HTTP/1.1\r\nHost: h\r\nX-Secret: hush\r\nContent-Length: 15\r\nConnection: close\r\n\r\na secret prompt".encode())
    while await r.read(100): pass
    w.close()
async def main(): await asyncio.gather(*map(ask, sys.argv[2:]))
asyncio.run(main())`
	nodeAskHTTP2 = `const c = require("http2").connect(process.argv[1], {rejectUnauthorized: false});
const ask = path => new Promise((done, failed) => {
  const r = c.request({":method": "POST", ":path": path, "x-secret": "hush"}); r.resume(); r.on("end", done); r.on("error", failed); r.end("a secret prompt")
});
(async () => { await Promise.all(process.argv.slice(2).map(ask)); c.close() })()`
)

// What models say about their answers is read from the TLS of real clients: of
// the client's end only, and of POST only, and nothing else leaves.
func TestKernelAnswers(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, program := range []string{"curl", "python3", "node"} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Skipf("SKIPPED: nobody reads what models answer: no %s", program)
		}
		found[program] = path
	}
	module, err := exec.Command("python3", "-c", "import _ssl; print(_ssl.__file__)").Output()
	if err != nil {
		t.Skipf("SKIPPED: nobody looks into TLS: python's ssl has no file: %v", err)
	}
	files := compact(self, found["node"], libssl(t, found["curl"]), libssl(t, strings.TrimSpace(string(module))))
	server := modelServer(t)
	paths := make([]string, 0, len(modelAnswers))
	for path := range modelAnswers {
		paths = append(paths, path)
	}
	under := func(name string) (all []string) {
		for _, path := range paths {
			all = append(all, path+"/"+name)
		}
		return all
	}
	urls := func(name string) (all []string) {
		for _, path := range under(name) {
			all = append(all, "-o", os.DevNull, server.URL+path)
		}
		return all
	}
	pids := map[string]int{"go": os.Getpid(), "go-h2": os.Getpid()}
	run := func(name, program string, args ...string) {
		cmd := exec.Command(program, args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		pids[name] = cmd.Process.Pid
	}
	w := watch(t, func() {
		old := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)}
		old.Protocols.SetHTTP1(true)
		for name, c := range map[string]*http.Client{"go": {Transport: old}, "go-h2": http2Client()} {
			for _, path := range under(name) {
				r, err := c.Post(server.URL+path, "application/json", strings.NewReader("a secret prompt"))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
			c.CloseIdleConnections()
		}
		run("curl", found["curl"], append([]string{"-sk", "--http1.1", "-d", "a secret prompt"}, urls("curl")...)...)
		run("curl-h2", found["curl"], append([]string{"-sk", "--http2", "-d", "a secret prompt"}, urls("curl-h2")...)...)
		run("curl-get", found["curl"], append([]string{"-sk", "--http2"}, urls("curl-get")...)...)
		run("python", found["python3"], append([]string{"-c", pythonAsk, server.URL}, under("python")...)...)
		run("node", found["node"], append([]string{"-e", nodeAsk, server.URL}, under("node")...)...)
		run("python-at-once", found["python3"], append([]string{"-c", pythonAskAtOnce, server.URL}, under("python-at-once")...)...)
		run("node-at-once", found["node"], append([]string{"-e", nodeAskAtOnce, server.URL}, under("node-at-once")...)...)
		run("node-h2", found["node"], append([]string{"-e", nodeAskHTTP2, server.URL}, under("node-h2")...)...)
	}, files...)
	for name, pid := range pids {
		for path, want := range modelAnswers {
			c, s := w.exchanges(path + "/" + name)
			if len(c) != 1 || len(s) != 1 {
				t.Errorf("%s: %d exchanges of the client and %d of the server, want one each", path+"/"+name, len(c), len(s))
				continue
			}
			if name == "curl-get" {
				want = "   0/0"
			}
			if got := answerOf(c[0]); got != want || int(c[0].Process.PID) != pid || c[0].HTTP.Status != 200 || c[0].Tuple != s[0].Tuple.Reverse() {
				t.Errorf("%s: %q, want %q: %+v", path+"/"+name, got, want, c[0])
			}
			if one := !strings.HasPrefix(name, "go"); c[0].TID == 0 || one && int(c[0].TID) != pid { // they have one thread
				t.Errorf("%s: by thread %d", path+"/"+name, c[0].TID)
			}
			if got := answerOf(s[0]); got != "   0/0" {
				t.Errorf("%s: at the server %q", path+"/"+name, got)
			}
		}
	}
	w.checkSecrets(t)
	if w.source.Unread != 0 {
		t.Errorf("%d pieces of answers were not read", w.source.Unread)
	}
}

// A program with OpenSSL inside is found by itself, as is a library that is loaded
// late.
func TestKernelAnswersAuto(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIPPED: nobody reads what models answer: no node")
	}
	server := modelServer(t)
	const late = "import time; time.sleep(0.6)\n" + pythonAsk
	w := watchWith(t, func(w *watched) {
		w.waitFor(t, func(path string) {
			if out, err := exec.Command(node, "-e", nodeAsk, server.URL, "/v1/messages"+path).CombinedOutput(); err != nil {
				t.Errorf("node: %v: %s", err, out)
			}
		}, "/v1/messages")
		w.waitFor(t, func(path string) {
			if out, err := exec.Command("python3", "-c", late, server.URL, "/stream/chat"+path).CombinedOutput(); err != nil {
				t.Errorf("python: %v: %s", err, out)
			}
		}, "/stream/chat")
	}, bpf.Auto)
	said := map[string]bool{}
	for i := range w.events {
		if x, ok := w.events[i].Payload.(*event.Exchange); ok && w.events[i].Kind == event.KindExchange && x.Role == event.RoleClient {
			said[answerOf(x)] = true
		}
	}
	for _, path := range []string{"/v1/messages", "/stream/chat"} {
		if !said[modelAnswers[path]] {
			t.Errorf("%s: %q was not read", path, modelAnswers[path])
		}
	}
}

func compact(s ...string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

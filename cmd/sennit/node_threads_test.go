package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// An agent with a thread for each connection, which tells its upstream of no trace.
// Its spans have a thread.id, as OpenTelemetry defines it: the runtime's number of a
// thread. Here each is the number that the kernel has for another thread.
const threadedAgent = `import http.client, http.server, json, random, secrets, sys, threading, time
upstream, spans, port = sys.argv[1], sys.argv[2], sys.argv[3]
natives, out, lock = [], open(spans, "w"), threading.Lock()
class Agent(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_GET(self):
        start, n = time.time_ns(), self.path.rsplit("/", 1)[1]
        natives.append(threading.get_native_id())
        time.sleep(random.random() * 0.01)
        c = http.client.HTTPConnection(upstream)
        c.request("GET", "/up/" + n); body = c.getresponse().read(); c.close()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
        trace, parent = self.headers["traceparent"].split("-")[1:3]
        other = next((t for t in reversed(natives) if t != threading.get_native_id()), 1)
        with lock:
            attrs = {"thread.id": {"intValue": str(other)}, "thread.name": {"stringValue": threading.current_thread().name},
                     "url.path": {"stringValue": "/run/" + n}, "network.peer.address": {"stringValue": self.client_address[0]}, "network.peer.port": {"intValue": str(self.client_address[1])}}
            out.write(json.dumps({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "agent"}}]}, "scopeSpans": [{"spans": [{
                "traceId": trace, "spanId": secrets.token_hex(8), "parentSpanId": parent, "name": "GET /run", "kind": 2, "startTimeUnixNano": str(start), "endTimeUnixNano": str(time.time_ns()),
                "attributes": [{"key": k, "value": v} for k, v in attrs.items()]}]}]}]}) + "\n")
            out.flush()
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
s = Server(("127.0.0.1", 0), Agent)
open(port + ".new", "w").write(str(s.server_port))
import os; os.rename(port + ".new", port)
s.serve_forever()`

// Calls without a trace are joined by the thread that served the request, as the
// kernel sees it, and by nothing that a span says of threads.
func TestNodeThreads(t *testing.T) {
	needKernel(t)
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("SKIPPED: no server has a thread for each connection: no python3")
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(5 * time.Millisecond)
		_, _ = io.WriteString(w, "hello")
	}))
	defer upstream.Close()
	dir := t.TempDir()
	sockets, spans, port := filepath.Join(dir, "sockets.jsonl"), filepath.Join(dir, "spans.jsonl"), filepath.Join(dir, "port")
	agent := exec.Command("python3", "-c", threadedAgent, upstream.Listener.Addr().String(), spans, port)
	agent.Stderr = os.Stderr
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	}()
	var out, messages bytes.Buffer
	done := make(chan int, 1)
	watching, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		done <- run(watching, []string{"node", "--record", sockets, "--node", "here"}, nil, &out, &messages)
	}()
	for _, file := range []string{port, sockets} {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if s, err := os.Stat(file); err == nil && s.Size() > 0 {
				break
			}
		}
	}
	at, err := os.ReadFile(port)
	if err != nil {
		t.Fatal(err)
	}
	const clients, each = 8, 12
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			for i := range each {
				n := c*each + i
				r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%s/run/%d", at, n), nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Traceparent", fmt.Sprintf("00-%032x-%016x-01", n+1, n+1))
				a, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, a.Body)
				a.Body.Close()
			}
			client.CloseIdleConnections()
		})
	}
	all.Wait()
	// Both ends of a call are recorded, and the agent's end of each request.
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		b, err := os.ReadFile(sockets)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(b, []byte(`"/up/`)) >= 2*clients*each && bytes.Count(b, []byte(`"/run/`)) >= clients*each {
			break
		}
	}
	stop()
	if code := <-done; code != exitOK {
		t.Fatalf("exit code %d: %s", code, &messages)
	}
	right, wrong, byThread := 0, 0, 0
	for line := range strings.Lines(string(sennit(t, "replay", "-o", "json", sockets, spans))) {
		var tl struct {
			TraceID string `json:"trace_id"`
			Steps   []struct {
				Attributes map[string]any `json:"attributes"`
				Join       struct {
					Method string `json:"method"`
					Exact  bool   `json:"exact"`
				} `json:"join"`
			} `json:"steps"`
		}
		if err := json.Unmarshal([]byte(line), &tl); err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(tl.TraceID, "%x", &n); err != nil {
			continue
		}
		for _, s := range tl.Steps {
			path := fmt.Sprint(s.Attributes["url.path"])
			if !strings.HasPrefix(path, "/up/") {
				continue
			}
			if path != fmt.Sprintf("/up/%d", n-1) {
				wrong++
				t.Errorf("the call %s is joined to request %d: %+v", path, n-1, s.Join)
				continue
			}
			right++
			if s.Join.Method == timeline.Thread {
				byThread++
				if s.Join.Exact {
					t.Errorf("a thread is no identifier: %+v", s.Join)
				}
			}
		}
	}
	// Both ends of a call are steps.
	if all := 2 * clients * each; byThread < all*9/10 {
		t.Errorf("%d ends of calls are joined, %d by their thread, %d wrongly, of %d", right, byThread, wrong, all)
	}
}

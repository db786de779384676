package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What the node records of real traffic, replay stitches: the client's and the
// server's side of one request are one timeline under the trace on the wire.
func TestNode(t *testing.T) {
	needKernel(t)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "sockets.jsonl")
	var out, messages bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), []string{"node", "--record", file, "--for", "2s", "--node", "here"}, nil, &out, &messages)
	}()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // it writes when it watches
		if s, err := os.Stat(file); err == nil && s.Size() > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	request, err := http.NewRequest(http.MethodPost, server.URL+"/run", strings.NewReader("a prompt"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if code := <-done; code != exitOK || !strings.Contains(messages.String(), "watching here") {
		t.Fatalf("exit code %d: %s", code, &messages)
	}
	if recorded, err := os.ReadFile(file); err != nil || bytes.Contains(recorded, []byte("a prompt")) {
		t.Errorf("the recording has the body: %v", err)
	}
	if s, err := os.Stat(file); err != nil || s.Mode().Perm() != 0o600 {
		t.Errorf("the recording can be read by others: %v %v", s.Mode(), err)
	}
	messages.Reset()
	if code := run(t.Context(), []string{"replay", "-o", "json", file}, nil, &out, &messages); code != exitOK {
		t.Fatalf("replay: exit code %d: %s", code, &messages)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, `{"timeline_id":"4bf92f3577b34da6a3ce929d0e0e4736"`) {
			if n := strings.Count(line, `"method":"trace_context","exact":true`); n < 2 {
				t.Errorf("%d steps are joined by the trace, want the client's and the server's: %s", n, line)
			}
			return
		}
	}
	t.Errorf("no timeline has the trace of the request: %s%s", &out, &messages)
}

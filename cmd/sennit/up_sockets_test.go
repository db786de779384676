package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/sennit-io/sennit/bpf"
)

// needKernel skips a test where eBPF is refused. A program that the verifier
// rejects is a failure everywhere.
func needKernel(t *testing.T) {
	t.Helper()
	shim, err := bpf.Open()
	var verifier *ebpf.VerifierError
	if errors.Is(err, os.ErrPermission) && !errors.As(err, &verifier) {
		t.Skipf("SKIPPED: sennit does not watch this machine: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer shim.Close()
	for _, h := range shim.Hooks() {
		if errors.As(h.Err, &verifier) {
			t.Fatal(h.Err)
		}
	}
}

// Live, a request's spans and what the kernel saw of it are one timeline, and
// nobody's request is the report of the spans.
func TestUpSockets(t *testing.T) {
	needKernel(t)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	dir := t.TempDir()
	requestSeen(t, startUp(t, dir, "--sockets", "--node", "here"), dir, server)
}

// So it is on a connection that is older than the service, its state and its stream:
// the inventory says whose it is.
func TestUpOldSocket(t *testing.T) {
	needKernel(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	opened := make(chan struct{}, 8)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	dir := t.TempDir()
	tl := requestSeen(t, startUp(t, dir, "--sockets", "--node", "here"), dir, server)
	if len(opened) != 1 {
		t.Errorf("%d connections: the request was not on the old one", len(opened))
	}
	if want := fmt.Sprintf(`"pid":%d`, os.Getpid()); !strings.Contains(tl, want) {
		t.Errorf("the step does not say whose the socket is, %s: %s", want, tl)
	}
}

// requestSeen sends a request to a server and its spans to a service, and returns their
// timeline.
func requestSeen(t *testing.T, s *service, dir string, server *httptest.Server) string {
	t.Helper()
	const n = 41
	r, err := http.NewRequest(http.MethodPost, server.URL+"/run", strings.NewReader("a prompt"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Traceparent", fmt.Sprintf("00-%032x-%016x-01", n+1, 3*n+1))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if !post(s.otlp, request(n)) {
		t.Fatal("the spans are not taken")
	}
	var tl string
	for end := time.Now().Add(time.Minute); tl == "" && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(dir, "timelines.jsonl"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, fmt.Sprintf(`{"timeline_id":"%032x"`, n+1)) && strings.HasSuffix(line, "\n") {
				tl = line
			}
			if strings.Contains(line, "/v1/traces") {
				t.Errorf("the report is taken for a request: %s", line)
			}
		}
	}
	if !strings.Contains(tl, `"source":"socket"`) || !strings.Contains(tl, `"source":"otlp"`) || strings.Contains(tl, "a prompt") {
		t.Errorf("the timeline has not both sides: %s\n%s", tl, s.log)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("sennit up ended with %v: %s", err, s.log)
	}
	return tl
}

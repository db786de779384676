package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Without the capabilities everything else runs: what is missing is named, counted,
// and a gap in every timeline.
func TestUpBlind(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil || os.Getuid() != 0 {
		t.Skip("SKIPPED: nobody takes capabilities away: not root, or no setpriv")
	}
	dir := t.TempDir()
	s := startProgram(t, "setpriv", "--bounding-set=-all", "sennit", "up", "--data", dir, "--lateness", "1s", "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0",
		"--http", "127.0.0.1:0", "--sockets", "--tls", "auto", "--node", "here")
	const n = 42
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
		}
	}
	if !strings.Contains(tl, `"missing":["network"]`) || !strings.Contains(tl, `"source":"socket","node":"here"`) ||
		!strings.Contains(tl, `"reason":"not observed: watching the kernel needs cap_bpf, cap_perfmon, cap_net_admin`) {
		t.Errorf("the timeline does not say what is missing: %s", tl)
	}
	response, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(metrics), `sennit_shim_hook{hook="all"} 0`) || !strings.Contains(string(metrics), `sennit_shim_problems_total{what="lost"} 0`) {
		t.Errorf("metrics: %v: %s", err, metrics)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("sennit up ended with %v", err)
	}
	if !strings.Contains(s.log.String(), "sockets are not observed") || !strings.Contains(s.log.String(), "cap_bpf") {
		t.Errorf("log: %s", s.log)
	}
}

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A timeline of megabytes gets where all others do, and holds up none of them.
func TestUpLarge(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	// What comes later than that has to wait for the next revision, for minutes.
	s := startService(t, "up", "--data", dir, "--lateness", "30s", "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0")
	const trace, spans = "4bf92f3577b34da6a3ce929d0e0e4736", 2000
	rng := rand.New(rand.NewPCG(1, 2))
	end := time.Now()
	var body bytes.Buffer
	for i := range spans {
		parent, kind := `0000000000000001`, 1
		if i == 0 {
			parent, kind = "", 2
		}
		name := make([]byte, 500) // of which no two are alike
		for j := range name {
			name[j] = byte(rng.Uint32())
		}
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"traceId":%q,"spanId":"%016x","parentSpanId":%q,"name":"%x","kind":%d,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}`,
			trace, i+1, parent, name, kind, end.Add(-time.Second).UnixNano(), end.UnixNano())
	}
	send := func(body []byte) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !post(s.otlp, body); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the spans are not taken")
			}
		}
	}
	send(fmt.Appendf(nil, `{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[%s]}]}]}`, body.Bytes()))
	for n := range 5 {
		send(request(n))
	}
	out := filepath.Join(dir, "timelines.jsonl")
	waitFor(t, out, 5)
	steps, size := 0, 0
	for deadline := time.Now().Add(60 * time.Second); steps != spans && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if _, last := readTimelines(t, out); last[trace] != nil { // its last revision
			steps, size = len(last[trace].Steps)+int(last[trace].Truncated), len(last[trace].AppendJSON(nil))
		}
	}
	if steps != spans || size < 2<<20 {
		t.Errorf("the large one has %d of %d steps, and %d bytes", steps, spans, size)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("it ended with %v\n%s", err, s.log)
	}
}

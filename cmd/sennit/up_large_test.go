package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A timeline of megabytes gets where all others do, and holds up none of them.
func TestUpLarge(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	s := startService(t, "up", "--data", dir, "--lateness", "5s", "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0")
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
	client := http.Client{Timeout: time.Minute}
	send := func(body []byte) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
			r, err := client.Post("http://"+s.otlp+"/v1/traces", "application/json", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if r.Body.Close(); r.StatusCode == http.StatusOK {
				return
			}
			if r.StatusCode != http.StatusTooManyRequests || time.Now().After(deadline) { // else: to come again
				t.Fatalf("the spans are not taken: %s", r.Status)
			}
		}
	}
	send(fmt.Appendf(nil, `{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[%s]}]}]}`, body.Bytes()))
	for n := range 5 {
		send(request(n))
	}
	small, steps, size := 0, 0, 0
	// On a busy disk some spans may come late: they are a revision two minutes later.
	for deadline := time.Now().Add(4 * time.Minute); (small < 5 || steps != spans) && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		small = 0
		_, last := readTimelines(t, filepath.Join(dir, "timelines.jsonl"))
		for id, tl := range last {
			if id == trace {
				steps, size = len(tl.Steps)+int(tl.Truncated), len(tl.AppendJSON(nil))
			} else if len(tl.Steps) == 3 {
				small++
			}
		}
	}
	if small != 5 || steps != spans || size < 2<<20 {
		t.Errorf("%d small ones; the large one has %d of %d steps, and %d bytes", small, steps, spans, size)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("it ended with %v\n%s", err, s.log)
	}
}

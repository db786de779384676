package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// agentLines are the recordings of the agents, without the truth, by file.
func agentLines(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(agents, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(f); name != "truth.jsonl" && len(b) > 0 {
			for line := range strings.Lines(string(b)) {
				out[name] = append(out[name], line)
			}
		}
	}
	if len(out) < 10 {
		t.Fatalf("%d files in %s", len(out), agents)
	}
	return out
}

func appendTo(t *testing.T, path string, lines []string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(strings.Join(lines, ""))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// metric asks a service for the sum of a metric over its labels.
func metric(t *testing.T, addr, name string) (sum int) {
	t.Helper()
	r, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{.*\})? (\d+)$`).FindAllSubmatch(b, -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// agentEvents is how many events the recordings of the agents have.
func agentEvents(t *testing.T) (n int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stats.json")
	sennit(t, "replay", agents, "-o", "none", "--stats", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var stats struct {
		Sources map[string]struct{ In, Bad, UnknownType int } `json:"sources"`
	}
	if err := json.Unmarshal(b, &stats); err != nil {
		t.Fatal(err)
	}
	for name, s := range stats.Sources {
		if n += s.In; s.Bad+s.UnknownType > 0 {
			t.Fatalf("%s has lines that are no events", name)
		}
	}
	return n
}

// waitUntil waits until a service has read so many records.
func waitUntil(t *testing.T, s *service, records int) {
	t.Helper()
	got := 0
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if got = metric(t, s.http, `sennit_records_total\{.*what="in"\}`); got >= records {
			return
		}
	}
	t.Errorf("%d of %d records are read\n%s", got, records, s.log)
}

// linesOf counts the lines in the files of a recording, the one being written too.
func linesOf(t *testing.T, dir string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "events-*.jsonl*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil && !os.IsNotExist(err) { // it has just got its name
			t.Fatal(err)
		}
		n += bytes.Count(b, []byte("\n"))
	}
	return n
}

func stop(t *testing.T, s *service) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("after SIGTERM it ended with %v\n%s", err, s.log)
	}
}

// TestRecordSurvivesKills: however often the recorder dies, what it recorded replays
// to the timelines of what was sent, and no event is in it twice.
func TestRecordSurvivesKills(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	port := freePort(t)
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	bus := startProgram(t, "natsd", filepath.Join(dir, "bus"), strconv.Itoa(port))
	p := startService(t, "processor", "--data", filepath.Join(dir, "processor"), "--nats", url, "--http", "127.0.0.1:0") // makes the streams
	n := startService(t, "node", "--data", filepath.Join(dir, "node"), "--nats", url, "--follow", filepath.Join(dir, "*.jsonl"),
		"--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0")
	events := filepath.Join(dir, "events")
	recorder := func() *service {
		return startService(t, "record", "--nats", url, "--out", events, "--max-size", "1", "--max-age", "700ms", "--http", "127.0.0.1:0")
	}
	r := recorder()
	all := agentLines(t)
	const rounds = 6
	for round := range rounds {
		for name, lines := range all {
			from, to := len(lines)*round/rounds, len(lines)*(round+1)/rounds
			appendTo(t, filepath.Join(dir, name), lines[from:to])
		}
		// It dies in the middle, however slow everything is.
		before := linesOf(t, events)
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && linesOf(t, events) == before; {
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Duration(150*round) * time.Millisecond)
		r.kill(t)
		r = recorder()
	}
	want := agentEvents(t)
	waitUntil(t, n, want)
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline) && linesOf(t, events) < want; {
		time.Sleep(100 * time.Millisecond)
	}
	for _, s := range []*service{r, n, p} {
		stop(t, s)
	}
	bus.kill(t)
	if got := linesOf(t, events); got != want {
		t.Errorf("%d events were sent, %d recorded\n%s", want, got, r.log)
	}
	if parts, _ := filepath.Glob(filepath.Join(events, "*.part")); len(parts) > 0 {
		t.Errorf("left: %s", parts)
	}
	if names, _ := filepath.Glob(filepath.Join(events, "*.jsonl")); len(names) < rounds/2 { // what was not safe at a death is written again
		t.Errorf("only %s", names)
	}
	if d := cmp.Diff(string(sennit(t, "replay", agents, "-o", "json")), string(sennit(t, "replay", events, "-o", "json"))); d != "" {
		t.Errorf("replay of what was recorded differs (-sent +recorded):\n%.3000s", d)
	}
}

// TestUpRecords: what a service with the bus inside records replays alike, packed.
func TestUpRecords(t *testing.T) {
	dir := t.TempDir()
	events := filepath.Join(dir, "events")
	t.Setenv("SENNIT_RECORD_PACK", "zst")
	up := startUp(t, filepath.Join(dir, "data"), "--record", events, "--follow", filepath.Join(dir, "*.jsonl"))
	for name, lines := range agentLines(t) {
		appendTo(t, filepath.Join(dir, name), lines)
	}
	waitUntil(t, up, agentEvents(t))
	stop(t, up)
	names, err := filepath.Glob(filepath.Join(events, "*.jsonl.zst"))
	if err != nil || len(names) != 1 {
		t.Fatalf("it wrote %s, %v\n%s", names, err, up.log)
	}
	if d := cmp.Diff(string(sennit(t, "replay", agents, "-o", "json")), string(sennit(t, "replay", events, "-o", "json"))); d != "" {
		t.Errorf("replay of what was recorded differs (-sent +recorded):\n%.3000s", d)
	}
}

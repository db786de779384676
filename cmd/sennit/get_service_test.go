package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGetAsksTheService: without a file, get and explain ask the service that runs
// here, also after it was killed and started again.
func TestGetAsksTheService(t *testing.T) {
	t.Parallel() // it waits more than it works
	data := t.TempDir()
	s := startUp(t, data)
	for n := range 3 {
		if !post(s.otlp, request(n)) {
			t.Fatal("a span was not taken")
		}
	}
	out := filepath.Join(data, "timelines.jsonl")
	waitFor(t, out, 3)
	s.kill(t)
	s = startUp(t, data)
	s.metric(t, "sennit_processor_leads 1") // it has begun
	_, last := readTimelines(t, out)
	for id, tl := range last {
		if b, err := exec.Command("sennit", "get", id, "--http", s.http, "-o", "json").CombinedOutput(); err != nil || string(b) != string(tl.AppendJSON(nil))+"\n" {
			t.Errorf("get: %v\n%s", err, b)
		}
		if b, err := exec.Command("sennit", "explain", id, "--http", s.http).CombinedOutput(); err != nil || !strings.Contains(string(b), id[:8]) {
			t.Errorf("explain: %v\n%s", err, b)
		}
	}
	if said := startRefused(t, "get", "ffff", "--http", s.http); !strings.Contains(said, `no timeline begins with "ffff"`) {
		t.Errorf("an id that is none: %s", said)
	}
	s.kill(t)
	if said := startRefused(t, "get", "ffff", "--http", s.http); !strings.Contains(said, "does 'sennit up' or 'sennit processor' run there?") {
		t.Errorf("no service: %s", said)
	}
}

package main

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/alert"
)

// TestAlertsAsksTheService: without a file, alerts asks the service that runs here,
// also after it was killed and started again; anybody else is refused.
func TestAlertsAsksTheService(t *testing.T) {
	t.Parallel() // it waits more than it works
	data := t.TempDir()
	writeFiles(t, data, map[string]string{"rules/r.yaml": `rules:
- {id: tool, title: a tool ran, severity: low, why: to see it, step: step.layer == 'tool'}
- {id: ran, title: an agent ran, severity: high, why: to see it, step: step.layer == 'agent'}
`})
	start := func() *service { return startUp(t, data, "--rules", filepath.Join(data, "rules")) }
	s := start()
	ask := func(more ...string) (list []alert.Alert) {
		t.Helper()
		b, err := exec.Command("sennit", append([]string{"alerts", "--http", s.http, "-o", "json"}, more...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("alerts %v: %v\n%s", more, err, b)
		}
		for line := range strings.Lines(string(b)) {
			var a alert.Alert
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			list = append(list, a)
		}
		return list
	}
	const requests = 3
	for n := range requests {
		if !post(s.otlp, request(n)) {
			t.Fatal("a span was not taken")
		}
	}
	waitFor(t, filepath.Join(data, "timelines.jsonl"), requests)
	var before []alert.Alert
	for deadline := time.Now().Add(time.Minute); len(before) < 2*requests && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		before = ask()
	}
	of := map[string]int{}
	for i := range before {
		of[before[i].RuleID+" "+string(before[i].State)]++
		if i > 0 && before[i].Time < before[i-1].Time {
			t.Errorf("alert %d is older than the one before it", i)
		}
	}
	if len(before) != 2*requests || of["tool open"] != requests || of["ran open"] != requests {
		t.Errorf("%d alerts: %v, want %d of each rule", len(before), of, requests)
	}
	if list := ask("--severity", "high"); len(list) != requests || list[0].RuleID != "ran" {
		t.Errorf("of high severity: %+v", list)
	}
	if list := ask("--state", "withdrawn"); len(list) != 0 {
		t.Errorf("withdrawn: %+v", list)
	}
	b, err := exec.Command("sennit", "alerts", "--http", s.http, "--rule", "tool").CombinedOutput()
	if err != nil || strings.Count(string(b), "a tool ran") != requests || strings.Contains(string(b), "an agent ran") {
		t.Errorf("as a table: %v\n%s", err, b)
	}
	r, err := http.Get("http://" + s.http + "/alerts") // as a page in a browser would
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("somebody else gets %s", r.Status)
	}
	s.kill(t)
	s = start()
	s.metric(t, "sennit_processor_leads 1") // it has begun
	after := ask()
	if len(after) != len(before) {
		t.Fatalf("%d alerts after a kill, want %d", len(after), len(before))
	}
	for i := range after {
		if string(after[i].AppendJSON(nil)) != string(before[i].AppendJSON(nil)) {
			t.Errorf("after a kill %s, want %s", after[i].AppendJSON(nil), before[i].AppendJSON(nil))
		}
	}
	s.kill(t)
	if said := startRefused(t, "alerts", "--http", s.http); !strings.Contains(said, "does 'sennit up' or 'sennit processor' run there?") {
		t.Errorf("no service: %s", said)
	}
}

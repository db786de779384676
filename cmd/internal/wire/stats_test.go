package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/event"
)

func balanced() *Stats {
	r := &replay.Result{}
	r.Sources[event.SourceHubble] = replay.SourceCount{Tally: ingest.Tally{In: 10, Bad: 2, UnknownType: 1}, LostUpstream: 4}
	r.Sources[event.SourceOTLP] = replay.SourceCount{Tally: ingest.Tally{In: 5}}
	s := newStats(r)
	s.Events.In, s.Events.Derived = 12, 3
	s.Events.Joined, s.Events.Ambiguous, s.Events.Ambient, s.Events.Control = 5, 1, 4, 2
	s.Events.Duplicate, s.Events.Late = 1, 1
	s.Events.Dropped["limit"] = 1
	return s
}

func TestLaws(t *testing.T) {
	f := func(change func(*Stats), broken int) {
		t.Helper()
		s := balanced()
		change(s)
		if got := s.Check(); len(got) != broken {
			t.Errorf("%d laws broken, want %d: %q", len(got), broken, got)
		}
	}
	f(func(*Stats) {}, 0)
	f(func(s *Stats) { s.Events.In++ }, 2)
	f(func(s *Stats) { s.Events.Joined++ }, 1)
	f(func(s *Stats) { s.Events.Derived-- }, 1)
	f(func(s *Stats) { s.Events.Dropped["limit"]++ }, 1)
	f(func(s *Stats) { s.Events.Held, s.Events.Ambient = 1, 3 }, 1)
	f(func(s *Stats) { s.Sources["otlp"] = SourceStats{In: 6} }, 1)
}

// The names of the counters are a contract.
func TestStatsNames(t *testing.T) {
	var out bytes.Buffer
	if err := balanced().Write(&out); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	f := func(path string, want ...string) {
		t.Helper()
		at := got
		for _, name := range strings.Fields(path) {
			at = at[name].(map[string]any)
		}
		var names []string
		for name := range at {
			names = append(names, name)
		}
		slices.Sort(names)
		slices.Sort(want)
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("names under %q (-want +got):\n%s", path, diff)
		}
	}
	f("", "elapsed_s", "cpu_s", "max_rss_bytes", "sources", "events", "timelines", "joins")
	f("sources", "unknown", "k8s", "socket", "tetragon", "hubble", "otlp", "gcp")
	f("sources hubble", "in", "bad", "unknown_type", "lost_upstream")
	f("events", "in", "derived", "joined", "ambiguous", "ambient", "control", "duplicate", "late", "held", "dropped")
	f("timelines", "closed", "open", "revised", "superseded")
	f("joins", "trace_context", "span_peer", "span_socket", "socket_cookie", "sock_address", "five_tuple", "exec_lineage", "response_id", "goroutine")
}

func TestSummary(t *testing.T) {
	r := &replay.Result{
		Files: []replay.File{{Path: "a.json"}, {Path: "b\x1b[31m.gz", Events: 7, Err: bytes.ErrTooLarge}},
		Bad:   []replay.Problem{{Path: "a.json", Line: 3, Why: "not \x1b[2J JSON"}},
	}
	for range 14 {
		r.Skipped = append(r.Skipped, replay.Skipped{Path: "truth.jsonl", Why: "ground truth"})
	}
	s := balanced()
	s.Events.Held = 1
	var out bytes.Buffer
	writeSummary(&out, s, r)
	for _, want := range []string{
		"12 events from 2 files and 2 sources",
		"hubble    in 10  bad 2  unknown_type 1  lost_upstream 4",
		"ambient 4  control 2  duplicate 1  late 1  held 1  dropped limit 1",
		`a.json:3: not \x1b[2J JSON`,
		`b\x1b[31m.gz was not read to its end: bytes.Buffer: too large (7 events before that count)`,
		"… and 4 more files",
		"2 records could not be read, the first 1:",
		"this is a bug in sennit: 1 events are still held at the end",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("summary lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("escape sequence in the summary: %q", out.String())
	}
}

package wire

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/schemas/timeline/timelinetest"
	"github.com/sennit-io/sennit/testdata/recordings"
)

// replayed runs a replay and returns its timelines and counters, having checked
// the schema and both laws of conservation.
func replayed(t *testing.T, paths ...string) ([]timeline.Timeline, *Stats) {
	t.Helper()
	stats := filepath.Join(t.TempDir(), "stats.json")
	var out bytes.Buffer
	err := Replay(t.Context(), Options{
		Replay: replay.Options{Paths: paths}, Form: JSON, Out: &out, StatsFile: stats, Messages: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	timelinetest.Validate(t, out.Bytes())
	var all []timeline.Timeline
	for dec := json.NewDecoder(&out); dec.More(); {
		var one timeline.Timeline
		if err := dec.Decode(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	s := readStats(t, stats)
	if broken := s.Check(); len(broken) > 0 {
		t.Errorf("counters do not balance: %v", broken)
	}
	if s.Events.Held != 0 {
		t.Errorf("%d events are still held at the end", s.Events.Held)
	}
	return all, s
}

func TestReplayRecordings(t *testing.T) {
	dir := recordings.Dir(t)
	for _, source := range []string{"hubble", "tetragon"} {
		_, s := replayed(t, filepath.Join(dir, source))
		if got := s.Sources[source]; got.In == 0 || got.Bad != 0 {
			t.Errorf("%s: %+v, want no bad record", source, got)
		}
		if got := s.Sources["unknown"]; got.In != 0 {
			t.Errorf("%s: %d records of no known source", source, got.In)
		}
	}
	if _, s := replayed(t, filepath.Join(dir, "tetragon")); s.Sources["tetragon"].UnknownType != 11 {
		t.Errorf("tetragon: unknown_type %d, want the 11 enterprise events", s.Sources["tetragon"].UnknownType)
	}
	for _, source := range []string{"otel-adk", "gcp"} {
		_, s := replayed(t, filepath.Join(dir, source))
		if s.Events.In == 0 {
			t.Errorf("%s: no events", source)
		}
	}
}

func TestReplayADKRuns(t *testing.T) {
	dir := filepath.Join(recordings.Dir(t), "adk-truth")
	f := func(name string, timelines, models int) {
		t.Helper()
		got, _ := replayed(t, filepath.Join(dir, name))
		if len(got) != timelines {
			t.Errorf("%s: %d timelines, want %d", name, len(got), timelines)
		}
		calls := 0
		for i := range got {
			tl := &got[i]
			for j := range tl.Steps {
				if tl.Steps[j].Layer == timeline.LayerModel {
					calls++
				}
			}
			if len(tl.Agents) == 0 || len(tl.Models) == 0 || tl.Tokens.Input == 0 || tl.Tokens.Output == 0 {
				t.Errorf("%s: timeline %s lacks agents %v, models %v or tokens %v", name, tl.ID, tl.Agents, tl.Models, tl.Tokens)
			}
			for _, tool := range tl.Tools {
				if tool == "transfer_to_agent" || tool == "(merged tools)" {
					t.Errorf("%s: timeline %s counts %s as a tool", name, tl.ID, tool)
				}
			}
		}
		if calls != models {
			t.Errorf("%s: %d model calls, want %d", name, calls, models)
		}
	}
	f("adk-go-gemini.jsonl", 300, 975)
	f("adk-go-gsse.jsonl", 100, 325)
	f("adk-go-vertex.jsonl", 300, 975)
	f("adk-go-nohttp.jsonl", 60, 195)
	f("adk-go-gq8.jsonl", 300, 975)
}

func readStats(t *testing.T, file string) *Stats {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s Stats
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/cmd/internal/score"
	"github.com/sennit-io/sennit/cmd/internal/wire"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/schemas/timeline/timelinetest"
)

const agents = "../../testdata/agents"

// sennit runs a command line in this process and returns what it wrote to
// standard output.
func sennit(t *testing.T, args ...string) []byte {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := run(context.Background(), args, strings.NewReader(""), &out, &errOut); code != exitOK {
		t.Fatalf("sennit %s: exit code %d\n%s", strings.Join(args, " "), code, errOut.Bytes())
	}
	return out.Bytes()
}

// TestAgentsRegenerate: the recording is what the command in its README makes.
func TestAgentsRegenerate(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(agents, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	const prefix, folder = "go run ./cmd/sennit ", "testdata/agents"
	var args []string
	for _, block := range shellBlocks(string(readme)) {
		if line, ok := strings.CutPrefix(block[0], prefix+"simulate "); ok {
			args = append([]string{"simulate"}, strings.Fields(line)...)
		}
	}
	i := slices.Index(args, folder)
	if i < 0 {
		t.Fatalf("README names no command that makes %s", folder)
	}
	args[i] = t.TempDir()
	if *update {
		args[i] = agents
	}
	sennit(t, args...)
	want, got := files(t, args[i]), files(t, agents)
	delete(want, "README.md")
	delete(got, "README.md")
	size := 0
	for name, data := range got {
		size += len(data)
		if !bytes.Equal(data, want[name]) {
			t.Errorf("%s is not what %q writes", name, strings.Join(args, " "))
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if size >= 1<<20 {
		t.Errorf("the recording has %d bytes, want less than 1 MiB", size)
	}
}

func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = data
	}
	return out
}

// TestAgents: the recording tells its four stories, every step of them joined
// rightly, and no event is unaccounted for.
func TestAgents(t *testing.T) {
	statsFile := filepath.Join(t.TempDir(), "stats.json")
	lines := sennit(t, "replay", "-o", "json", "--stats", statsFile, agents)
	if n := timelinetest.Validate(t, lines); n != 12 {
		t.Fatalf("%d timelines, want 12", n)
	}
	stories := readStories(t, lines)

	t.Run("answered", func(t *testing.T) {
		answered := stories.all(func(s *story) bool {
			return s.Request.Status == 200 && !slices.ContainsFunc(s.Steps, func(st timeline.Step) bool { return st.Status != timeline.OK })
		})
		if len(answered) < 5 {
			t.Fatalf("%d requests are answered without any trouble, want at least 5", len(answered))
		}
		for _, l := range []timeline.Layer{
			timeline.LayerEdge, timeline.LayerServer, timeline.LayerHTTP, timeline.LayerAgent, timeline.LayerModel, timeline.LayerTool,
			timeline.LayerNetwork,
		} {
			if !slices.ContainsFunc(answered, func(s *story) bool { return s.find(l, "") != nil }) {
				t.Errorf("none of them has a step of layer %s", l)
			}
		}
		for _, s := range answered {
			if len(s.Agents) == 0 || len(s.Models) == 0 || s.Tokens.Input == 0 || s.Tokens.Output == 0 {
				t.Errorf("%s: agents %v, models %v, tokens %+v", s.ID, s.Agents, s.Models, s.Tokens)
			}
		}
	})

	t.Run("unclaimed", func(t *testing.T) {
		s := stories.only(t, func(s *story) bool { return s.find(timeline.LayerProcess, timeline.Unclaimed) != nil })
		p := s.find(timeline.LayerProcess, timeline.Unclaimed)
		want(t, p, "/bin/sh", timeline.TraceContext)
		if s.above(p, timeline.LayerTool) != nil || s.above(p, timeline.LayerServer) == nil {
			t.Errorf("the process is below %v, want below the agent's server and no tool", s.path(p))
		}
		file := s.find(timeline.LayerFile, "")
		if file == nil || file.ParentID != p.ID {
			t.Fatalf("the file the process read is not below it: %+v", file)
		}
		want(t, file, "security_file_permission /var/run/secrets/kubernetes.io/serviceaccount/token", timeline.ExecLineage)
	})

	t.Run("stopped at the edge", func(t *testing.T) {
		s := stories.only(t, func(s *story) bool { return s.find(timeline.LayerEdge, timeline.Denied) != nil })
		if len(s.Steps) != 1 || s.Request.Status != 403 {
			t.Errorf("%d steps with status %d, want the edge alone with 403", len(s.Steps), s.Request.Status)
		}
	})

	t.Run("egress denied", func(t *testing.T) {
		s := stories.only(t, func(s *story) bool { return s.find(timeline.LayerPolicy, timeline.Denied) != nil })
		p := s.find(timeline.LayerPolicy, timeline.Denied)
		want(t, p, "dropped 169.254.169.254:80", timeline.FiveTuple)
		for _, l := range []timeline.Layer{timeline.LayerProcess, timeline.LayerTool, timeline.LayerAgent, timeline.LayerServer, timeline.LayerEdge} {
			if s.above(p, l) == nil {
				t.Errorf("the denial is below %v, want a step of layer %s there", s.path(p), l)
			}
		}
		if tool := s.above(p, timeline.LayerTool); tool != nil && tool.Name != "execute_tool run_command" {
			t.Errorf("the denial is below the tool %q", tool.Name)
		}
		text := string(sennit(t, "replay", agents))
		if short, _, _ := strings.Cut(text, "  "); !strings.HasPrefix(s.ID, short) {
			t.Errorf("drawn in full is %s, want %s", short, s.ID)
		}
		if n := strings.Count(text, "\n"); n > 45 {
			t.Errorf("the screen has %d lines, want at most 45", n)
		}
		for _, told := range []string{"unclaimed /bin/sh", "403", "agents researcher"} {
			if !strings.Contains(text, told) {
				t.Errorf("the first screen does not say %q:\n%s", told, text)
			}
		}
	})

	t.Run("accounts", func(t *testing.T) {
		data, err := os.ReadFile(statsFile)
		if err != nil {
			t.Fatal(err)
		}
		var stats wire.Stats
		if err := json.Unmarshal(data, &stats); err != nil {
			t.Fatal(err)
		}
		if broken := stats.Check(); len(broken) > 0 {
			t.Errorf("conservation laws are broken: %v", broken)
		}
		e := stats.Events
		if e.Joined == 0 || e.Duplicate+e.Late+e.Held != 0 || len(e.Dropped) != 0 {
			t.Errorf("fates %+v, want no event that is duplicate, late, held or dropped", e)
		}
		if e.Ambiguous > e.Joined/20 {
			t.Errorf("fates %+v, want few that are ambiguous", e)
		}
	})

	t.Run("score", func(t *testing.T) {
		truth, err := os.Open(filepath.Join(agents, "truth.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		defer truth.Close()
		r, err := score.Run(truth, bytes.NewReader(lines))
		if err != nil {
			t.Fatal(err)
		}
		type figures struct {
			Precision, Inferred, Recall      float64
			MisStitch                        float64
			Fragmented, Requests, Duplicates int
		}
		got := figures{r.Exact.Precision, r.Inferred.Precision, r.Exact.Recall, r.MisStitch, r.Fragmented, r.Requests, r.DuplicateSteps + r.DuplicateTimelines}
		if diff := cmp.Diff(figures{Precision: 1, Inferred: 1, Recall: 1, Requests: 12}, got); diff != "" || r.Exact.Possible == 0 {
			t.Errorf("score (-want +got, %d facts could be joined exactly):\n%s", r.Exact.Possible, diff)
		}
	})
}

// story is a timeline as a reader of its JSON sees it.
type story struct{ timeline.Timeline }

type storyList []*story

func readStories(t *testing.T, lines []byte) storyList {
	t.Helper()
	var out storyList
	for line := range bytes.Lines(lines) {
		s := &story{}
		if err := json.Unmarshal(line, &s.Timeline); err != nil {
			t.Fatalf("read timeline: %v", err)
		}
		out = append(out, s)
	}
	return out
}

func (l storyList) all(match func(*story) bool) storyList {
	return slices.DeleteFunc(slices.Clone(l), func(s *story) bool { return !match(s) })
}

// only returns the one story that matches.
func (l storyList) only(t *testing.T, match func(*story) bool) *story {
	t.Helper()
	found := l.all(match)
	if len(found) != 1 {
		t.Fatalf("%d of the %d timelines tell this story, want one", len(found), len(l))
	}
	return found[0]
}

// find returns the first step of a layer, with a status unless that is empty.
func (s *story) find(l timeline.Layer, status timeline.Status) *timeline.Step {
	for i := range s.Steps {
		if st := &s.Steps[i]; st.Layer == l && (status == "" || st.Status == status) {
			return st
		}
	}
	return nil
}

// path names the steps above a step, the nearest first.
func (s *story) path(st *timeline.Step) (names []string) {
	for st = s.parent(st); st != nil; st = s.parent(st) {
		names = append(names, string(st.Layer)+" "+st.Name)
	}
	return names
}

// above returns the nearest step of a layer above a step.
func (s *story) above(st *timeline.Step, l timeline.Layer) *timeline.Step {
	for st = s.parent(st); st != nil && st.Layer != l; st = s.parent(st) {
	}
	return st
}

func (s *story) parent(st *timeline.Step) *timeline.Step {
	for i := range s.Steps {
		if st.ParentID != "" && s.Steps[i].ID == st.ParentID {
			return &s.Steps[i]
		}
	}
	return nil
}

func want(t *testing.T, st *timeline.Step, name, method string) {
	t.Helper()
	if st.Name != name || st.Join.Method != method || !st.Join.Exact || st.Join.Confidence != 1 {
		t.Errorf("step %q is joined by %+v, want %q, exactly by %s", st.Name, st.Join, name, method)
	}
}

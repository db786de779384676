package live

import (
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/schemas/event"
)

// What was read and not decided when the program died is decided anew, and nothing of
// what was committed is told again: whatever turn the death came behind.
func TestRecoveryDecidesWhatWasNotCommitted(t *testing.T) {
	js := bustest.Start(t)
	rules, err := detect.Load(fstest.MapFS{"r.yaml": {Data: []byte(`rules:
- {id: ran, title: it ran, severity: low, why: to be told once, step: step.name == 'run'}
- {id: calm, title: no tool was used, severity: low, why: to be withdrawn, request: request.tool_calls == 0}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	open := func(dir string) *Processor {
		t.Helper()
		p, err := NewProcessor(js, NewMetrics(prometheus.NewRegistry()), Options{
			Dir: dir, Shards: 2, Window: window.Default(), Rules: rules, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// Requests that close in turn, each with a tool that comes when it has closed.
	const turns = 24
	begin := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	jobs := func() (list []job) {
		for n := range turns {
			now := begin.Add(time.Duration(n) * 20 * time.Second)
			b := new(event.Batch)
			add := func(of int, stage event.Stage, name string, at time.Time) {
				if of < 0 {
					return
				}
				e := b.Add(event.KindSpan, event.SourceOTLP)
				s := b.NewSpan()
				s.TraceID, s.SpanID, s.Name, s.Stage, s.Kind, s.Start = event.TraceID{1, 15: byte(of)}, event.SpanID{byte(stage), 7: byte(of)}, name, stage, event.SpanKindServer, event.At(at.Add(-time.Second))
				if stage == event.StageTool {
					s.ParentID = event.SpanID{byte(event.StageHTTP), 7: byte(of)}
				}
				e.ID, e.Node, e.Time, e.Observed, e.Payload = event.ID{byte(stage), 15: byte(of)}, "n", event.At(at), event.At(now), s
			}
			add(n, event.StageHTTP, "run", now)
			add(n-6, event.StageTool, "execute_tool t", begin.Add(time.Duration(n-6)*20*time.Second-time.Millisecond))
			list = append(list, job{turn: uint64(n + 1), pushes: []disk.Push{{Now: event.At(now), Events: b.Events}}})
		}
		return list
	}
	said := func(outcomes []*outcome) (list []string) {
		for _, o := range outcomes {
			if o.err != nil {
				t.Fatal(o.err)
			}
		}
		for _, r := range (&Processor{outcomes: outcomes}).resultsOf() {
			list = append(list, r.ID)
		}
		return list
	}
	whole := open(filepath.Join(t.TempDir(), "whole"))
	defer whole.Close()
	var outcomes []*outcome
	for _, j := range jobs() {
		outcomes = append(outcomes, whole.decider.decide(j))
	}
	if n := len(said(outcomes)); n < 2*turns {
		t.Fatalf("only %d results", n)
	}

	for decided := range turns + 1 {
		dir := filepath.Join(t.TempDir(), "state")
		p := open(dir)
		for n, j := range jobs() {
			p.at.Decided, p.at.Now = uint64(min(decided, n)), j.pushes[0].Now
			p.outcomes = nil
			if 0 < n && n <= decided {
				p.outcomes = outcomes[n-1 : n : n]
			}
			if decided == turns && n == turns-1 { // the last one came to an end too
				p.at.Decided, p.outcomes = turns, outcomes[n-1:n+1:n+1]
			}
			if _, err := p.store.Turn(disk.Turn{Pushes: j.pushes, At: p.at, Results: p.resultsOf()}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		p = open(dir)
		got, want := said(p.outcomes), said(outcomes[decided:])
		// How many turns are committed at once orders results of two kinds, no more.
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("with %d of %d turns decided recovery tells (-want +got):\n%s", decided, turns, d)
		}
		if len(got) == 0 && p.at.Decided != turns {
			t.Errorf("with nothing left to tell %d turns are decided, want %d", p.at.Decided, turns)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

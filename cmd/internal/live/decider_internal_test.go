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
	"github.com/sennit-io/sennit/ingest/bus"
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

// After hours without a message the first one is committed, and the program dies before
// it is decided: what it closes is decided after the restart, from turns that had left
// their retention by the clock of that message.
func TestRecoveryAfterALongSilence(t *testing.T) {
	js := bustest.Start(t)
	dir := filepath.Join(t.TempDir(), "state")
	p := processorIn(t, js, dir)
	begin := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	// feed commits a span of a trace, and decides it unless the program dies before.
	feed := func(trace byte, after time.Duration, decide bool) {
		t.Helper()
		now := event.At(begin.Add(after))
		b := new(event.Batch)
		e := b.Add(event.KindSpan, event.SourceOTLP)
		s := b.NewSpan()
		s.TraceID, s.SpanID, s.Name, s.Stage, s.Kind, s.Start = event.TraceID{1, 15: trace}, event.SpanID{trace}, "run", event.StageHTTP, event.SpanKindServer, now.Add(-time.Second)
		e.ID, e.Node, e.Time, e.Observed, e.Payload = event.ID{trace}, "n", now, now, s
		one := turn{p: p, count: 1, pushes: []disk.Push{{Now: now, Events: b.Events}}}
		p.now, p.at.Now = now, now
		if err := one.commit(one.pushes); err != nil {
			t.Fatal(err)
		}
		if decide {
			p.wasDecided(p.decider.decide(job{turn: p.at.Turn, pushes: one.pushes}))
		}
		if err := p.store.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	w := window.Default()
	gap := w.Longest + w.Retention + w.AgentHorizon + time.Hour
	feed(1, 0, true)
	feed(2, 20*time.Second, true)
	for i := range 4 { // each a file
		feed(byte(3+i), time.Duration(i+1)*gap, false)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = processorIn(t, js, dir)
	defer p.Close()
	got := map[string]bool{}
	for _, r := range p.resultsOf() {
		got[r.Of] = true
	}
	for trace := range byte(5) { // the last one is still open
		if id := (event.TraceID{1, 15: trace + 1}).String(); !got[id] {
			t.Errorf("nothing is told of %s", id)
		}
	}
}

// Time alone closes requests: it is not written while nothing comes of it, and what comes
// of it is committed with it.
func TestTicksAreDecidedAtOnce(t *testing.T) {
	js := bustest.Start(t)
	dir := filepath.Join(t.TempDir(), "state")
	p := processorIn(t, js, dir)
	p.decider.start()
	begin := time.Now()
	work := func(after time.Duration, events int) {
		t.Helper()
		b := new(event.Batch)
		for range events {
			e := b.Add(event.KindSpan, event.SourceOTLP)
			s := b.NewSpan()
			s.TraceID, s.SpanID, s.Name, s.Stage, s.Kind, s.Start = event.TraceID{1}, event.SpanID{1}, "run", event.StageHTTP, event.SpanKindServer, event.At(begin)
			e.ID, e.Node, e.Time, e.Observed, e.Payload = event.ID{1}, "n", event.At(begin), event.At(begin), s
		}
		m := &bus.Message{Sequence: p.at.Sequence + 1, Stored: begin.Add(after), Tick: events == 0}
		one := turn{p: p, reader: new(bus.Reader), last: m}
		one.push(m, b, false)
		if err := one.work(); err != nil {
			t.Fatal(err)
		}
		for p.deciding > 0 {
			p.awaitDecided()
		}
	}
	work(0, 1)
	p.commit = time.Now()
	for s := range 30 {
		work(time.Duration(s+1)*time.Second, 0)
	}
	if p.at.Turn != 1 {
		t.Errorf("ticks of which nothing came made %d turns", p.at.Turn-1)
	}
	work(10*time.Minute, 0) // it closes
	if p.at.Turn != 2 || p.at.Decided != 2 || len(p.outcomes) != 0 {
		t.Errorf("turn %d, decided up to %d, %d outcomes wait", p.at.Turn, p.at.Decided, len(p.outcomes))
	}
	p.pending = 7 // as when reading waits for sending: nobody asked
	if err := p.catchUp(); err != nil || p.pending != 7 {
		t.Errorf("%d messages are pending, %v", p.pending, err)
	}
	p.decider.stop()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = processorIn(t, js, dir)
	defer p.Close()
	if len(p.outcomes) != 0 {
		t.Errorf("after a restart %d results are decided again", len(p.resultsOf()))
	}
	n := 0
	if err := p.Timelines("", func([]byte) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d timelines, %v", n, err)
	}
}

package score

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sennit-io/sennit/cmd/internal/simulate"
	"github.com/sennit-io/sennit/correlate/bind"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/racetest"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// collected keeps the last revision of each timeline.
type collected map[string]*timeline.Timeline

func (c collected) Timeline(t *timeline.Timeline) { c[t.ID] = t }
func (collected) Unmatched(*shard.Unmatched)      {}

// exact is an engine that makes no inferred join, whole or broken.
func exact(broken bind.Ablation) shard.Config {
	cfg := shard.DefaultConfig()
	cfg.Ablate, cfg.Window.Confidence = broken, never
	return cfg
}

// never is a confidence that no join has.
const never = 2

// scoreEngine runs an engine over a simulated cluster.
func scoreEngine(t *testing.T, dir string, cfg shard.Config) *Report {
	t.Helper()
	r, _ := scoreOrder(t, dir, replay.OrderEvent, cfg)
	return r
}

// scoreOrder takes the events in an order and returns the timelines as well, by
// id.
func scoreOrder(t *testing.T, dir string, order replay.Order, cfg shard.Config) (*Report, collected) {
	t.Helper()
	out := collected{}
	eng := shard.New(cfg, out)
	_, err := replay.Run(context.Background(), replay.Options{Paths: []string{dir}, Order: order}, func(b *event.Batch, now event.Time) error {
		eng.Push(b, now)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eng.Close()
	ids := make([]string, 0, len(out))
	for id := range out {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var lines bytes.Buffer
	for _, id := range ids {
		lines.Write(append(out[id].AppendJSON(nil), '\n'))
	}
	truth, err := os.Open(filepath.Join(dir, "truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer truth.Close()
	r, err := Run(truth, &lines)
	if err != nil {
		t.Fatal(err)
	}
	return r, out
}

// TestDisturbed: skewed clocks, losses, duplicates and lines in any order lead
// to no wrong exact join, in whatever order the events arrive, and the timelines say
// where something is missing.
func TestDisturbed(t *testing.T) {
	worlds := []simulate.Options{
		{Requests: racetest.Size(300, 100), Concurrency: 64, Seed: 1, Reorder: 1, Loss: 0.01, Duplicate: 0.02, Skew: 50 * time.Millisecond},
		{Requests: 150, Concurrency: 64, Seed: 2, Reorder: 1, Loss: 0.02, Duplicate: 0.05, Skew: 200 * time.Millisecond, Late: 0.1, Noise: 1, Rogue: 0.2, TraceContext: simulate.TraceMixed},
	}
	for _, world := range worlds[:racetest.Size(2, 1)] {
		dir := t.TempDir()
		if _, err := simulate.Run(context.Background(), world, dir); err != nil {
			t.Fatal(err)
		}
		var first collected
		for _, order := range []replay.Order{replay.OrderEvent, replay.OrderArrival} {
			r, timelines := scoreOrder(t, dir, order, exact(bind.Ablation{}))
			gaps := 0
			for id, tl := range timelines {
				gaps += len(tl.Completeness.Gaps)
				if first != nil && (first[id] == nil || !bytes.Equal(tl.AppendJSON(nil), first[id].AppendJSON(nil))) {
					t.Errorf("timeline %s depends on the order of arrival", id)
				}
			}
			first = timelines
			t.Logf("exact precision %v, recall %v, mis-stitched %v, %d facts lost, %d gaps", r.Exact.Precision, r.Exact.Recall, r.MisStitch, r.Lost, gaps)
			if r.Exact.Precision < 1 || r.MisStitch > 0 || r.Exact.N == 0 {
				t.Errorf("%v: wrong joins: %+v, mis-stitched %v", order, r.Exact, r.MisStitch)
			}
			whole := scoreEngine(t, dir, shard.DefaultConfig())
			t.Logf("with inferred joins: precision %v of %d, mis-stitched %v", whole.Inferred.Precision, whole.Inferred.N, whole.MisStitch)
			if whole.Exact.Precision < 1 || whole.Inferred.Precision < 0.98 || whole.Inferred.N == 0 || whole.MisStitch > 0.005 {
				t.Errorf("%v: with inferred joins %+v, %+v, mis-stitched %v", order, whole.Exact, whole.Inferred, whole.MisStitch)
			}
			if r.Lost == 0 || gaps == 0 {
				t.Errorf("%v: %d facts lost, and %d gaps drawn", order, r.Lost, gaps)
			}
		}
	}
}

// TestBrokenEngines: the scorer is worth something. Engines broken on purpose,
// one rule each, lose at least five points of the figure that the rule is for,
// in a world where it matters.
func TestBrokenEngines(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this runs eight engines")
	}
	recall := func(method string) func(*Report) float64 {
		return func(r *Report) float64 { return r.ByMethod[method].Recall }
	}
	worlds := []struct {
		trace   simulate.TraceContext
		engines []brokenEngine
	}{
		{simulate.TraceNone, []brokenEngine{
			// What the nearest span claims is wrong, or contradicts what else is known.
			{"nearest span", bind.Ablation{NearestSpan: true}, func(r *Report) float64 { return 1 - r.MisStitch - r.Ambiguous }},
		}},
		{simulate.TraceAll, []brokenEngine{
			{"sock addresses never expire", bind.Ablation{NoSockExpiry: true}, recall(timeline.SockAddress)},
			{"no dedupe", bind.Ablation{NoDedupe: true}, func(r *Report) float64 { return r.Exact.Recall }},
			{"trace = request", bind.Ablation{TraceIsRequest: true}, func(r *Report) float64 { return r.Exact.Precision }},
		}},
		{simulate.TraceMixed, []brokenEngine{{"no intervals", bind.Ablation{NoIntervals: true}, recall(timeline.ExecLineage)}}},
	}
	for _, world := range worlds[:racetest.Size(3, 1)] {
		dir := t.TempDir()
		_, err := simulate.Run(context.Background(), simulate.Options{
			Requests: racetest.Size(160, 60), Concurrency: 64, TraceContext: world.trace, Noise: 0.5, Rogue: 0.1, Duplicate: 0.2, Seed: 3,
		}, dir)
		if err != nil {
			t.Fatal(err)
		}
		whole := scoreEngine(t, dir, exact(bind.Ablation{}))
		t.Logf("%s, whole: exact precision %v, recall %v, mis-stitched %v", world.trace, whole.Exact.Precision, whole.Exact.Recall, whole.MisStitch)
		if whole.Exact.Precision < 1 || whole.Exact.Recall < 1 || whole.MisStitch > 0 {
			t.Errorf("%s: the whole engine joins wrongly, or less than is possible: %+v, mis-stitched %v", world.trace, whole.Exact, whole.MisStitch)
		}
		whole = scoreEngine(t, dir, shard.DefaultConfig())
		for _, e := range world.engines {
			cfg := shard.DefaultConfig()
			cfg.Ablate = e.broken
			got, want := e.figure(scoreEngine(t, dir, cfg)), e.figure(whole)
			t.Logf("%s, %s: %v, whole %v", world.trace, e.name, got, want)
			if got > want-0.05 {
				t.Errorf("%s: an engine with %q scores %v, the whole one %v", world.trace, e.name, got, want)
			}
		}
	}
}

// brokenEngine is an engine without one rule, and the figure that shows it.
type brokenEngine struct {
	name   string
	broken bind.Ablation
	figure func(*Report) float64
}

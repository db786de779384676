package shard_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate/enginetest"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/racetest"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// rounds calls f with many random clusters. The seed of a failure is in the
// test's name; SENNIT_SEED=n runs that one alone, SENNIT_ROUNDS=n so many.
func rounds(t *testing.T, n int, f func(t *testing.T, seed uint64, rng *rand.Rand, events []event.Event)) {
	t.Helper()
	first := uint64(1)
	if v, err := strconv.ParseUint(os.Getenv("SENNIT_SEED"), 10, 64); err == nil {
		first, n = v, 1
	} else if v, err := strconv.Atoi(os.Getenv("SENNIT_ROUNDS")); err == nil {
		n = v
	}
	if testing.Short() {
		n = min(n, 10)
	}
	n = racetest.Size(n, max(min(n, 6), n/4))
	for seed := first; seed < first+uint64(n); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			f(t, seed, rng, enginetest.Random(rng, shapeOf(rng)))
		})
	}
}

func shapeOf(rng *rand.Rand) enginetest.Shape {
	s := enginetest.Shape{
		Name: "c", Octet: 1, Nodes: 1 + rng.IntN(4), Requests: 1 + rng.IntN(40), Span: time.Duration(1+rng.IntN(120)) * time.Second,
		Grain: []time.Duration{time.Nanosecond, time.Millisecond, 100 * time.Millisecond, time.Second}[rng.IntN(4)],
		Drop:  []float64{0, 0, 0.02, 0.2}[rng.IntN(4)],
		Reuse: 0.15,
	}
	if rng.IntN(2) == 0 {
		s.Skew = time.Duration(1 + rng.IntN(int(300*time.Millisecond)))
	}
	return s
}

// windowOf is the design's windows, or short ones: with these everything is
// forgotten while the cluster still runs.
func windowOf(seed uint64) window.Config {
	cfg := window.Default()
	if seed%2 == 0 {
		cfg.Horizon, cfg.AgentHorizon = 10*time.Second, 20*time.Second
		cfg.Silence, cfg.Retention = 15*time.Second, 30*time.Second
	}
	return cfg
}

// feed gives events to an engine in batches that are cut anywhere, with the
// newest event time as now, and returns what came of them.
func feed(t *testing.T, cfg shard.Config, events []event.Event, rng *rand.Rand) (*recorder, *shard.Engine) {
	t.Helper()
	out := newRecorder(t)
	e := shard.New(cfg, out)
	now, in := event.Time(0), 0
	for in < len(events) {
		n := min(len(events)-in, 1+rng.IntN(60))
		b := &event.Batch{Events: slices.Clone(events[in : in+n])}
		in += n
		for i := range b.Events {
			now = max(now, b.Events[i].Time)
		}
		e.Push(b, now)
		conserved(t, e, uint64(in), false)
	}
	e.Close()
	conserved(t, e, uint64(in), true)
	return out, e
}

// sorted returns the events in canonical order.
func sorted(events []event.Event) []event.Event {
	events = slices.Clone(events)
	slices.SortFunc(events, func(a, b event.Event) int { return event.Compare(&a, &b) })
	return events
}

// delayed returns the events in an order in which they may arrive: each up to
// a bound later than its time.
func delayed(events []event.Event, rng *rand.Rand, bound time.Duration) []event.Event {
	type arrival struct {
		e  event.Event
		at event.Time
	}
	list := make([]arrival, len(events))
	for i, e := range events {
		list[i] = arrival{e, e.Time.Add(time.Duration(rng.Int64N(int64(bound))))}
	}
	slices.SortFunc(list, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	out := make([]event.Event, len(list))
	for i := range list {
		out[i] = list[i].e
	}
	return out
}

func inOrder(seed uint64) shard.Config {
	cfg := shard.Config{Shards: 1, Window: windowOf(seed)}
	cfg.Window.InOrder = true
	return cfg
}

func same(t *testing.T, what string, want, got *recorder) {
	t.Helper()
	a, b := bytes.Split(want.json(), []byte("\n")), bytes.Split(got.json(), []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			at := 0 // the first byte that differs
			for at < min(len(a[i]), len(b[i])) && a[i][at] == b[i][at] {
				at++
			}
			t.Fatalf("%s: timeline %d of %d is\n%s\nwant\n%s\nit differs at\n%.300s\nwant\n%.300s", what, i, len(a)-1,
				b[i], a[i], b[i][max(0, at-60):], a[i][max(0, at-60):])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("%s: %d timelines, want %d", what, len(b)-1, len(a)-1)
	}
}

func TestAnyArrivalOrderWithinLateness(t *testing.T) {
	rounds(t, 40, func(t *testing.T, seed uint64, rng *rand.Rand, events []event.Event) {
		cfg := inOrder(seed)
		want, e := feed(t, cfg, sorted(events), rng)
		want.settled(t)
		counts := counters(e.Stats())
		cfg.Window.InOrder = false
		for range 3 {
			got, e := feed(t, cfg, delayed(events, rng, cfg.Window.Lateness), rng)
			same(t, "in order of arrival", want, got)
			if c := counters(e.Stats()); c != counts {
				t.Fatalf("counters by arrival\n%swant\n%s", c, counts)
			}
		}
	})
}

func TestAnyNumberOfShards(t *testing.T) {
	rounds(t, 25, func(t *testing.T, seed uint64, rng *rand.Rand, events []event.Event) {
		cfg := inOrder(seed)
		want, e := feed(t, cfg, sorted(events), rng)
		counts := counters(e.Stats())
		for _, n := range []int{2, 7} {
			cfg.Shards = n
			got, e := feed(t, cfg, sorted(events), rng)
			same(t, fmt.Sprint(n, " shards"), want, got)
			if c := counters(e.Stats()); c != counts {
				t.Fatalf("counters of %d shards\n%swant\n%s", n, c, counts)
			}
		}
	})
}

func TestEveryEventTwice(t *testing.T) {
	rounds(t, 25, func(t *testing.T, seed uint64, rng *rand.Rand, events []event.Event) {
		cfg := inOrder(seed)
		want, _ := feed(t, cfg, sorted(events), rng)
		twice := slices.Concat(events, events)
		got, _ := feed(t, cfg, sorted(twice), rng)
		same(t, "twice in order", want, got)
		cfg.Window.InOrder = false
		got, _ = feed(t, cfg, delayed(twice, rng, cfg.Window.Lateness), rng)
		same(t, "twice by arrival", want, got)
	})
}

func TestAnotherNodeChangesNothing(t *testing.T) {
	rounds(t, 25, func(t *testing.T, seed uint64, rng *rand.Rand, events []event.Event) {
		cfg := inOrder(seed)
		want, _ := feed(t, cfg, sorted(events), rng)
		other := enginetest.Random(rng, enginetest.Shape{
			Name: "other", Octet: 77, Nodes: 1, Requests: 20, Span: 90 * time.Second, NoEdge: true,
		})
		got, _ := feed(t, cfg, sorted(slices.Concat(events, other)), rng)
		for id, tl := range got.last {
			if want.last[id] == nil && (tl.Workload.Node == "other-n0" || slices.ContainsFunc(tl.Steps, nodeIs("other-n0")) || slices.ContainsFunc(tl.Steps, podIs("other"))) {
				delete(got.last, id)
			}
		}
		for id, tl := range got.last { // spans of nobody's pod, superseded ids
			if want.last[id] == nil && (tl.SupersededBy != "" || hasName(tl.TraceID, "other")) {
				delete(got.last, id)
			}
		}
		same(t, "with another node", want, got)
	})
}

// An event beyond the lateness bound comes as a later revision of the timeline
// that it would have been in, under the same id.
func TestBeyondTheBoundTheTimelineKeepsItsID(t *testing.T) {
	tried := 0
	rounds(t, 20, func(t *testing.T, seed uint64, rng *rand.Rand, events []event.Event) {
		cfg := shard.Config{Shards: 2, Window: window.Default()}
		want, _ := feed(t, cfg, delayed(events, rng, cfg.Window.Lateness), rng)
		want.settled(t)
		// One span that is no root of anything comes 3 minutes late, when its
		// timeline has been published.
		spans := make(map[string]int)
		for i := range events {
			if s, ok := events[i].Payload.(*event.Span); ok && s.Stage == event.StageTool {
				spans[events[i].ID.String()] = i
			}
		}
		for _, tl := range want.canonical() {
			if len(tl.Related) > 0 || len(tl.Completeness.Missing) > 0 && tl.Completeness.Missing[0] == "root" {
				continue
			}
			for _, s := range tl.Steps {
				i, ok := spans[s.EventIDs[0]]
				if !ok || len(s.EventIDs) != 1 || s.ParentID == "" {
					continue
				}
				tried++
				early := sorted(slices.Delete(slices.Clone(events), i, i+1))
				out := newRecorder(t)
				e := shard.New(cfg, out)
				last := early[len(early)-1].Time
				e.Push(&event.Batch{Events: early}, last)
				e.Push(&event.Batch{}, last.Add(3*time.Minute))
				before := out.last[tl.ID]
				if before == nil {
					t.Fatalf("%s was not published in time", tl.ID)
				}
				e.Push(&event.Batch{Events: []event.Event{events[i]}}, last.Add(3*time.Minute))
				e.Close()
				conserved(t, e, uint64(len(events)), true)
				after := out.last[tl.ID]
				if len(after.Related) > 0 {
					return // another request came under the trace id: it may be that one's
				}
				if after.Revision <= before.Revision || !slices.ContainsFunc(after.Steps, func(a timeline.Step) bool { return a.ID == s.ID }) {
					t.Fatalf("%s: revision %d after %d has no step %s", tl.ID, after.Revision, before.Revision, s.ID)
				}
				return
			}
		}
	})
	if tried == 0 && os.Getenv("SENNIT_SEED") == "" {
		t.Error("no cluster had a span to be late")
	}
}

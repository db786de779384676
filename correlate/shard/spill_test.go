package shard_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate/enginetest"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// shelf is a spill in memory that can lose what it has.
type shelf struct {
	mu     sync.Mutex
	chunks map[uint64][]byte
	next   uint64
	most   int
	lost   bool
}

var errLost = errors.New("the shelf is empty")

func (s *shelf) Put(b []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	s.chunks[s.next] = slices.Clone(b)
	s.most = max(s.most, len(s.chunks))
	return s.next, nil
}

func (s *shelf) Get(n uint64, b []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return nil, errLost
	}
	return append(b, s.chunks[n]...), nil
}

func (s *shelf) Drop(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.chunks, n)
}

// TestSpillingChangesNothing holds an engine that has hardly any memory to one
// that keeps everything in it.
func TestSpillingChangesNothing(t *testing.T) {
	most, fetched := 0, uint64(0)
	rounds(t, 25, func(t *testing.T, seed uint64, rng *rand.Rand, events []event.Event) {
		cfg := inOrder(seed)
		want, e := feed(t, cfg, sorted(events), rng)
		counts := counters(e.Stats())
		for _, n := range []int{1, 3} {
			s := &shelf{chunks: map[uint64][]byte{}}
			cfg.Shards, cfg.Memory, cfg.Spill = n, 1, s
			got, e := feed(t, cfg, sorted(events), rng)
			same(t, "spilled", want, got)
			if c := counters(e.Stats()); c != counts {
				t.Fatalf("counters when spilled\n%swant\n%s", c, counts)
			}
			if u := e.Stats().Waiting; u.Spilled != 0 && len(s.chunks) == 0 || u.Refused != 0 {
				t.Fatalf("%d chunks are on the shelf, and the engine counts %+v", len(s.chunks), u)
			}
			most, fetched = max(most, s.most), fetched+e.Stats().Waiting.Fetched
		}
	})
	if most == 0 || fetched == 0 {
		t.Errorf("at most %d chunks were spilled and %d fetched", most, fetched)
	}
}

func manyEvents(rng *rand.Rand) []event.Event {
	return enginetest.Random(rng, enginetest.Shape{Name: "c", Octet: 1, Nodes: 2, Requests: 200, Span: time.Minute})
}

// TestAnEngineThatLostEventsStands stops with an error instead of timelines that
// lack what was on a disk.
func TestAnEngineThatLostEventsStands(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 0))
	events := sorted(manyEvents(rng))
	s := &shelf{chunks: map[uint64][]byte{}, lost: true}
	cfg := inOrder(1)
	cfg.Memory, cfg.Spill = 1, s
	e := shard.New(cfg, newRecorder(t))
	e.Push(&event.Batch{Events: events}, 0)
	e.Close()
	if err := e.Err(); !errors.Is(err, errLost) {
		t.Errorf("the engine ends with %v, want what the spill said", err)
	}
}

// glimpses takes the live views of an engine.
type glimpses struct{ lines []string }

func (g *glimpses) Unmatched(*shard.Unmatched) {}
func (g *glimpses) Timeline(t *timeline.Timeline) {
	if t.Revision == 0 {
		g.lines = append(g.lines, string(t.AppendJSON(nil)))
	}
}

// TestAGlimpseIsPacked holds what is shown of open requests by an engine that has
// hardly any memory, and so packs them, to what one shows that keeps everything in it.
func TestAGlimpseIsPacked(t *testing.T) {
	cfg := inOrder(1)
	cfg.Live = true
	events := sorted(manyEvents(rand.New(rand.NewPCG(4, 0))))
	show := func() []string {
		var g glimpses
		e := shard.New(cfg, &g)
		for chunk := range slices.Chunk(slices.Clone(events), 40) {
			e.Push(&event.Batch{Events: chunk}, chunk[len(chunk)-1].Time)
		}
		e.Close()
		if err := e.Err(); err != nil {
			t.Fatal(err)
		}
		return g.lines
	}
	want := show()
	s := &shelf{chunks: map[uint64][]byte{}}
	cfg.Memory, cfg.Spill = 1, s
	got := show()
	if len(want) < 200 || !slices.Equal(want, got) {
		t.Errorf("%d views were shown when spilled, want the same as the %d in memory", len(got), len(want))
	}
	if s.most == 0 {
		t.Error("nothing was spilled")
	}
}

// TestAnEngineThatLostAGlimpseStands stops where only the live view wanted what is
// gone.
func TestAnEngineThatLostAGlimpseStands(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 0))
	events := sorted(enginetest.Random(rng, enginetest.Shape{Name: "c", Octet: 1, Nodes: 2, Requests: 400, Span: 5 * time.Second}))
	begun := events[:slices.IndexFunc(events, func(e event.Event) bool { return e.Time > events[100].Time.Add(1500*time.Millisecond) })]
	push := func(live bool) error {
		cfg := inOrder(1)
		cfg.Live, cfg.Memory, cfg.Spill = live, 1, &shelf{chunks: map[uint64][]byte{}, lost: true}
		var g glimpses
		e := shard.New(cfg, &g)
		e.Push(&event.Batch{Events: slices.Clone(begun)}, begun[len(begun)-1].Time)
		return e.Err()
	}
	if err := push(false); err != nil {
		t.Errorf("without a live view nothing is read back, and the error is %v", err)
	}
	if err := push(true); !errors.Is(err, errLost) {
		t.Errorf("with a live view the engine ends with %v, want what the spill said", err)
	}
}

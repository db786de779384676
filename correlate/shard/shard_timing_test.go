package shard_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate/enginetest"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// nothing takes what an engine decides and drops it.
type nothing struct{ timelines int }

func (n *nothing) Timeline(*timeline.Timeline) { n.timelines++ }
func (n *nothing) Unmatched(*shard.Unmatched)  {}

// BenchmarkEngine is a whole engine over ten minutes of a random cluster: every
// kind of event, every rung. Bytes are those of the events' recorded form.
func BenchmarkEngine(b *testing.B) {
	shape := enginetest.Shape{Name: "c", Octet: 1, Nodes: 8, Requests: 3000, Span: 10 * time.Minute, Skew: 5 * time.Millisecond, Names: 20_000}
	events := enginetest.Random(rand.New(rand.NewPCG(1, 1)), shape)
	b.Run("in-order/shards=1", func(b *testing.B) { engine(b, 1, true, sorted(events)) })
	b.Run("in-order/shards=2", func(b *testing.B) { engine(b, 2, true, sorted(events)) })
	b.Run("arrival/shards=1", func(b *testing.B) {
		engine(b, 1, false, delayed(events, rand.New(rand.NewPCG(1, 2)), 30*time.Second))
	})
	// Trace ids, pids and ports that are used again tie one request to the next until most of
	// them are in one group: the worst that can be done to the engine.
	shape.Requests, shape.Span, shape.Reuse, shape.Names = 600, 2*time.Minute, 0.15, 0
	reused := sorted(enginetest.Random(rand.New(rand.NewPCG(1, 1)), shape))
	b.Run("reused-traces/shards=1", func(b *testing.B) { engine(b, 1, true, reused) })
}

func engine(b *testing.B, shards int, inOrder bool, events []event.Event) {
	cfg := shard.DefaultConfig()
	cfg.Shards, cfg.Window.InOrder = shards, inOrder
	size := 0
	for i := range events {
		size += len(events[i].AppendJSON(nil))
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		var out nothing
		e := shard.New(cfg, &out)
		now := event.Time(0)
		for chunk := range slices.Chunk(events, 512) {
			if !inOrder {
				now = max(now, chunk[len(chunk)-1].Time)
			}
			e.Push(&event.Batch{Events: chunk}, now)
		}
		e.Close()
		if out.timelines == 0 {
			b.Fatal("no timelines")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(events)), "ns/event")
}

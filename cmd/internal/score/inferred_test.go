package score

import (
	"bytes"
	"context"
	"math"
	"testing"

	"github.com/sennit-io/sennit/cmd/internal/simulate"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/racetest"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// TestWithoutTraceContext: where no service passes trace context on, inferred
// joins are right in 99 of 100 cases, as sure as they say, and the same in any
// order of arrival and on any number of shards.
func TestWithoutTraceContext(t *testing.T) {
	for _, inFlight := range []int{16, 32, 64}[:racetest.Size(3, 1)] {
		dir := t.TempDir()
		_, err := simulate.Run(context.Background(), simulate.Options{
			Requests: racetest.Size(400, 200), Concurrency: inFlight, TraceContext: simulate.TraceNone, Noise: 0.5, Rogue: 0.1, Seed: uint64(inFlight),
		}, dir)
		if err != nil {
			t.Fatal(err)
		}
		r, first := scoreOrder(t, dir, replay.OrderEvent, shard.DefaultConfig())
		t.Logf("%d in flight: inferred precision %.4f of %d steps, recall %.3f, mis-stitched %.4f, ambiguous %.3f, calibration error %.3f",
			inFlight, r.Inferred.Precision, r.Inferred.N, r.Inferred.Recall, r.MisStitch, r.Ambiguous, r.ECE)
		for _, m := range timeline.InferredMethods {
			if c := r.ByMethod[m]; c.N > 0 || c.Possible > 0 {
				t.Logf("  %-16s precision %.4f of %d steps, recall %.3f of %d facts", m, c.Precision, c.N, c.Recall, c.Possible)
			}
		}
		if r.Exact.Precision < 1 {
			t.Errorf("%d in flight: wrong exact joins: %+v", inFlight, r.Exact)
		}
		if r.Inferred.Precision < 0.99 || r.Inferred.N < racetest.Size(500, 250) {
			t.Errorf("%d in flight: inferred joins %+v, want 99 of 100 right, and many", inFlight, r.Inferred)
		}
		for _, b := range r.Calibration {
			if math.Abs(b.Accuracy-b.Confidence) > 0.05 {
				t.Errorf("%d in flight: of %d steps with confidence %.3f, %.3f are right", inFlight, b.N, b.Confidence, b.Accuracy)
			}
		}
		for _, shards := range []int{1, 4} {
			cfg := shard.DefaultConfig()
			cfg.Shards = shards
			_, again := scoreOrder(t, dir, replay.OrderArrival, cfg)
			for id, tl := range first {
				if again[id] == nil || !bytes.Equal(tl.AppendJSON(nil), again[id].AppendJSON(nil)) {
					t.Fatalf("%d in flight: timeline %s by arrival on %d shards is not what it is by event time", inFlight, id, shards)
				}
			}
			if len(again) != len(first) {
				t.Errorf("%d in flight: %d timelines by arrival on %d shards, %d by event time", inFlight, len(again), shards, len(first))
			}
		}
	}
}

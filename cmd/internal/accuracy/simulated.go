package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sennit-io/sennit/cmd/internal/score"
	"github.com/sennit-io/sennit/cmd/internal/simulate"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// last keeps the last revision of every timeline.
type last map[string]*timeline.Timeline

func (l last) Timeline(t *timeline.Timeline) { l[t.ID] = t }
func (last) Unmatched(*shard.Unmatched)      {}

// simulated scores the engine over a cluster in which nothing passes trace
// context on.
func simulated(inFlight int) (*score.Report, error) {
	dir, err := os.MkdirTemp("", "sennit-accuracy-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	_, err = simulate.Run(context.Background(), simulate.Options{
		Requests: 1000, Concurrency: inFlight, TraceContext: simulate.TraceNone, Noise: 0.5, Rogue: 0.1, Seed: 1,
	}, dir)
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	out := last{}
	eng := shard.New(shard.DefaultConfig(), out)
	_, err = replay.Run(context.Background(), replay.Options{Paths: []string{dir}, Order: replay.OrderEvent}, func(b *event.Batch, now event.Time) error {
		eng.Push(b, now)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
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
		return nil, err
	}
	defer truth.Close()
	return score.Run(truth, &lines)
}

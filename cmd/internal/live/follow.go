package live

import (
	"context"
	"log/slog"
	"time"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/ingest/tail"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// followed turns the lines of followed files into events.
type followed struct {
	decoder *replay.Decoder
	batch   event.Batch
	sink    ingest.Sink
	metrics *Metrics
	log     *slog.Logger
	told    map[string]bool // files of which a bad line was logged
}

func newFollowed(policy redact.Policy, sink ingest.Sink, m *Metrics, log *slog.Logger) *followed {
	return &followed{decoder: replay.NewDecoder(policy), sink: sink, metrics: m, log: log, told: map[string]bool{}}
}

// drainLines is how long the bus may take for the last lines at the end.
const drainLines = 5 * time.Second

// take is a tail.Take. Lines that give no event are counted, and the first of a
// file is logged. It waits while there is no room: lines that were given back would
// be counted again.
func (f *followed) take(ctx context.Context, path string, lines [][]byte) error {
	f.batch.Reset()
	now := event.At(time.Now())
	for _, line := range lines {
		source, t, err := f.decoder.Decode(line, &f.batch)
		f.metrics.lines(source, t)
		if err != nil && !f.told[path] {
			f.told[path] = true
			f.log.Warn("a line gave no event; others of this file are only counted", "file", path, "error", err)
		}
	}
	for i := range f.batch.Events {
		if e := &f.batch.Events[i]; e.Observed == 0 {
			e.Observed = now
		}
	}
	if len(f.batch.Events) == 0 {
		return nil
	}
	return ingest.Hand(ctx, f.sink, &f.batch, drainLines)
}

var _ tail.Take = (*followed)(nil).take

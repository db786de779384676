package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/sinks/ndjson"
)

// fileSink writes the timelines to a file, each revision once.
type fileSink struct {
	reader *bus.OutReader
	writer *ndjson.Writer
	seen   recentIDs
}

func openFile(ctx context.Context, js jetstream.JetStream, path string, log *slog.Logger) (*fileSink, error) {
	created, err := bus.OutCreated(ctx, js)
	if err != nil {
		return nil, err
	}
	w, err := ndjson.Open(path, created)
	if err != nil {
		return nil, err
	}
	r, err := bus.NewOutReader(ctx, js, w.Last())
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	if r.Lost > 0 {
		log.Error("the stream dropped timelines before they were written", "messages", r.Lost)
	}
	return &fileSink{reader: r, writer: w}, nil
}

// A batch is written when it is large enough, or nothing more comes.
const (
	fileBatch = 1024
	fileWait  = 100 * time.Millisecond
)

func (f *fileSink) run(ctx context.Context) error {
	defer f.reader.Close()
	for {
		n, err := f.batch()
		switch {
		case err != nil:
			return err
		case n > 0:
			if err := f.writer.Sync(); err != nil {
				return err
			}
		case ctx.Err() != nil: // all is written
			return f.writer.Close()
		}
	}
}

// batch writes what is there and returns how many messages that was.
func (f *fileSink) batch() (n int, err error) {
	for ; n < fileBatch; n++ {
		wait := fileWait
		if n > 0 {
			wait = time.Millisecond
		}
		m, ok, err := f.reader.Next(wait)
		switch {
		case err != nil:
			return n, fmt.Errorf("write timelines: %w", err)
		case !ok:
			return n, nil
		}
		if f.seen.add(m.ID) { // sent twice, by a processor that was killed in between
			continue
		}
		if err := f.writer.Write(m.Sequence, m.Data); err != nil {
			return n, err
		}
	}
	return n, nil
}

// recentIDs remembers the last ids.
type recentIDs struct{ young, old map[string]struct{} }

// add reports whether the id is among the last 50,000 to 100,000.
func (r *recentIDs) add(id string) bool {
	const most = 50_000
	if _, ok := r.young[id]; ok {
		return true
	}
	if _, ok := r.old[id]; ok {
		return true
	}
	if len(r.young) >= most || r.young == nil {
		r.young, r.old = make(map[string]struct{}), r.young
	}
	r.young[id] = struct{}{}
	return false
}

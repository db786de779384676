package live

import (
	"context"
	"fmt"
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

func openFile(ctx context.Context, js jetstream.JetStream, path string) (*fileSink, error) {
	r, err := bus.NewOutReader(ctx, js, "ndjson")
	if err != nil {
		return nil, err
	}
	w, err := ndjson.Open(path, r.Created)
	if err != nil {
		r.Close()
		return nil, err
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
		last, err := f.batch()
		if err != nil {
			return err
		}
		if last != nil {
			if err := f.writer.Sync(); err != nil {
				return err
			}
			if err := f.reader.Done(last); err != nil {
				return err
			}
		} else if ctx.Err() != nil { // all is written
			return f.writer.Close()
		}
	}
}

// batch writes what is there and returns the last message, nil if none came.
func (f *fileSink) batch() (last *bus.OutMessage, err error) {
	for n := range fileBatch {
		wait := fileWait
		if n > 0 {
			wait = time.Millisecond
		}
		m, ok, err := f.reader.Next(wait)
		switch {
		case err != nil:
			return nil, fmt.Errorf("write timelines: %w", err)
		case !ok:
			return last, nil
		}
		last = &m
		if f.seen.add(m.ID) { // sent twice, by a processor that was killed in between
			continue
		}
		if err := f.writer.Write(m.Sequence, m.Data); err != nil {
			return nil, err
		}
	}
	return last, nil
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

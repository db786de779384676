package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/sinks/ndjson"
)

// fileSink writes the timelines to a file, each revision once.
type fileSink struct {
	js     jetstream.JetStream
	log    *slog.Logger
	reader *bus.OutReader
	writer *ndjson.Writer
	seen   recentIDs
	missed func(messages uint64) // told what the stream had dropped
}

// openFile opens a file, or for "-" standard output, which gets what comes from now on.
func openFile(ctx context.Context, js jetstream.JetStream, path string, r ndjson.Rotation, log *slog.Logger, missed func(uint64)) (*fileSink, error) {
	w, err := openWriter(ctx, js, path, r)
	if err != nil {
		return nil, err
	}
	f := &fileSink{js: js, writer: w, log: log, missed: missed}
	if err := f.connect(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return f, nil
}

func openWriter(ctx context.Context, js jetstream.JetStream, path string, r ndjson.Rotation) (*ndjson.Writer, error) {
	if path == "-" {
		end, err := bus.OutEnd(ctx, js)
		return ndjson.To(os.Stdout, end), err
	}
	created, err := bus.OutCreated(ctx, js)
	if err != nil {
		return nil, err
	}
	return ndjson.Open(path, created, r)
}

// connect reads on where the file ends.
func (f *fileSink) connect(ctx context.Context) error {
	r, err := bus.NewOutReader(ctx, f.js, f.writer.Last())
	if err != nil {
		return err
	}
	if r.Lost > 0 {
		f.log.Error("the stream dropped results before they were written; timelines may be missing", "messages", r.Lost)
		f.missed(r.Lost)
	}
	if f.reader != nil {
		f.reader.Close()
	}
	f.reader = r
	return nil
}

// A batch is written when it is large enough, or nothing more comes.
const (
	fileBatch = 1024
	fileWait  = 100 * time.Millisecond
)

// run writes until ctx ends and nothing more is there. While the bus is away it
// waits.
func (f *fileSink) run(ctx context.Context) error {
	defer func() { f.reader.Close() }()
	heard := time.Now()
	for {
		n, err := f.batch()
		if time.Since(heard) > deaf && n == 0 && err == nil && ctx.Err() == nil {
			err = errDeaf // the bus may have forgotten who reads
		}
		if n > 0 || err != nil {
			heard = time.Now()
		}
		if n > 0 {
			if err := f.writer.Sync(); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, errDeaf):
			if err := f.connect(ctx); err != nil {
				f.log.Warn("the bus is away", "error", err)
			}
		case errors.Is(err, errAway) && ctx.Err() == nil:
			f.log.Warn("the bus is away", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			if err := f.connect(ctx); err != nil {
				f.log.Warn("the bus is away", "error", err)
			}
		case err != nil && !errors.Is(err, errAway):
			return err
		case n == 0 && ctx.Err() != nil: // all is written
			return f.writer.Close()
		}
	}
}

// close gives back what was opened, without run.
func (f *fileSink) close() error {
	f.reader.Close()
	return f.writer.Close()
}

// errDeaf says that a reader has had nothing for long and is made anew.
var errDeaf = errors.New("the results are asked for anew")

// errAway is wrapped by errors of the bus.
var errAway = errors.New("results cannot be read")

// batch writes what is there and returns how many timelines that was.
func (f *fileSink) batch() (n int, err error) {
	for n < fileBatch {
		wait := fileWait
		if n > 0 {
			wait = time.Millisecond
		}
		m, ok, err := f.reader.Next(wait)
		switch {
		case err != nil:
			return n, fmt.Errorf("%w: %w", errAway, err)
		case !ok:
			return n, nil
		}
		if m.Err != nil {
			f.log.Error("timelines are missing in the file", "message", m.Sequence, "error", m.Err)
			f.missed(1)
		}
		n += len(m.IDs)
		fresh := m.Lines[:0]
		for i, id := range m.IDs {
			if !f.seen.add(id) { // else sent twice, by a processor that was killed in between
				fresh = append(fresh, m.Lines[i])
			}
		}
		if err := f.writer.Write(m.Sequence, fresh...); err != nil {
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

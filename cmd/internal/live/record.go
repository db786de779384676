package live

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/cmd/internal/record"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/event"
)

// RecordOptions say where what passes on the bus is recorded, and how.
type RecordOptions struct {
	Dir   string // "" for nowhere
	Files record.Options
	Since time.Duration // how far back a new recording begins, 0 for all that there is
}

// recorder writes the events on the bus to files that replay reads: what the
// processor takes, each event once.
type recorder struct {
	js     jetstream.JetStream
	log    *slog.Logger
	opts   RecordOptions
	files  *record.Files
	unpack unpacker
	counts *recordCounts
	memory map[string][]byte // of the sessions
	batch  event.Batch
	line   []byte
	at     bus.Position
	synced time.Time
}

// A recording is made safe this often, or after so many bytes.
const (
	recordEvery = time.Second
	recordBytes = 8 << 20
)

func openRecorder(js jetstream.JetStream, o RecordOptions, log *slog.Logger, registry prometheus.Registerer) (*recorder, error) {
	files, err := record.Open(o.Dir, o.Files)
	if err != nil {
		return nil, err
	}
	at := files.At()
	r := &recorder{js: js, log: log, opts: o, files: files, memory: map[string][]byte{}, counts: newRecordCounts(registry)}
	r.unpack = unpacker{sessions: bus.NewSessions(), counts: r.counts}
	r.at = bus.Position{Sequence: at.Sequence, Created: at.Created}
	for key, value := range at.Sessions {
		name, err := hex.DecodeString(key)
		if err == nil {
			err = r.unpack.sessions.Restore(name, value)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open the recording in %s: %w", o.Dir, err), files.Close())
		}
		r.memory[key] = value
	}
	return r, nil
}

// run records until ctx ends and nothing more is there. While the bus is away it
// waits.
func (r *recorder) run(ctx context.Context) error {
	err := r.record(ctx)
	return errors.Join(err, r.files.Close())
}

func (r *recorder) record(ctx context.Context) error {
	for {
		reader, err := r.reader(context.WithoutCancel(ctx))
		switch {
		case errors.Is(err, bus.ErrStream):
			return fmt.Errorf("record into %s: %w", r.opts.Dir, err)
		case err == nil:
			err = r.read(ctx, reader)
			reader.Close()
			if err == nil || !errors.Is(err, errAway) {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		r.log.Warn("the bus is away", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// reader reads on where the recording ends.
func (r *recorder) reader(ctx context.Context) (*bus.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if r.at == (bus.Position{}) && r.opts.Since > 0 {
		return bus.NewReaderSince(ctx, r.js, time.Now().Add(-r.opts.Since))
	}
	return bus.NewReader(ctx, r.js, r.at)
}

// read records until ctx ends and nothing more is there, which is nil.
func (r *recorder) read(ctx context.Context, reader *bus.Reader) error {
	var latest time.Time // when what is left at the end must be there
	for {
		m, ok, err := reader.Next(idleWait)
		if lost := reader.TakeLost(); lost > 0 {
			r.log.Error("the stream dropped messages before they were recorded", "messages", lost)
			r.counts.envelope("dropped_by_stream", lost)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%w: %w", errAway, err), r.sync())
		}
		if ok {
			if err := r.take(&m); err != nil {
				return err
			}
			r.at = reader.Position(m.Sequence)
		}
		if r.files.Unsafe() >= recordBytes || time.Since(r.synced) >= recordEvery {
			if err := r.sync(); err != nil {
				return err
			}
		}
		if ctx.Err() == nil {
			continue
		}
		if latest.IsZero() {
			latest = time.Now().Add(drainSending)
		}
		if !ok || time.Now().After(latest) {
			return r.sync()
		}
	}
}

func (r *recorder) take(m *bus.Message) error {
	r.batch.Reset()
	if _, err := r.unpack.take(m, &r.batch); err != nil {
		r.log.Warn("an envelope cannot be read", "sequence", m.Sequence, "node", m.Node, "error", err)
	}
	for i := range r.batch.Events {
		r.line = append(r.batch.Events[i].AppendJSON(r.line[:0]), '\n')
		if err := r.files.Write(r.line, m.Sequence, m.Stored); err != nil {
			return err
		}
	}
	r.counts.events.Add(float64(len(r.batch.Events)))
	return nil
}

// sync makes safe what was taken, if there is something to do.
func (r *recorder) sync() error {
	r.synced = time.Now()
	was := r.files.At()
	if r.files.Unsafe() == 0 && was.Sequence == r.at.Sequence && !r.files.Old() {
		return nil
	}
	r.unpack.sessions.Changed(event.At(time.Now().Add(-forget)), func(k, v []byte) {
		if key := hex.EncodeToString(k); v == nil {
			delete(r.memory, key)
		} else {
			r.memory[key] = v
		}
	})
	return r.files.Sync(record.Position{Created: r.at.Created, Sequence: r.at.Sequence, Sessions: r.memory})
}

// recordCounts count what a recorder does; a processor beside it counts for itself.
type recordCounts struct {
	events    prometheus.Counter
	envelopes *prometheus.CounterVec
	refused   *prometheus.CounterVec
}

func newRecordCounts(r prometheus.Registerer) *recordCounts {
	c := &recordCounts{
		events:    prometheus.NewCounter(prometheus.CounterOpts{Name: "sennit_recorded_events_total", Help: "Events written to the recording."}),
		envelopes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sennit_recorded_envelopes_total", Help: "Envelopes read for the recording, by what became of them."}, []string{"result"}),
		refused:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sennit_recorded_refused_total", Help: "Events that were not recorded, by reason."}, []string{"reason"}),
	}
	r.MustRegister(c.events, c.envelopes, c.refused)
	return c
}

func (c *recordCounts) envelope(result string, n uint64) {
	c.envelopes.WithLabelValues(result).Add(float64(n))
}

func (c *recordCounts) dropped(reason string, n uint64) {
	c.refused.WithLabelValues(reason).Add(float64(n))
}

// openRecording opens a recorder and takes its folder, which is not the service's.
func openRecording(js jetstream.JetStream, o RecordOptions, log *slog.Logger, registry prometheus.Registerer) (*recorder, func(), error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the folder of the recording: %w", err)
	}
	unlock, err := lock(o.Dir)
	if err != nil {
		return nil, nil, err
	}
	r, err := openRecorder(js, o, log, registry)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return r, unlock, nil
}

// Record records what passes on a bus elsewhere into the folder of the service,
// until ctx ends.
func Record(ctx context.Context, s Service, b BusOptions, rec RecordOptions) error {
	rec.Dir = s.Dir
	o, done, err := s.open()
	if err != nil {
		return err
	}
	defer done()
	s.listening(o, nil)
	var g errgroup.Group
	working, stop := context.WithCancel(ctx)
	defer stop()
	h := s.watched(o, nil)
	g.Go(func() error { return o.run(working) })
	g.Go(func() error {
		defer stop()
		nc, js, err := b.connect(working, s.Log, h)
		if err != nil {
			return err
		}
		defer nc.Close()
		r, err := openRecorder(js, rec, s.Log, o.registry)
		if err != nil {
			return err
		}
		o.ready.when(h.check)
		return r.run(working)
	})
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

package fanout

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/sennit-io/sennit/sinks"
)

// Config says how a sink is served. The zero value of what is not named stands for
// a default.
type Config struct {
	Name  string       // what people call the sink: of a-z, 0-9 and dashes
	Takes []sinks.Kind // which records it is for
	Wants func(*sinks.Record) bool
	Sink  sinks.Sink
	Open  bool // it wants to see timelines while they are open: Show

	// A batch is as many records as came within BatchWait (100 ms), at most BatchCount
	// (100) with BatchBytes (4 MiB), and none of them twice.
	BatchCount, BatchBytes int
	BatchWait              time.Duration

	// What fails is tried again after FirstRetry (1 s), then after twice as long each
	// time, up to LastRetry (5 min), each a little shorter by chance, until it is
	// MaxAge (24 h) old.
	FirstRetry, LastRetry, MaxAge time.Duration

	Log *slog.Logger
}

// Lane serves one sink.
type Lane struct {
	Config
	counters
	turn    chan struct{} // whoever holds it may call the sink
	waits   waits
	wrote   time.Time // when the sink was last called
	carried *Delivery // the first of the next batch
	looked  time.Time // for the backlog
	rest    time.Time // until when the sink asked to be left alone
}

// New makes a lane for a sink.
func New(c Config) *Lane {
	c.BatchCount, c.BatchBytes = cmp.Or(c.BatchCount, 100), cmp.Or(c.BatchBytes, 4<<20)
	c.BatchWait = cmp.Or(c.BatchWait, 100*time.Millisecond)
	c.FirstRetry, c.LastRetry = cmp.Or(c.FirstRetry, time.Second), cmp.Or(c.LastRetry, 5*time.Minute)
	c.MaxAge = cmp.Or(c.MaxAge, 24*time.Hour)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Lane{Config: c, turn: make(chan struct{}, 1)}
}

const (
	idleWait     = 200 * time.Millisecond
	backlogEvery = 2 * time.Second
	idleEvery    = 10 * time.Second // the sink is told that nothing comes
)

// Run serves the sink until there is nothing more, or ctx ends. When ctx ends it still
// delivers what is there, within reason. While the source is away it waits. It may be
// called again.
func (l *Lane) Run(ctx context.Context, from source) error {
	// What was put aside before has gone back to the source, and perhaps to another.
	l.waits, l.carried, l.rest = waits{}, nil, time.Time{}
	var last time.Time
	for away := false; ; {
		ended := ctx.Err() != nil
		if !ended && time.Until(l.rest) > 0 {
			pause(ctx, min(time.Until(l.rest), workingEvery))
			_ = from.Working() // what was fetched; at worst something comes twice
			l.look(from)
			continue
		}
		batch, err := l.collect(from)
		if len(batch) > 0 {
			l.deliver(ctx, from, batch)
			l.wrote = time.Now()
		} else if !ended {
			l.idle(ctx)
		}
		switch {
		case !ended:
			last = time.Now().Add(grace)
		case len(batch) == 0 || time.Now().After(last):
			return nil
		}
		if err == nil {
			l.look(from)
		}
		switch {
		case errors.Is(err, io.EOF):
			l.backlog.Store(0)
			return nil
		case err != nil:
			if !away {
				l.Log.Warn("results for a sink cannot be read", "sink", l.Name, "error", err)
			}
			pause(ctx, time.Second)
		}
		away = err != nil
	}
}

// idle tells a sink that holds records back that nothing comes.
func (l *Lane) idle(ctx context.Context) {
	s, ok := l.Sink.(sinks.Idler)
	if !ok || time.Since(l.wrote) < idleEvery {
		return
	}
	l.wrote = time.Now()
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if err := s.Idle(ctx); err != nil {
		l.failed(err)
	}
}

// Close closes the sink.
func (l *Lane) Close() error { return l.Sink.Close() }

// look asks for the backlog, now and then.
func (l *Lane) look(from source) {
	if time.Since(l.looked) < backlogEvery {
		return
	}
	l.looked = time.Now()
	if n, err := from.Backlog(); err == nil {
		l.backlog.Store(n)
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// collect takes what is there, up to a batch.
func (l *Lane) collect(from source) (batch []Delivery, err error) {
	size := 0
	var full time.Time
	seen := map[key]bool{}
	for len(batch) < l.BatchCount && size < l.BatchBytes {
		wait := idleWait
		if len(batch) > 0 {
			wait = max(time.Until(full), 0)
		}
		d, ok, err := l.next(from, wait)
		if err != nil || !ok {
			return batch, err
		}
		k := key{d.Kind, d.ID}
		if until, ok := l.waits.behind(k, d.Revision); ok {
			l.again(&d, max(time.Until(until), 0)+l.spread(l.FirstRetry))
			continue
		}
		// Two revisions in one batch could not be kept in order if the first failed.
		if len(batch) > 0 && (seen[k] || size+len(d.Data) > l.BatchBytes) {
			l.carried = &d
			return batch, nil
		}
		if len(batch) == 0 {
			full = time.Now().Add(l.BatchWait)
		}
		seen[k] = true
		size += len(d.Data)
		batch = append(batch, d)
	}
	return batch, nil
}

// next takes what was put aside, or else what the source has.
func (l *Lane) next(from source, wait time.Duration) (Delivery, bool, error) {
	if d := l.carried; d != nil {
		l.carried = nil
		return *d, true, nil
	}
	return from.Next(wait)
}

// Try hands the sink one record, at once and past the queue.
func (l *Lane) Try(ctx context.Context, r sinks.Record) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
		return l.Sink.Write(ctx, []sinks.Record{r})
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Show hands the sink timelines as they are while they are open (revision 0), past the
// queue. What it does not take is not tried again, for it will be another soon; it is
// counted.
func (l *Lane) Show(ctx context.Context, batch []sinks.Record) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	err := l.Sink.Write(ctx, batch)
	var failures sinks.Failures
	missed := 0
	if errors.As(err, &failures) {
		missed = len(failures)
	} else if err != nil {
		missed = len(batch)
	}
	if err != nil {
		l.failed(err)
	}
	l.shown.Add(uint64(len(batch) - missed))
	l.unshown.Add(uint64(missed))
	return err
}

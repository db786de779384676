// Package rpc follows the records that an agent of a node serves as a gRPC
// stream, through disconnects, to an ingest.Sink.
//
// Records are read as they come, by hand (docs/adr/0028): the event of one, and its
// id, are those of the line that the agent's own exporter writes.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// Feed is one kind of stream.
type Feed struct {
	Source event.Source
	// Open asks for the records since a time, or for those to come if it is 0.
	// Whole is from when on the stream lacks nothing.
	Open func(ctx context.Context, conn grpc.ClientConnInterface, since event.Time) (receive Receive, whole event.Time, err error)
	// Decode appends the events of one record, of which it keeps nothing.
	Decode func(record []byte, b *event.Batch) (ingest.Tally, error)
}

// Receive waits for the next record. Not for concurrent use.
type Receive func() (Record, error)

// Config says whom to ask. Only Target is needed.
type Config struct {
	Target   string                           // host:port, or unix:///path
	TLS      credentials.TransportCredentials // nil for plain text
	Position string                           // file in which is kept how far was read, "" for none
	// Connected is told when the stream is up, and with an error when it is not.
	Connected func(err error)
	// Records is told what was read; the error is that of a record without an event.
	Records func(t ingest.Tally, err error)
}

const (
	batchEvents = 512
	linger      = 50 * time.Millisecond
	buffered    = 4096 // records between receiving and decoding
	// overlap is asked for again at a reconnect: records are not quite in order.
	overlap    = 5 * time.Second
	firstPause = 250 * time.Millisecond
	longPause  = 15 * time.Second
	// drain is how long the sink may take for what is left at the end.
	drain = 5 * time.Second
)

// Source follows one stream.
//
// Guarantee: what was received is handed on at least once. What the agent did not
// keep while nobody listened becomes a loss of its nodes.
type Source struct {
	feed  Feed
	cfg   Config
	at    position
	batch event.Batch
	ids   event.Hasher
}

// New reads the position. An address that is none is an error.
func New(feed Feed, cfg Config) (*Source, error) {
	s := &Source{feed: feed, cfg: cfg}
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	conn.Close() // nothing was connected yet
	return s, s.at.load(cfg.Position)
}

// errSink is wrapped by what the sink returned: connecting again does not mend it.
type errSink struct{ error }

func (e errSink) Unwrap() error { return e.error }

// Run hands events on until ctx ends, which is no error, or the sink fails.
func (s *Source) Run(ctx context.Context, sink ingest.Sink) error {
	pause := firstPause
	for {
		began := time.Now()
		err := s.follow(ctx, sink)
		var failed errSink
		switch {
		case errors.As(err, &failed) && ctx.Err() == nil:
			return failed.error
		case ctx.Err() != nil:
			return s.at.save(s.cfg.Position)
		}
		s.connected(fmt.Errorf("follow %s: %w", s.cfg.Target, err))
		if time.Since(began) > longPause {
			pause = firstPause
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
		}
		pause = min(2*pause, longPause)
	}
}

func (s *Source) connected(err error) {
	if s.cfg.Connected != nil {
		s.cfg.Connected(err)
	}
}

func (s *Source) dial() (*grpc.ClientConn, error) {
	creds := s.cfg.TLS
	if creds == nil {
		creds = plainText
	}
	// No keepalive: agents take more than one ping in five minutes for abuse, and
	// TCP has its own.
	conn, err := grpc.NewClient(s.cfg.Target, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(), grpc.WithUserAgent("sennit"))
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", s.cfg.Target, err)
	}
	return conn, nil
}

// follow works until the stream ends, for an error of its own, of ctx or of the
// sink.
func (s *Source) follow(ctx context.Context, sink ingest.Sink) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	conn, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	since := s.at.Newest
	if since != 0 {
		since = since.Add(-overlap)
	}
	receive, whole, err := s.feed.Open(ctx, conn, since)
	if err != nil {
		return err
	}
	s.connected(nil)
	defer s.at.begun(event.At(time.Now()))
	if s.at.Newest != 0 && whole > s.at.Newest {
		s.lost(s.at.Newest, whole)
	}
	records := make(chan Record, buffered)
	ended := make(chan error, 1)
	go func() {
		defer close(records)
		for {
			r, err := receive()
			if err != nil {
				ended <- err
				return
			}
			select {
			case records <- r:
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
		}
	}()
	if err := s.take(ctx, records, sink); err != nil {
		return err
	}
	return <-ended
}

// take decodes and hands on until there are no more records.
func (s *Source) take(ctx context.Context, records <-chan Record, sink ingest.Sink) error {
	for {
		var due <-chan time.Time
		if len(s.batch.Events) > 0 { // a loss
			due = time.After(linger)
		}
		for len(s.batch.Events) < batchEvents {
			select {
			case r, ok := <-records:
				if !ok {
					return s.flush(ctx, sink)
				}
				s.decode(r)
				if due == nil {
					due = time.After(linger)
				}
				continue
			case <-due:
			}
			break
		}
		if err := s.flush(ctx, sink); err != nil {
			return err
		}
	}
}

func (s *Source) decode(r Record) {
	t, err := s.feed.Decode(r.ReadOnlyData(), &s.batch)
	r.Free()
	if s.cfg.Records != nil {
		s.cfg.Records(t, err)
	}
}

// flush hands the batch on.
func (s *Source) flush(ctx context.Context, sink ingest.Sink) error {
	if len(s.batch.Events) == 0 {
		return nil
	}
	defer s.batch.Reset()
	now := event.At(time.Now())
	for i := range s.batch.Events {
		s.batch.Events[i].Observed = now
	}
	if err := ingest.Hand(ctx, sink, &s.batch, drain); err != nil {
		return errSink{err}
	}
	s.at.note(s.batch.Events)
	return s.at.saveNowAndThen(s.cfg.Position)
}

// lost adds a loss of every node that was heard of.
func (s *Source) lost(from, to event.Time) {
	for _, node := range s.at.Nodes {
		e := s.batch.Add(event.KindLoss, s.feed.Source)
		e.Node, e.Time = node, to
		p := s.batch.NewLoss()
		*p = event.Loss{Of: s.feed.Source, From: from, To: to, Reason: "stream was down"}
		e.Payload = p
		e.ID = s.ids.Reset(e.Kind).String(node).Uint(uint64(from)).Uint(uint64(to)).Sum()
	}
}

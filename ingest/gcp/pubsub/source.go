// Package pubsub pulls the log entries that a sink of Cloud Logging puts into a
// subscription of Pub/Sub, to an ingest.Sink.
//
// Guarantee: a message is acknowledged when the sink has its event, and not
// before; until then Pub/Sub brings it again. A message that gives no event never
// will: it is counted and acknowledged.
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/option"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/gcp"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Config says what to pull. Only Subscription is needed.
type Config struct {
	// Subscription is projects/P/subscriptions/S. Credentials are the default ones
	// of the machine; PUBSUB_EMULATOR_HOST is asked instead if it is set.
	Subscription string
	Redact       redact.Policy
	// Connected is told when messages come, and with an error when they cannot or
	// when the sink did not take them. What passes by itself is not told.
	Connected func(err error)
	// Records is told what was read; the error is that of a message without an event.
	Records func(t ingest.Tally, err error)
}

const (
	batchEvents = 512
	linger      = 50 * time.Millisecond
	// What Pub/Sub may have handed over that is not acknowledged yet.
	outstanding      = 4 * batchEvents
	outstandingBytes = 32 << 20
	// lease is how long a message stays with a process that has died before another
	// gets it, which should be within the lateness that is allowed. The shortest
	// there is; it is extended for as long as the sink takes.
	lease      = 10 * time.Second
	firstPause = 250 * time.Millisecond
	longPause  = 15 * time.Second
	// drain is how long the sink, and then Pub/Sub, may take for what is left at
	// the end.
	drain = 5 * time.Second
)

// Source pulls one subscription.
type Source struct {
	cfg     Config
	client  *pubsub.Client
	decoder gcp.Decoder
	batch   event.Batch
	waiting []delivery // whose events are in the batch
	up      bool       // messages came since the last error
}

// delivery is a message that is neither acknowledged nor refused.
type delivery struct {
	*pubsub.Message
	settled chan struct{}
}

var names = regexp.MustCompile(`^projects/([^/]+)/subscriptions/[^/]+$`)

// ErrName is returned by New for what is no name of a subscription.
var ErrName = errors.New("want projects/PROJECT/subscriptions/SUBSCRIPTION")

// New finds the credentials; nothing is pulled before Run.
func New(ctx context.Context, cfg Config) (*Source, error) {
	project := names.FindStringSubmatch(cfg.Subscription)
	if project == nil {
		return nil, fmt.Errorf("pull %q: %w", cfg.Subscription, ErrName)
	}
	client, err := pubsub.NewClient(ctx, project[1], option.WithUserAgent("sennit"), option.WithTelemetryDisabled())
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", cfg.Subscription, err)
	}
	s := &Source{cfg: cfg, client: client}
	s.decoder.Redact = cfg.Redact
	return s, nil
}

// Close gives the connections back, without Run.
func (s *Source) Close() { s.client.Close() }

// Run hands events on until ctx ends, and returns nil then, when the sink has what
// was pulled. An error of Pub/Sub that does not pass is told, and it is asked again.
func (s *Source) Run(ctx context.Context, sink ingest.Sink) error {
	defer s.Close()
	// At the end acknowledgements are sent for as long as Pub/Sub is there.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(2*drain, s.Close) })()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		began := time.Now()
		err := s.pull(ctx, sink)
		if ctx.Err() != nil {
			return nil
		}
		s.connected(fmt.Errorf("pull %s: %w", s.cfg.Subscription, err))
		if time.Since(began) > longPause {
			pause = firstPause
		}
		wait(ctx, pause)
	}
}

// connected tells what has changed.
func (s *Source) connected(err error) {
	if s.up && err == nil {
		return
	}
	if s.up = err == nil; s.cfg.Connected != nil {
		s.cfg.Connected(err)
	}
}

func wait(ctx context.Context, about time.Duration) {
	select {
	case <-time.After(about/2 + rand.N(about/2)):
	case <-ctx.Done():
	}
}

// pull works until ctx ends or Pub/Sub refuses.
func (s *Source) pull(ctx context.Context, sink ingest.Sink) error {
	sub := s.client.Subscriber(s.cfg.Subscription)
	sub.ReceiveSettings.MaxOutstandingMessages, sub.ReceiveSettings.MaxOutstandingBytes = outstanding, outstandingBytes
	sub.ReceiveSettings.MaxDurationPerAckExtension = lease
	arrived := make(chan delivery)
	var g errgroup.Group
	g.Go(func() error {
		defer close(arrived)
		// Receive calls this on a goroutine for each message. It counts as
		// outstanding until its call returns.
		return sub.Receive(ctx, func(ctx context.Context, m *pubsub.Message) {
			d := delivery{m, make(chan struct{})}
			select {
			case arrived <- d:
				<-d.settled
			case <-ctx.Done():
				m.Nack()
			}
		})
	})
	g.Go(func() error {
		s.take(ctx, arrived, sink)
		return nil
	})
	return g.Wait()
}

// take decodes and hands on until nothing arrives any more.
func (s *Source) take(ctx context.Context, arrived <-chan delivery, sink ingest.Sink) {
	pause := firstPause
	for open := true; open; {
		var due <-chan time.Time
		for len(s.waiting) < batchEvents {
			select {
			case d, ok := <-arrived:
				if open = ok; !ok {
					break
				}
				s.decode(d)
				if due == nil {
					due = time.After(linger)
				}
				continue
			case <-due:
			}
			break
		}
		err := s.flush(ctx, sink)
		if err == nil {
			pause = firstPause
			continue
		}
		s.connected(fmt.Errorf("hand on what %s brought: %w", s.cfg.Subscription, err))
		wait(ctx, pause) // lest the same messages go round and round
		pause = min(2*pause, longPause)
	}
}

// decode adds the event of a message to the batch.
func (s *Source) decode(d delivery) {
	before := len(s.batch.Events)
	t, err := s.decoder.Decode(d.Data, &s.batch)
	if s.cfg.Records != nil {
		s.cfg.Records(t, err)
	}
	s.connected(nil)
	if len(s.batch.Events) == before {
		d.Ack() // it would come again for ever
		close(d.settled)
		return
	}
	s.waiting = append(s.waiting, d)
}

// flush hands the batch on and acknowledges its messages, or refuses them if that
// fails.
func (s *Source) flush(ctx context.Context, sink ingest.Sink) (err error) {
	if len(s.waiting) == 0 {
		return nil
	}
	defer func() {
		for _, d := range s.waiting {
			if err == nil {
				d.Ack()
			} else {
				d.Nack()
			}
			close(d.settled)
		}
		clear(s.waiting)
		s.waiting = s.waiting[:0]
		s.batch.Reset()
	}()
	now := event.At(time.Now())
	for i := range s.batch.Events {
		if e := &s.batch.Events[i]; e.Observed == 0 {
			e.Observed = now
		}
	}
	return ingest.Hand(ctx, sink, &s.batch, drain)
}

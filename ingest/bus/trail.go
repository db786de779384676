package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Trail reads which results a stream holds, in its order and without their bodies:
// for processors that decide the same and must not send it again.
type Trail struct {
	stream   jetstream.Stream
	messages jetstream.MessagesContext
	next     *Mark
	// Created is the identity of the stream.
	Created int64
}

// Mark is one message of a stream of results.
type Mark struct {
	Sequence uint64
	IDs      []string // of its results, as of MessageID
	Stored   time.Time
}

// NewTrail reads on behind a sequence of a stream that was created then; of another
// stream, or for 0, from its beginning.
func NewTrail(ctx context.Context, js jetstream.JetStream, name string, after uint64, created int64) (*Trail, error) {
	s, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", name, err)
	}
	info := s.CachedInfo()
	t := &Trail{stream: s, Created: info.Created.UnixNano()}
	if created != t.Created {
		after = 0
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1, HeadersOnly: true,
	})
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", name, err)
	}
	if t.messages, err = c.Messages(jetstream.PullMaxMessages(1000)); err != nil {
		return nil, fmt.Errorf("follow %s: %w", name, err)
	}
	return t, nil
}

// Next returns the next message if it was stored by then, waiting a little for it;
// ok is false if there is none.
func (t *Trail) Next(by time.Time, wait time.Duration) (m Mark, ok bool, err error) {
	if t.next == nil {
		raw, err := t.messages.Next(jetstream.NextMaxWait(wait))
		switch {
		case errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoHeartbeat):
			return m, false, nil
		case err != nil:
			return m, false, fmt.Errorf("follow results: %w", err)
		}
		meta, err := raw.Metadata()
		if err != nil {
			return m, false, fmt.Errorf("follow results: %w", err)
		}
		t.next = &Mark{meta.Sequence.Stream, names(raw.Headers()), meta.Timestamp}
	}
	if t.next.Stored.After(by) {
		return m, false, nil
	}
	m, t.next = *t.next, nil
	return m, true, nil
}

// Ends are the sequences of the first and the last message that the stream holds
// now; of a stream that holds none the first is behind the last.
func (t *Trail) Ends(ctx context.Context) (first, last uint64, err error) {
	info, err := t.stream.Info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("follow results: %w", err)
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}

// Waits reports whether the next message is there, and later than was asked for.
func (t *Trail) Waits() bool { return t.next != nil }

// Close ends reading.
func (t *Trail) Close() { t.messages.Stop() }

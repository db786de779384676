package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Position says how far a stream was read. A stream that was made anew begins
// at 1 again, so its identity belongs to the position.
type Position struct {
	Sequence uint64
	Created  int64 // of the stream, nanoseconds since the Unix epoch
}

// Message is one envelope as the stream holds it.
type Message struct {
	Sequence  uint64
	Partition int
	Node      string // from the subject; what its sender may say
	Stored    time.Time
	Pending   uint64 // how many more the stream holds
	Data      []byte
	Tick      bool  // nothing but the time at which it was stored
	Err       error // a subject that no sender uses: the envelope is poison
}

// Reader reads the stream EVENTS in its order.
type Reader struct {
	stream   jetstream.Stream
	messages jetstream.MessagesContext
	created  int64
	last     uint64 // sequence of the last message that was read, or of the one before the first
	lost     uint64
}

// TakeLost returns how many messages the stream had dropped before they were read,
// since the last call.
func (r *Reader) TakeLost() uint64 {
	lost := r.lost
	r.lost = 0
	return lost
}

// NewReader reads on behind a position, the zero one from the beginning. It
// refuses a position of another stream. TakeLost tells what the stream has dropped
// meanwhile.
func NewReader(ctx context.Context, js jetstream.JetStream, from Position) (*Reader, error) {
	return newReader(ctx, js, from, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from.Sequence + 1,
	})
}

// NewReaderSince reads what the stream stored since a time.
func NewReaderSince(ctx context.Context, js jetstream.JetStream, since time.Time) (*Reader, error) {
	return newReader(ctx, js, Position{}, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	})
}

func newReader(ctx context.Context, js jetstream.JetStream, from Position, cfg jetstream.OrderedConsumerConfig) (*Reader, error) {
	s, err := js.Stream(ctx, StreamEvents)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	r := &Reader{stream: s, created: info.Created.UnixNano()}
	if from.Created != 0 && from.Created != r.created {
		return nil, fmt.Errorf("%w: %s is not the stream that the state was read from (made %s, now %s): if its events are lost for good, begin with an empty state folder", ErrStream, StreamEvents, time.Unix(0, from.Created).UTC().Format(time.RFC3339), info.Created.UTC().Format(time.RFC3339))
	}
	if from.Created != 0 && from.Sequence > info.State.LastSeq {
		return nil, fmt.Errorf("%w: the state has read up to %d of %s, which ends at %d: the server lost acknowledged events", ErrStream, from.Sequence, StreamEvents, info.State.LastSeq)
	}
	start := from.Sequence + 1
	if from.Created != 0 { // else the first message that is there is the beginning
		r.last = from.Sequence
		if first := info.State.FirstSeq; first > start {
			r.lost, r.last = first-start, first-1
		}
	}
	consumer, err := s.OrderedConsumer(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	if r.messages, err = consumer.Messages(jetstream.PullMaxBytes(8 << 20)); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return r, nil
}

// Position of a message of this stream.
func (r *Reader) Position(sequence uint64) Position { return Position{sequence, r.created} }

// Next waits for the next message, at most for as long; ok is false if none came.
func (r *Reader) Next(wait time.Duration) (m Message, ok bool, err error) {
	raw, err := r.messages.Next(jetstream.NextMaxWait(wait))
	switch {
	case errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoHeartbeat):
		return m, false, nil
	case err != nil:
		return m, false, fmt.Errorf("read events: %w", err)
	}
	meta, err := raw.Metadata()
	if err != nil {
		return m, false, fmt.Errorf("read events: %w", err)
	}
	// The reader takes all subjects, and nothing is deleted from the stream but by its
	// limits.
	if r.last != 0 && meta.Sequence.Stream > r.last+1 {
		r.lost += meta.Sequence.Stream - r.last - 1
	}
	r.last = meta.Sequence.Stream
	m = Message{Sequence: meta.Sequence.Stream, Stored: meta.Timestamp, Pending: meta.NumPending, Data: raw.Data()}
	if m.Tick = raw.Subject() == tickSubject; !m.Tick {
		m.Partition, m.Node, m.Err = parseSubject(raw.Subject())
	}
	return m, true, nil
}

// Tick publishes a message that says nothing but when the stream has stored it: to
// all who read the stream the same time passes.
func Tick(ctx context.Context, js jetstream.JetStream) error {
	if _, err := js.Publish(ctx, tickSubject, nil); err != nil {
		return fmt.Errorf("tell the time: %w", err)
	}
	return nil
}

// Close ends reading.
func (r *Reader) Close() { r.messages.Stop() }

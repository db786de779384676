package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// OutEvent is an event as it came. It is no message of a processor: sinks that take
// events read the stream EVENTS themselves; and it is the kind of a dead letter.
const OutEvent Out = 'e'

// EventConsumer reads the stream EVENTS for one sink, as Consumer does OUT: what was
// handed out and not settled comes again.
type EventConsumer struct{ Consumer }

// NewEventConsumer finds the place of a sink in the stream, or makes one behind all
// that is there now.
func NewEventConsumer(ctx context.Context, js jetstream.JetStream, sink string) (*EventConsumer, error) {
	c, err := js.CreateOrUpdateConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{
		Durable: sink, FilterSubject: eventsPrefix + "*.*.*", DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxAckPending: mostPending, MaxDeliver: -1, InactiveThreshold: forgotten,
	})
	if err != nil {
		return nil, fmt.Errorf("read events for %s: %w", sink, err)
	}
	return &EventConsumer{Consumer{js: js, sink: sink, consumer: c, out: map[uint64]jetstream.Msg{}, taken: map[uint64][]bool{}}}, nil
}

// Envelope is one message of the stream, for a sink.
type Envelope struct {
	Message
	result Result
}

// Next waits for the next envelope, at most for as long; ok is false if none came.
func (c *EventConsumer) Next(wait time.Duration) (e Envelope, ok bool, err error) {
	if len(c.fetched) == 0 {
		if err := c.fetch(wait); err != nil {
			return e, false, fmt.Errorf("read events for %s: %w", c.sink, err)
		}
		if len(c.fetched) == 0 {
			return e, false, nil
		}
	}
	raw := c.fetched[0]
	c.fetched = c.fetched[1:]
	meta, err := raw.Metadata() // fetch has read it
	if err != nil {
		return e, false, fmt.Errorf("read events for %s: %w", c.sink, err)
	}
	e.Message = Message{Sequence: meta.Sequence.Stream, Stored: meta.Timestamp, Pending: meta.NumPending, Data: raw.Data()}
	if e.Tick = raw.Subject() == tickSubject; !e.Tick {
		e.Partition, e.Node, e.Err = parseSubject(raw.Subject())
	}
	e.result = Result{
		consumer: &c.Consumer, message: &message{msg: raw, sequence: e.Sequence, taken: make([]bool, 1), left: 1}, name: fmt.Sprint("envelope ", e.Sequence),
	}
	return e, true, nil
}

// Done says that the sink has all events of it.
func (e *Envelope) Done() error { return e.result.Done() }

// Bury puts one event among the dead letters of the sink.
func (c *EventConsumer) Bury(ctx context.Context, id string, data []byte, why error) error {
	m := nats.NewMsg(undeliveredPrefix + c.sink)
	m.Data = data
	m.Header.Set(headerName, string(rune(OutEvent))+"/"+id+"/0")
	m.Header.Set(headerReason, headerText(why.Error()))
	m.Header.Set(nats.MsgIdHdr, c.sink+"/e/"+id) // once, though it may die twice
	if _, err := c.js.PublishMsg(ctx, m); err != nil {
		return fmt.Errorf("keep a dead letter of %s: %w", c.sink, err)
	}
	return nil
}

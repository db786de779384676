package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Consumer reads the stream OUT for one sink. The server keeps what the sink has not
// taken yet, so it may be killed and come back: what was handed out and not settled
// comes again.
type Consumer struct {
	js       jetstream.JetStream
	sink     string
	consumer jetstream.Consumer
	fetched  []jetstream.Msg

	mu  sync.Mutex
	out map[uint64]jetstream.Msg // fetched and not settled, by sequence
}

const (
	// ackWait is after how long a result that nothing was heard of comes again.
	ackWait = 12 * time.Second
	// mostPending is how many results may be with a sink, those that wait to be tried
	// again included. More stay in the stream.
	mostPending = 1000
	fetchAtOnce = 100
	// forgotten is after how long the place of a sink that is no more is given up.
	forgotten = 7 * 24 * time.Hour
)

// NewConsumer finds the place of a sink in the stream, or makes one behind all that
// is there now. A sink's name is of letters, digits and dashes.
func NewConsumer(ctx context.Context, js jetstream.JetStream, sink string, kinds ...Out) (*Consumer, error) {
	subjects := []string{outAgain + sink}
	for _, k := range kinds {
		switch k {
		case OutTimeline:
			subjects = append(subjects, outTimeline)
		case OutAlert:
			subjects = append(subjects, outAlert+"*")
		}
	}
	c, err := js.CreateOrUpdateConsumer(ctx, StreamOut, jetstream.ConsumerConfig{
		Durable: sink, FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxAckPending: mostPending, MaxDeliver: -1, InactiveThreshold: forgotten,
	})
	if err != nil {
		return nil, fmt.Errorf("read results for %s: %w", sink, err)
	}
	return &Consumer{js: js, sink: sink, consumer: c, out: map[uint64]jetstream.Msg{}}, nil
}

// Result is one result for a sink.
type Result struct {
	Kind     Out
	ID       string // of the timeline or alert
	Revision uint32
	Stored   time.Time
	Attempt  int // how often it was handed out, from 1
	Data     []byte

	consumer *Consumer
	message  jetstream.Msg
	name     string // kind/id/revision
	sequence uint64
}

// Next waits for the next result, at most for as long; ok is false if none came.
func (c *Consumer) Next(wait time.Duration) (r Result, ok bool, err error) {
	if len(c.fetched) == 0 {
		if err := c.fetch(wait); err != nil {
			return r, false, fmt.Errorf("read results for %s: %w", c.sink, err)
		}
		if len(c.fetched) == 0 {
			return r, false, nil
		}
	}
	m := c.fetched[0]
	c.fetched = c.fetched[1:]
	meta, err := m.Metadata() // fetch has read it
	if err != nil {
		return r, false, fmt.Errorf("read results for %s: %w", c.sink, err)
	}
	r = Result{Stored: meta.Timestamp, Attempt: int(meta.NumDelivered), Data: m.Data(), consumer: c, message: m, sequence: meta.Sequence.Stream}
	if r.name, r.Kind, r.ID, r.Revision, ok = parseName(m.Headers().Get(nats.MsgIdHdr)); !ok {
		// None of ours: nobody could do anything with it, now or later.
		return r, false, r.settled(m.TermWithReason("no result"))
	}
	return r, true, nil
}

// fetch takes what is there; with nothing there it waits for one.
func (c *Consumer) fetch(wait time.Duration) error {
	b, err := c.consumer.FetchNoWait(fetchAtOnce)
	if err == nil && !c.take(b) && b.Error() == nil {
		if b, err = c.consumer.Fetch(1, jetstream.FetchMaxWait(max(wait, time.Millisecond))); err == nil {
			c.take(b)
		}
	}
	if err == nil {
		err = b.Error()
	}
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) {
		return nil
	}
	return err
}

func (c *Consumer) take(b jetstream.MessageBatch) (any bool) {
	for m := range b.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			continue // it was not sent by a stream
		}
		c.fetched, any = append(c.fetched, m), true
		c.mu.Lock()
		c.out[meta.Sequence.Stream] = m
		c.mu.Unlock()
	}
	return any
}

// Working says that the sink is at what was handed out; else it comes again. It may
// be called from another goroutine.
func (c *Consumer) Working() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first error
	for _, m := range c.out {
		if err := m.InProgress(); err != nil && first == nil {
			first = fmt.Errorf("go on with %s: %w", c.sink, err)
		}
	}
	return first
}

// parseName reads KIND/ID/REVISION[/...].
func parseName(text string) (name string, kind Out, id string, revision uint32, ok bool) {
	parts := strings.Split(text, "/")
	if len(parts) < 3 || len(parts[0]) != 1 || parts[1] == "" {
		return "", 0, "", 0, false
	}
	n, err := strconv.ParseUint(parts[2], 10, 32)
	return strings.Join(parts[:3], "/"), Out(parts[0][0]), parts[1], uint32(n), err == nil
}

// Done says that the sink has it.
func (r *Result) Done() error { return r.settled(r.message.Ack()) }

// Again has it handed out again later.
func (r *Result) Again(after time.Duration) error {
	return r.settled(r.message.NakWithDelay(max(after, time.Millisecond)))
}

// Dead puts it among the dead letters of the sink.
func (r *Result) Dead(ctx context.Context, why error) error {
	m := nats.NewMsg(undeliveredPrefix + r.consumer.sink)
	m.Data = r.Data
	m.Header.Set(headerName, r.name)
	m.Header.Set(headerReason, headerText(why.Error()))
	m.Header.Set(nats.MsgIdHdr, fmt.Sprint(r.consumer.sink, "/", r.sequence)) // once, though it may die twice
	if _, err := r.consumer.js.PublishMsg(ctx, m); err != nil {
		return fmt.Errorf("keep a dead letter of %s: %w", r.consumer.sink, err)
	}
	return r.settled(r.message.Term())
}

func (r *Result) settled(err error) error {
	r.consumer.mu.Lock()
	delete(r.consumer.out, r.sequence)
	r.consumer.mu.Unlock()
	if err != nil {
		return fmt.Errorf("settle %s for %s: %w", r.name, r.consumer.sink, err)
	}
	return nil
}

// Backlog is how many results the sink has not taken for good.
func (c *Consumer) Backlog(ctx context.Context) (uint64, error) {
	info, err := c.consumer.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look up the backlog of %s: %w", c.sink, err)
	}
	return info.NumPending + uint64(info.NumAckPending), nil
}

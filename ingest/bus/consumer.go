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

// Consumer reads the stream OUT for one sink, result by result, though many timelines
// share a message. The server keeps the messages of which the sink has not taken
// everything yet, so it may be killed and come back: what was handed out and not
// settled comes again, and with it, after a crash, what was settled of the same message.
// Alerts have a message each.
type Consumer struct {
	js       jetstream.JetStream
	stream   jetstream.Stream
	sink     string
	consumer jetstream.Consumer
	fetched  []jetstream.Msg
	opened   []Result // of the message at hand

	mu  sync.Mutex
	out map[uint64]jetstream.Msg // fetched and not settled, by sequence
	// taken are results that were settled for good of messages that were not yet.
	taken map[uint64][]bool
}

// message is one that was handed out.
type message struct {
	msg      jetstream.Msg
	sequence uint64
	taken    []bool        // settled for good
	left     int           // handed out and not settled
	again    time.Duration // 0: nothing of it is to come again
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
	s, err := js.Stream(ctx, StreamOut)
	if err != nil {
		return nil, fmt.Errorf("read results for %s: %w", sink, err)
	}
	return &Consumer{js: js, stream: s, sink: sink, consumer: c, out: map[uint64]jetstream.Msg{}, taken: map[uint64][]bool{}}, nil
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
	message  *message
	place    int    // in the message
	name     string // kind/id/revision
}

// Next waits for the next result, at most for as long; ok is false if none came.
func (c *Consumer) Next(wait time.Duration) (r Result, ok bool, err error) {
	for len(c.opened) == 0 {
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
		if err := c.open(m); err != nil {
			return r, false, fmt.Errorf("read results for %s: %w", c.sink, err)
		}
	}
	r, c.opened = c.opened[0], c.opened[1:]
	return r, true, nil
}

// open makes results of a message, those that are not settled yet. What is none of
// ours is taken out of the way: nobody could do anything with it, now or later.
func (c *Consumer) open(raw jetstream.Msg) error {
	meta, err := raw.Metadata() // take has read it
	if err != nil {
		return err
	}
	ids := names(raw.Headers())
	ctx, cancel := context.WithTimeout(context.Background(), partWait)
	defer cancel()
	data, err := contents(ctx, c.stream, raw, len(ids))
	if err != nil && !errors.Is(err, errUnreadable) {
		return err // it comes again
	}
	m := &message{msg: raw, sequence: meta.Sequence.Stream}
	c.mu.Lock()
	if m.taken = c.taken[m.sequence]; m.taken == nil {
		m.taken = make([]bool, len(ids))
	}
	c.mu.Unlock()
	for i, id := range ids {
		r := Result{Stored: meta.Timestamp, Attempt: int(meta.NumDelivered), consumer: c, message: m, place: i}
		ok := false
		if r.name, r.Kind, r.ID, r.Revision, ok = parseName(id); err != nil || !ok || m.taken[i] {
			m.taken[i] = true
			continue
		}
		r.Data = data[i]
		c.opened = append(c.opened, r)
	}
	if m.left = len(c.opened); m.left == 0 {
		return errors.Join(err, c.finished(m, raw.TermWithReason("no result")))
	}
	return nil
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
func (r *Result) Done() error { return r.settled(0) }

// Again has it handed out again later.
func (r *Result) Again(after time.Duration) error { return r.settled(max(after, time.Millisecond)) }

// Dead puts it among the dead letters of the sink.
func (r *Result) Dead(ctx context.Context, why error) error {
	m := nats.NewMsg(undeliveredPrefix + r.consumer.sink)
	m.Data = r.Data
	m.Header.Set(headerName, r.name)
	m.Header.Set(headerReason, headerText(why.Error()))
	m.Header.Set(nats.MsgIdHdr, fmt.Sprint(r.consumer.sink, "/", r.message.sequence, "/", r.place)) // once, though it may die twice
	if _, err := sendParts(ctx, r.consumer.js, m, undeliveredPart, false, 0); err != nil {
		return fmt.Errorf("keep a dead letter of %s: %w", r.consumer.sink, err)
	}
	if _, err := r.consumer.js.PublishMsg(ctx, m); err != nil {
		return fmt.Errorf("keep a dead letter of %s: %w", r.consumer.sink, err)
	}
	return r.settled(0)
}

// settled notes what became of a result: it is done with, or comes again after so long.
// When that is known of all results of its message, the server is told.
func (r *Result) settled(again time.Duration) error {
	c, m := r.consumer, r.message
	c.mu.Lock()
	m.left--
	if again == 0 {
		m.taken[r.place] = true
	} else if m.again == 0 || again < m.again {
		m.again = again
	}
	left := m.left
	c.mu.Unlock()
	var err error
	switch {
	case left > 0:
		return nil
	case m.again > 0:
		err = c.finished(m, m.msg.NakWithDelay(m.again))
	default:
		err = c.finished(m, m.msg.Ack())
	}
	if err != nil {
		return fmt.Errorf("settle %s for %s: %w", r.name, c.sink, err)
	}
	return nil
}

// finished notes that the server was told of a message, or could not be.
func (c *Consumer) finished(m *message, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.out, m.sequence)
	if delete(c.taken, m.sequence); m.again > 0 || err != nil {
		c.taken[m.sequence] = m.taken
	}
	return err
}

// Backlog is how many messages the sink has not taken for good: of alerts one each, of
// timelines with up to some hundreds of them.
func (c *Consumer) Backlog(ctx context.Context) (uint64, error) {
	info, err := c.consumer.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look up the backlog of %s: %w", c.sink, err)
	}
	return info.NumPending + uint64(info.NumAckPending), nil
}

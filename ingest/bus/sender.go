package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/schemas/event"
)

// linger is how long an event waits for company.
const linger = 10 * time.Millisecond

// inFlight is how many envelopes wait for their acknowledgement at most.
const inFlight = 256

// ErrClosed is returned by a Sender after Close.
var ErrClosed = errors.New("sender is closed")

// Sender packs the events of one node into envelopes and publishes them, at
// least once each. Send and Close may be called from several goroutines; Run
// does the work and must run for as long as the sender is used.
type Sender struct {
	js      jetstream.JetStream
	node    string
	session Session
	sealed  chan *nats.Msg // bounded: back pressure
	done    chan struct{}  // closed when Run has ended

	mu       sync.Mutex
	sequence uint64
	packs    [event.Sources]pack
	scratch  []byte
	closed   bool
}

// pack is an envelope being filled.
type pack struct {
	events []byte // fields of the envelope
	count  int
	since  time.Time
}

// NewSender returns a sender for a node, "" for what no node saw. Each life of a
// program has its own.
func NewSender(js jetstream.JetStream, node string) *Sender {
	s := &Sender{js: js, node: node, sealed: make(chan *nats.Msg, 16), done: make(chan struct{})}
	rand.Read(s.session[:]) // never fails
	return s
}

// Send takes an event over. It waits when too much is under way, and returns
// the error of ctx, or ErrClosed.
func (s *Sender) Send(ctx context.Context, e *event.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	p := &s.packs[e.Source]
	if p.count == 0 {
		p.since = time.Now()
	}
	p.events, s.scratch = appendEvent(p.events, e, s.scratch)
	p.count++
	if p.count < fullEvents && len(p.events) < fullBytes {
		return nil
	}
	select {
	case s.sealed <- s.seal(e.Source):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return ErrClosed
	}
}

// seal makes a message of a pack; the lock is held.
func (s *Sender) seal(source event.Source) *nats.Msg {
	p := &s.packs[source]
	s.sequence++
	h := Head{Version: SchemaVersion, Session: s.session, Sequence: s.sequence, Node: s.node, Source: source, Partition: uint32(PartitionOf(s.node))}
	plain := append(h.append(make([]byte, 0, len(p.events)+128)), p.events...)
	p.events, p.count = p.events[:0], 0
	m := nats.NewMsg(Subject(s.node, source))
	m.Data = s2.Encode(nil, plain)
	m.Header.Set(nats.MsgIdHdr, h.MessageID())
	return m
}

// lingering returns the messages of packs that have waited long enough, all of
// them if asked so. It returns none while Send is waiting: then there is enough.
func (s *Sender) lingering(all bool) []*nats.Msg {
	if !s.mu.TryLock() {
		return nil
	}
	defer s.mu.Unlock()
	var out []*nats.Msg
	for len(s.sealed) > 0 { // in their order
		out = append(out, <-s.sealed)
	}
	for i := range s.packs {
		if p := &s.packs[i]; p.count > 0 && (all || time.Since(p.since) >= linger) {
			out = append(out, s.seal(event.Source(i)))
		}
	}
	return out
}

// Close takes no more events. Run sends what is left and returns.
func (s *Sender) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// sent is a message under way.
type sent struct {
	msg *nats.Msg
	ack jetstream.PubAckFuture
}

// Run publishes until the sender is closed and everything is acknowledged, or
// ctx ends. A message whose acknowledgement does not come is published again,
// for as long as it takes.
func (s *Sender) Run(ctx context.Context) error {
	defer close(s.done)
	tick := time.NewTicker(linger)
	defer tick.Stop()
	var pending []sent
	for {
		if len(pending) >= inFlight {
			if err := s.settle(ctx, &pending); err != nil {
				return err
			}
			continue
		}
		var acked <-chan *jetstream.PubAck
		var failed <-chan error
		if len(pending) > 0 {
			acked, failed = pending[0].ack.Ok(), pending[0].ack.Err()
		}
		var out []*nats.Msg
		select {
		case m := <-s.sealed:
			out = append(out, m)
		case <-acked:
			pending = pending[1:]
		case <-failed:
			first := pending[0].msg
			pending = pending[1:]
			if err := s.again(ctx, first); err != nil {
				return err
			}
		case <-tick.C:
			closed := s.isClosed()
			out = s.lingering(closed)
			if closed && len(out) == 0 && len(pending) == 0 {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, m := range out {
			ack, err := s.js.PublishMsgAsync(m)
			if err != nil { // the client's buffer is full or the connection gone
				if err := s.again(ctx, m); err != nil {
					return err
				}
				continue
			}
			pending = append(pending, sent{m, ack})
		}
	}
}

func (s *Sender) isClosed() bool {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	return s.closed
}

// settle waits for the oldest message, and publishes it again if it must.
func (s *Sender) settle(ctx context.Context, pending *[]sent) error {
	first := (*pending)[0]
	*pending = (*pending)[1:]
	select {
	case <-first.ack.Ok():
		return nil
	case <-first.ack.Err():
		return s.again(ctx, first.msg)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// again publishes one message until it is acknowledged.
func (s *Sender) again(ctx context.Context, m *nats.Msg) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		_, err := s.js.PublishMsg(ctx, m)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrAuthorization):
			return fmt.Errorf("publish events of %q: %w", s.node, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

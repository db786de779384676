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

// linger is how long an event waits for company; and, as long as envelopes of its
// sender are under way, lingerBusy. What the bus writes to its disk one by one it
// takes only so many of: the slower it is, the fuller they are (as RFC 896 has it
// for TCP).
const (
	linger     = 10 * time.Millisecond
	lingerBusy = 10 * linger
)

// inFlight is how many envelopes wait for their acknowledgement at most, of a sender
// and of a spool. They may overtake each other: what a bus refuses that came back a
// moment ago, because its streams are not there yet, the client sends again behind the
// rest. So it must stay well below span.
const inFlight = 256

// ErrClosed is returned by a Sender after Close.
var ErrClosed = errors.New("sender is closed")

// Sender packs the events of one node into envelopes and publishes them, at
// least once each. Send and Close may be called from several goroutines; Run
// does the work and must run for as long as the sender is used.
type Sender struct {
	js      jetstream.JetStream
	node    string
	spool   *Spool // nil: what cannot be sent waits
	session Session
	sealed  chan *nats.Msg // bounded: back pressure
	done    chan struct{}  // closed when Run has ended
	trouble trouble

	mu       sync.Mutex
	sequence uint64
	stuck    []*nats.Msg // sealed, and nobody waited until they were handed on
	packs    [event.Sources]pack
	scratch  []byte
	closed   bool

	ackMu    sync.Mutex    // never held while waiting
	safe     uint64        // up to here the bus, or the spool, has everything
	progress chan struct{} // closed and made anew when safe grows
}

// pack is an envelope being filled.
type pack struct {
	events []byte // fields of the envelope
	count  int
	since  time.Time
}

// NewSender returns a sender for a node, "" for what no node saw. Each life of a
// program has its own. With a spool, which may be nil, what the bus does not take
// goes to the disk instead, and counts as taken.
func NewSender(js jetstream.JetStream, node string, spool *Spool) *Sender {
	s := &Sender{js: js, node: event.Valid(node), spool: spool, sealed: make(chan *nats.Msg, 16), done: make(chan struct{}), progress: make(chan struct{})}
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
	return s.hand(ctx, s.seal(e.Source))
}

// hand gives a sealed message to Run; the lock is held. The message goes out even
// if nobody waits until it is taken: others may have events in it.
func (s *Sender) hand(ctx context.Context, m *nats.Msg) error {
	if len(s.stuck) > 0 { // in their order
		s.stuck = append(s.stuck, m)
		return nil
	}
	select {
	case s.sealed <- m:
		return nil
	case <-ctx.Done():
		s.stuck = append(s.stuck, m)
		return ctx.Err()
	case <-s.done:
		return ErrClosed
	}
}

// Flush sends what waits for company and returns when the bus, or the spool, has
// all that was taken over before, or with the error of ctx, or ErrClosed.
func (s *Sender) Flush(ctx context.Context) error {
	s.mu.Lock()
	for i := range s.packs {
		if s.packs[i].count > 0 {
			if err := s.hand(ctx, s.seal(event.Source(i))); err != nil {
				s.mu.Unlock()
				return err
			}
		}
	}
	upTo := s.sequence
	s.mu.Unlock()
	for {
		s.ackMu.Lock()
		safe, progress := s.safe, s.progress
		s.ackMu.Unlock()
		if safe >= upTo {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return ErrClosed
		}
	}
}

// Trouble is why the bus did not take what was last sent to it, nil if it did or if
// that waits in the spool.
func (s *Sender) Trouble() error { return s.trouble.get() }

// acknowledged notes that one message more is safe, the next in order.
func (s *Sender) acknowledged() {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	s.safe++
	close(s.progress)
	s.progress = make(chan struct{})
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

// lingering returns the messages of packs that have waited for so long, after those
// that were sealed before. It returns none while Send is waiting: then there is
// enough.
func (s *Sender) lingering(least time.Duration) []*nats.Msg {
	if !s.mu.TryLock() {
		return nil
	}
	defer s.mu.Unlock()
	var out []*nats.Msg
	for len(s.sealed) > 0 { // in their order
		out = append(out, <-s.sealed)
	}
	out = append(out, s.stuck...)
	s.stuck = nil
	for i := range s.packs {
		if p := &s.packs[i]; p.count > 0 && time.Since(p.since) >= least {
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
	msg     *nats.Msg
	ack     jetstream.PubAckFuture // nil: it must be published again
	spooled bool                   // it is on the disk
	at      time.Time
}

// Run publishes until the sender is closed and everything is safe, or ctx ends. A
// message whose acknowledgement does not come is published again, for as long as
// it takes, or goes to the spool.
func (s *Sender) Run(ctx context.Context) error {
	defer close(s.done)
	tick := time.NewTicker(linger)
	defer tick.Stop()
	var pending []sent // in order
	for {
		for len(pending) > 0 && (len(pending) >= inFlight || pending[0].spooled || pending[0].ack == nil) {
			if err := s.settle(ctx, &pending); err != nil {
				return err
			}
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
			s.acknowledged()
			if len(pending) == 0 {
				out = s.lingering(linger)
			}
		case <-failed:
			pending[0].ack = nil
		case <-tick.C:
			closed, least := s.isClosed(), linger
			switch {
			case closed:
				least = 0
			case len(pending) > 0:
				least = lingerBusy
			}
			out = s.lingering(least)
			if closed && len(out) == 0 && len(pending) == 0 {
				return nil
			}
			if len(pending) > 0 && time.Since(pending[0].at) > publishWait {
				pending[0].ack = nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, m := range out {
			pending = append(pending, s.publish(m))
		}
	}
}

// publish sends a message, or spools it if others wait there or the bus is away.
func (s *Sender) publish(m *nats.Msg) sent {
	if s.spool != nil && (s.spool.active() || !s.js.Conn().IsConnected()) && s.spool.put(m) == nil {
		return sent{msg: m, spooled: true}
	}
	ack, err := s.js.PublishMsgAsync(m)
	if err != nil { // the client's buffer is full or the connection gone
		ack = nil
	}
	return sent{msg: m, ack: ack, at: time.Now()}
}

func (s *Sender) isClosed() bool {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	return s.closed
}

// settle waits until the oldest message is safe.
func (s *Sender) settle(ctx context.Context, pending *[]sent) error {
	first := (*pending)[0]
	*pending = (*pending)[1:]
	if first.spooled {
		s.acknowledged()
		return nil
	}
	if first.ack != nil {
		late := time.NewTimer(publishWait - time.Since(first.at))
		defer late.Stop()
		select {
		case <-first.ack.Ok():
			s.acknowledged()
			return nil
		case <-first.ack.Err():
		case <-late.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := s.again(ctx, first.msg); err != nil {
		return err
	}
	s.acknowledged()
	return nil
}

// again publishes one message until it is acknowledged, or spools it when that
// fails or others wait there already.
func (s *Sender) again(ctx context.Context, m *nats.Msg) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := nats.ErrDisconnected
		if s.spool == nil || s.js.Conn().IsConnected() && !s.spool.active() {
			_, err = s.js.PublishMsg(ctx, m)
		}
		if s.spool == nil {
			s.trouble.note(err)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case permanent(err):
			return fmt.Errorf("publish events of %q: %w", s.node, err)
		case s.spool != nil && s.spool.put(m) == nil:
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// permanent reports whether waiting does not mend an error of publishing. A user who
// may not is the operator's to mend, meanwhile nothing is thrown away.
func permanent(err error) bool { return errors.Is(err, nats.ErrMaxPayload) }

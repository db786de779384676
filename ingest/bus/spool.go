package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sennit-io/sennit/ingest/bus/spool"
	"github.com/sennit-io/sennit/schemas/event"
)

// Spool keeps envelopes on the disk of a node while the bus is away, for all its
// senders. What it holds counts as taken.
type Spool struct {
	queue   *spool.Queue
	open    Opener
	lost    func(Dropped)
	trouble trouble
}

// trouble is why the bus does not take what is sent, for whoever asks.
type trouble struct{ why atomic.Pointer[error] }

// note takes what became of a message. That the bus is away is another matter.
func (t *trouble) note(err error) {
	if !errors.Is(err, nats.ErrDisconnected) {
		t.why.Store(&err)
	}
}

func (t *trouble) get() error {
	if why := t.why.Load(); why != nil {
		return *why
	}
	return nil
}

// Dropped is an envelope that had to make room for newer ones; one that could not be
// read has no events.
type Dropped struct {
	Node     string
	Source   event.Source
	Events   int
	From, To event.Time // of its events
}

// OpenSpool opens or makes a spool of at most so many bytes. Lost is told what was
// dropped; it must not wait for a sender.
func OpenSpool(dir string, most int64, lost func(Dropped)) (*Spool, error) {
	s := &Spool{lost: lost}
	var err error
	s.queue, err = spool.Open(dir, most, s.dropped)
	return s, err
}

// MinSpool is the least size of a spool: an envelope must fit into a part of it.
const MinSpool = 16 * maxMessages

// Close closes the files; Run has ended.
func (s *Spool) Close() error { return s.queue.Close() }

// Size is how much waits.
func (s *Spool) Size() (envelopes int, bytes int64) { return s.queue.Size() }

// Trouble is why the bus did not take what was last sent to it, nil if it did.
func (s *Spool) Trouble() error { return s.trouble.get() }

// active reports whether something waits: then what comes must wait behind it.
func (s *Spool) active() bool {
	n, _ := s.queue.Size()
	return n > 0
}

func (s *Spool) put(m *nats.Msg) error {
	b := protowire.AppendString(nil, m.Subject)
	b = protowire.AppendString(b, m.Header.Get(nats.MsgIdHdr))
	return s.queue.Put(append(b, m.Data...))
}

func unspool(record []byte) (*nats.Msg, error) {
	subject, n := protowire.ConsumeString(record)
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	record = record[n:]
	id, n := protowire.ConsumeString(record)
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	m := nats.NewMsg(subject)
	m.Header.Set(nats.MsgIdHdr, id)
	m.Data = record[n:]
	return m, nil
}

func (s *Spool) dropped(record []byte) {
	m, err := unspool(record)
	var b event.Batch
	var h Head
	if err == nil {
		h, err = s.open.Open(m.Data, &b)
	}
	if err != nil { // of another version, or the disk's doing: of what it held there is no word
		now := event.At(time.Now())
		s.lost(Dropped{From: now, To: now})
		return
	}
	d := Dropped{Node: h.Node, Source: h.Source, Events: len(b.Events)}
	for i := range b.Events {
		t := b.Events[i].Time
		d.To = max(d.To, t)
		if d.From == 0 || t < d.From {
			d.From = t
		}
	}
	s.lost(d)
}

const (
	drainBytes  = 4 << 20 // under way at once, and no more than inFlight
	drainPause  = 500 * time.Millisecond
	publishWait = 5 * time.Second
)

// Run sends what waits, in its order, whenever the bus is there, until ctx ends. An
// error is one that waiting does not mend.
func (s *Spool) Run(ctx context.Context, js jetstream.JetStream) error {
	for {
		select {
		case <-s.queue.More():
		case <-ctx.Done():
			return nil
		}
		for s.active() {
			err := s.drain(ctx, js)
			s.trouble.note(err)
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, errDrain):
				return err
			case err != nil:
				select {
				case <-time.After(drainPause):
				case <-ctx.Done():
					return nil
				}
			}
		}
	}
}

// errDrain is wrapped by what sending again does not mend.
var errDrain = errors.New("the spool cannot be sent")

// drain sends some envelopes and lets them go once the bus has them all.
func (s *Spool) drain(ctx context.Context, js jetstream.JetStream) error {
	if !js.Conn().IsConnected() {
		return nats.ErrDisconnected
	}
	b, err := s.queue.Read(inFlight, drainBytes)
	if err != nil {
		return fmt.Errorf("%w: %w", errDrain, err)
	}
	acks := make([]jetstream.PubAckFuture, 0, len(b.Records))
	for _, record := range b.Records {
		m, err := unspool(record)
		if err != nil {
			return fmt.Errorf("%w: %w", errDrain, err)
		}
		ack, err := js.PublishMsgAsync(m)
		if err != nil {
			return drainError(err)
		}
		acks = append(acks, ack)
	}
	late := time.NewTimer(publishWait)
	defer late.Stop()
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return drainError(err)
		case <-late.C:
			return nats.ErrTimeout
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.queue.Done(b)
}

func drainError(err error) error {
	if permanent(err) {
		return fmt.Errorf("%w: %w", errDrain, err)
	}
	return err
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Out is what a processor sends.
type Out byte

// What a processor sends, and where.
const (
	OutTimeline Out = 't' // JSON of one revision, to the stream OUT
	OutAlert    Out = 'a' // JSON of one revision, to the stream OUT; the id is of AlertID
	OutDead     Out = 'd' // an envelope that could not be read, to the stream DEAD
)

// DeadLetter is the body of an OutDead message.
func DeadLetter(why error, envelope []byte) []byte {
	reason := strconv.Quote(why.Error()) // one line, whatever a sender wrote
	return append(append([]byte(reason[:min(len(reason), 500)]), '\n'), envelope...)
}

// AlertID is the id under which a revision of an alert is published. The severity
// ahead is for the subject.
func AlertID(severity, id string, revision uint32, state string) string {
	return severity + "/" + id + "/" + strconv.FormatUint(uint64(revision), 10) + "/" + state
}

// Stream is where a kind goes.
func (k Out) Stream() string {
	if k == OutDead {
		return StreamDead
	}
	return StreamOut
}

// MessageID is the id under which the stream stores a message.
func MessageID(kind Out, id string) string {
	if kind == OutAlert {
		_, id, _ = strings.Cut(id, "/")
	}
	return string(rune(kind)) + "/" + id
}

// Publish sends a message to its stream if that ends with a sequence: nobody else has
// written to it meanwhile. Timelines go to sennit.out.timeline, alerts to
// sennit.out.alert.SEVERITY, envelopes that cannot be read to sennit.dead.envelope.
func Publish(js jetstream.JetStream, kind Out, id string, body []byte, behind uint64) (jetstream.PubAckFuture, error) {
	m := nats.NewMsg(outTimeline)
	m.Data = body
	switch kind {
	case OutAlert:
		severity, _, _ := strings.Cut(id, "/")
		m.Subject = outAlert + severity
	case OutDead:
		m.Subject = deadPrefix + "envelope"
	}
	m.Header.Set(nats.MsgIdHdr, MessageID(kind, id))
	m.Header.Set(nats.ExpectedLastSeqHdr, strconv.FormatUint(behind, 10))
	ack, err := js.PublishMsgAsync(m)
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", id, err)
	}
	return ack, nil
}

// Overtaken reports whether a stream refused a message because it has another end.
func Overtaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// OutReader reads the timelines of the stream OUT in its order, for a sink that knows how
// far it got. (A durable consumer would bring what was not acknowledged behind what is
// new.)
type OutReader struct {
	messages jetstream.MessagesContext
	// Lost is how many messages the stream had dropped before they were read; there
	// may have been alerts among them, which are not this reader's.
	Lost uint64
}

// OutMessage is one timeline of the stream OUT.
type OutMessage struct {
	Sequence uint64
	ID       string // timeline id / revision; the same id is the same message again
	Data     []byte
}

// OutCreated is the identity of the stream OUT.
func OutCreated(ctx context.Context, js jetstream.JetStream) (int64, error) {
	s, err := js.Stream(ctx, StreamOut)
	if err != nil {
		return 0, fmt.Errorf("read results: %w", err)
	}
	return s.CachedInfo().Created.UnixNano(), nil
}

// NewOutReader reads on behind a sequence.
func NewOutReader(ctx context.Context, js jetstream.JetStream, after uint64) (*OutReader, error) {
	s, err := js.Stream(ctx, StreamOut)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	r := &OutReader{}
	if state := s.CachedInfo().State; after > 0 && state.FirstSeq > after+1 {
		r.Lost = state.FirstSeq - after - 1
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1, FilterSubjects: []string{outTimeline},
	})
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	if r.messages, err = c.Messages(jetstream.PullMaxBytes(8 << 20)); err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	return r, nil
}

// Next waits for the next message, at most for as long; ok is false if none came.
func (r *OutReader) Next(wait time.Duration) (m OutMessage, ok bool, err error) {
	raw, err := r.messages.Next(jetstream.NextMaxWait(wait))
	switch {
	case errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoHeartbeat):
		return m, false, nil
	case err != nil:
		return m, false, fmt.Errorf("read results: %w", err)
	}
	meta, err := raw.Metadata()
	if err != nil {
		return m, false, fmt.Errorf("read results: %w", err)
	}
	id := strings.TrimPrefix(raw.Headers().Get(nats.MsgIdHdr), string(rune(OutTimeline))+"/")
	return OutMessage{Sequence: meta.Sequence.Stream, ID: id, Data: raw.Data()}, true, nil
}

// Close ends reading.
func (r *OutReader) Close() { r.messages.Stop() }

package bus

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Out is what a processor sends.
type Out byte

// What a processor sends, and where.
const (
	OutTimeline Out = 't' // JSON of revisions, packed, to the stream OUT
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

// MessageID is the id under which the streams hold a result.
func MessageID(kind Out, id string) string {
	if kind == OutAlert {
		_, id, _ = strings.Cut(id, "/")
	}
	return string(rune(kind)) + "/" + id
}

// headerResults names the results of a message of several, in its order: what follows
// the streams need not read what is in them. A message of one is named by its
// Nats-Msg-Id.
const headerResults = "Sennit-Results"

// Publish sends a message to its stream if that ends with a sequence: nobody else has
// written to it meanwhile. Timelines go to sennit.out.timeline, several in one message
// (ids in the order of the lines that Pack was given, none with a space), alerts to
// sennit.out.alert.SEVERITY, envelopes that cannot be read to sennit.dead.envelope. It
// waits only for a body that takes more than one message, until all but the last are
// stored. At is the sequence that the message has when the stream takes it.
func Publish(ctx context.Context, js jetstream.JetStream, kind Out, ids []string, body []byte, behind uint64) (ack jetstream.PubAckFuture, at uint64, err error) {
	m := nats.NewMsg(outTimeline)
	m.Data = body
	switch kind {
	case OutTimeline:
		m.Header.Set(headerResults, strings.Join(ids, " "))
	case OutAlert:
		severity, _, _ := strings.Cut(ids[0], "/")
		m.Subject = outAlert + severity
	case OutDead:
		m.Subject = deadPrefix + "envelope"
	}
	if kind != OutTimeline {
		m.Header.Set(nats.MsgIdHdr, MessageID(kind, ids[0]))
	}
	part := outPart
	if kind == OutDead {
		part = deadPart
	}
	if behind, err = sendParts(ctx, js, m, part, true, behind); err != nil {
		return nil, 0, fmt.Errorf("send %s: %w", ids[0], err)
	}
	m.Header.Set(nats.ExpectedLastSeqHdr, strconv.FormatUint(behind, 10))
	if ack, err = js.PublishMsgAsync(m); err != nil {
		return nil, 0, fmt.Errorf("send %s: %w", ids[0], err)
	}
	return ack, behind + 1, nil
}

// mostUnpacked bounds what a message of timelines unpacks to.
const mostUnpacked = 256 << 20

// Pack makes the body of a message of timelines: their lines as one S2 block.
func Pack(lines ...[]byte) []byte {
	var plain []byte
	for _, l := range lines {
		plain = append(append(plain, l...), '\n')
	}
	return s2.Encode(nil, plain)
}

// Unpack returns the lines of a body that was made of n.
func Unpack(body []byte, n int) ([][]byte, error) {
	if size, err := s2.DecodedLen(body); err != nil || size > mostUnpacked {
		return nil, fmt.Errorf("%w: %d bytes of results, at most %d are taken: %w", errUnreadable, size, mostUnpacked, cmp.Or(err, s2.ErrTooLarge))
	}
	plain, err := s2.Decode(nil, body)
	if err != nil {
		return nil, fmt.Errorf("%w: unpack results: %w", errUnreadable, err)
	}
	lines := bytes.SplitAfter(plain, []byte{'\n'})
	lines = lines[:len(lines)-1] // what is behind the last end
	if len(lines) != n {
		return nil, fmt.Errorf("%w: %d lines, %d were announced", errUnreadable, len(lines), n)
	}
	for i, l := range lines {
		lines[i] = l[: len(l)-1 : len(l)-1]
	}
	return lines, nil
}

// names are the ids of the results in a message, as of MessageID.
func names(header nats.Header) (ids []string) {
	list := header.Get(headerResults)
	if list == "" {
		if id := header.Get(nats.MsgIdHdr); id != "" {
			ids = append(ids, id)
		}
		return ids
	}
	for id := range strings.SplitSeq(list, " ") {
		ids = append(ids, MessageID(OutTimeline, id))
	}
	return ids
}

// contents are the results in a message of a stream, in the order of names.
func contents(ctx context.Context, s jetstream.Stream, m jetstream.Msg, n int) ([][]byte, error) {
	body, err := wholeBody(ctx, s, m.Headers(), m.Data())
	if err != nil {
		return nil, err
	}
	if m.Headers().Get(headerResults) == "" {
		return [][]byte{body}, nil
	}
	return Unpack(body, n)
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
	stream   jetstream.Stream
	messages jetstream.MessagesContext
	// Lost is how many messages the stream had dropped before they were read; there
	// may have been alerts among them, which are not this reader's.
	Lost uint64
}

// OutMessage is the timelines of one message of the stream OUT.
type OutMessage struct {
	Sequence uint64
	IDs      []string // timeline id / revision; the same id is the same timeline again
	Lines    [][]byte // the JSON of each
	Err      error    // why there are none, and never will be
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
	r := &OutReader{stream: s}
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
	m.Sequence, m.IDs = meta.Sequence.Stream, names(raw.Headers())
	for i := range m.IDs {
		m.IDs[i] = strings.TrimPrefix(m.IDs[i], string(rune(OutTimeline))+"/")
	}
	ctx, cancel := context.WithTimeout(context.Background(), partWait)
	defer cancel()
	m.Lines, err = contents(ctx, r.stream, raw, len(m.IDs))
	if errors.Is(err, errUnreadable) {
		m.IDs, m.Lines, m.Err = nil, nil, err
		return m, true, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("read results: message %d: %w", m.Sequence, err)
	}
	return m, true, nil
}

// Close ends reading.
func (r *OutReader) Close() { r.messages.Stop() }

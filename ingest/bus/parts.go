package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A body that is too large for one message goes ahead in parts, to a subject of the
// same stream that nobody filters for. The message itself has the last part, and names
// the others by their sequences: who takes it looks them up. Parts whose message never
// came, because their sender died, are part of nothing.

// headerParts names the sequences of the parts, in their order.
const headerParts = "Sennit-Parts"

// partBytes leaves room for headers below what servers take by default.
const partBytes = maxMessages - 64<<10

// partWait is how long the parts of one message may take to come.
const partWait = 30 * time.Second

// sendParts stores all of a message's body but the last part, which it leaves in the
// message, and returns the last sequence it got. With expected, each is stored only at
// the end of the stream, which is behind at first.
func sendParts(ctx context.Context, js jetstream.JetStream, m *nats.Msg, subject string, expected bool, behind uint64) (last uint64, err error) {
	var sequences []string
	for last = behind; len(m.Data) > partBytes; m.Data = m.Data[partBytes:] {
		part := nats.NewMsg(subject)
		part.Data = m.Data[:partBytes]
		if expected {
			part.Header.Set(nats.ExpectedLastSeqHdr, strconv.FormatUint(last, 10))
		}
		ack, err := js.PublishMsg(ctx, part)
		if err != nil {
			return last, fmt.Errorf("send a part: %w", err)
		}
		last = ack.Sequence
		sequences = append(sequences, strconv.FormatUint(last, 10))
	}
	if len(sequences) > 0 {
		m.Header.Set(headerParts, strings.Join(sequences, " "))
	}
	return last, nil
}

// parts are the sequences of the other parts of a message.
func parts(h nats.Header) (sequences []uint64, err error) {
	for text := range strings.FieldsSeq(h.Get(headerParts)) {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUnreadable, headerParts, err)
		}
		sequences = append(sequences, n)
	}
	return sequences, nil
}

// errUnreadable is wrapped by errors of a message that no waiting mends.
var errUnreadable = errors.New("a message cannot be read")

// wholeBody is the body of a message with its other parts.
func wholeBody(ctx context.Context, s jetstream.Stream, h nats.Header, last []byte) ([]byte, error) {
	sequences, err := parts(h)
	if err != nil {
		return nil, err
	}
	return joined(ctx, s, sequences, last)
}

// joined is a body of which all but the last part are in other messages.
func joined(ctx context.Context, s jetstream.Stream, sequences []uint64, last []byte) ([]byte, error) {
	if len(sequences) == 0 {
		return last, nil
	}
	var all bytes.Buffer
	for _, sequence := range sequences {
		m, err := s.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, fmt.Errorf("%w: the stream has dropped a part of it, message %d", errUnreadable, sequence)
		}
		if err != nil {
			return nil, fmt.Errorf("look up a part, message %d: %w", sequence, err)
		}
		all.Write(m.Data)
		if all.Len() > mostUnpacked {
			return nil, fmt.Errorf("%w: it is of more than %d bytes", errUnreadable, mostUnpacked)
		}
	}
	all.Write(last)
	return all.Bytes(), nil
}

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

// Headers of a dead letter.
const (
	headerName   = "Sennit-Result"
	headerReason = "Sennit-Reason"
)

// headerText makes one line of a text, of a bounded length.
func headerText(s string) string {
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s), "")
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "")
	}
	return s
}

// Letter is a result that a sink did not take.
type Letter struct {
	Sequence uint64    `json:"sequence"` // names it, for Resend
	Kind     string    `json:"kind"`     // timeline, alert or event
	ID       string    `json:"id"`
	Revision uint32    `json:"revision"`
	Time     time.Time `json:"time"` // when it was given up
	Reason   string    `json:"reason"`

	name  string
	data  []byte
	parts []uint64 // messages that hold more of the data
}

// Undelivered calls f for the dead letters of a sink, oldest first, until it returns
// an error.
func Undelivered(ctx context.Context, js jetstream.JetStream, sink string, f func(*Letter) error) error {
	s, err := js.Stream(ctx, StreamUndelivered)
	if err != nil {
		return fmt.Errorf("read dead letters: %w", err)
	}
	for next := uint64(1); ; {
		m, err := s.GetMsg(ctx, next, jetstream.WithGetMsgSubject(undeliveredPrefix+sink))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read dead letters: %w", err)
		}
		l := Letter{Sequence: m.Sequence, Time: m.Time.UTC(), Reason: m.Header.Get(headerReason), data: m.Data}
		if l.parts, err = parts(m.Header); err != nil {
			return fmt.Errorf("read dead letters: %w", err)
		}
		var kind Out
		var ok bool
		if l.name, kind, l.ID, l.Revision, ok = parseName(m.Header.Get(headerName)); ok {
			switch kind {
			case OutAlert:
				l.Kind = "alert"
			case OutEvent:
				l.Kind = "event"
			default:
				l.Kind = "timeline"
			}
			if err := f(&l); err != nil {
				return err
			}
		}
		next = m.Sequence + 1
	}
}

// Resend sends dead letters of a sink to it once more, all of them or the one of a
// sequence, and returns how many.
func Resend(ctx context.Context, js jetstream.JetStream, sink string, sequence uint64) (n int, err error) {
	s, err := js.Stream(ctx, StreamUndelivered)
	if err != nil {
		return 0, fmt.Errorf("send dead letters again: %w", err)
	}
	err = Undelivered(ctx, js, sink, func(l *Letter) error {
		if sequence != 0 && l.Sequence != sequence {
			return nil
		}
		m := nats.NewMsg(outAgain + sink)
		m.Header.Set(nats.MsgIdHdr, l.name+"/"+sink+"/"+strconv.FormatUint(l.Sequence, 10))
		if m.Data, err = joined(ctx, s, l.parts, l.data); err != nil {
			return fmt.Errorf("send a dead letter again: %w", err)
		}
		if _, err := sendParts(ctx, js, m, outPart, false, 0); err != nil {
			return fmt.Errorf("send a dead letter again: %w", err)
		}
		if _, err := js.PublishMsg(ctx, m); err != nil {
			return fmt.Errorf("send a dead letter again: %w", err)
		}
		for _, sequence := range append([]uint64{l.Sequence}, l.parts...) {
			if err := s.DeleteMsg(ctx, sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
				return fmt.Errorf("remove a dead letter that was sent again: %w", err)
			}
		}
		n++
		return nil
	})
	return n, err
}

package socket

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// Counts are what a Source did not see or could not read, since its start.
type Counts struct {
	// Lost did not fit the ring, Bad could not be read.
	Lost, Bad uint64
	// Unread are pieces of answers within TLS that were not copied, Unfollowed the
	// processes whose TLS was not looked into.
	Unread, Unfollowed uint64
	// Opaque are answers to a client's POST within TLS that are in no form that is
	// read: neither JSON nor events, compressed by something else than gzip and
	// deflate, too long for that, or damaged. Plain are those outside TLS, whose
	// bodies are never looked at.
	Opaque, Plain uint64
	// The others are the decoder's.
	Unreadable, Unknown, Forgotten uint64
}

// Counts returns how it stood a moment ago. It may be called at any time.
func (s *Source) Counts() Counts {
	if c := s.counts.Load(); c != nil {
		return *c
	}
	return Counts{}
}

// blind says what is not observed, since the source was opened or else from now on,
// until it says so again: it is a gap in every request of this node.
func (s *Source) blind(missing []string) {
	if len(missing) == 0 {
		return
	}
	e := s.Decoder.add(&s.batch, event.KindLoss, bootNow())
	p := s.batch.NewLoss()
	p.Of, p.From, p.To = event.SourceSocket, e.Time, e.Time.Add(listEvery)
	if s.opened != 0 {
		p.From, s.opened = min(s.opened, e.Time), 0
	}
	p.Reason = "not observed: " + strings.Join(missing, "; ")
	e.Payload = p
}

// Blind takes the place of Run where there is no shim at all: it says so until ctx
// ends, which is no error.
func (s *Source) Blind(ctx context.Context, sink ingest.Sink, reason string) error {
	if err := s.setClock(); err != nil {
		return err
	}
	again := time.NewTicker(listEvery)
	defer again.Stop()
	for {
		s.blind([]string{reason})
		if err := s.flush(ctx, sink); err != nil && ctx.Err() == nil && !errors.Is(err, ingest.ErrBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

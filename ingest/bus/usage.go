package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Usage is what a stream holds.
type Usage struct {
	Stream          string
	Messages, Bytes uint64
	MaxBytes        int64 // at which the oldest go, -1 for no limit
}

// Usages returns what each stream holds.
func Usages(ctx context.Context, js jetstream.JetStream) (list []Usage, err error) {
	for _, cfg := range streams() {
		s, err := js.Stream(ctx, cfg.Name)
		if err != nil {
			return nil, fmt.Errorf("look up stream %s: %w", cfg.Name, err)
		}
		info := s.CachedInfo()
		list = append(list, Usage{cfg.Name, info.State.Msgs, info.State.Bytes, info.Config.MaxBytes})
	}
	return list, nil
}

// Missed watches what the stream OUT drops before a sink has taken it. Not for
// concurrent use.
type Missed struct {
	taken uint64 // up to here the sink has everything, or it was counted
}

// Look returns how many messages the stream has dropped since the last look that the
// sink had not taken. It is an upper bound: messages that are not for this sink are
// among them, and up to a thousand that it took ahead of one that it is still at.
func (m *Missed) Look(ctx context.Context, js jetstream.JetStream, sink string) (messages uint64, err error) {
	s, err := js.Stream(ctx, StreamOut)
	if err != nil {
		return 0, fmt.Errorf("look up stream %s: %w", StreamOut, err)
	}
	stream := s.CachedInfo().State // before the sink's place: it can only be further
	c, err := s.Consumer(ctx, sink)
	if err != nil {
		return 0, fmt.Errorf("look up the place of %s: %w", sink, err)
	}
	info := c.CachedInfo()
	if info.NumPending == 0 && info.NumAckPending == 0 {
		m.taken = max(m.taken, stream.LastSeq)
		return 0, nil
	}
	m.taken = max(m.taken, info.AckFloor.Stream)
	if stream.FirstSeq > m.taken+1 {
		messages = stream.FirstSeq - 1 - m.taken
		m.taken = stream.FirstSeq - 1
	}
	return messages, nil
}

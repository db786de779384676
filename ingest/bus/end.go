package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// OutEnd is the number of the last message of the stream OUT.
func OutEnd(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	s, err := js.Stream(ctx, StreamOut)
	if err != nil {
		return 0, fmt.Errorf("read results: %w", err)
	}
	return s.CachedInfo().State.LastSeq, nil
}

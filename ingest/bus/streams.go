package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrStream is wrapped by every error about a stream that is not as it must be.
var ErrStream = errors.New("stream does not fit")

// MaxAge is how long the streams keep messages where nothing else is said: longer
// than any processor is away.
const MaxAge = 24 * time.Hour

// Limits shape the streams when they are made.
type Limits struct {
	Replicas int           // 1 for one server, 3 for a cluster
	MaxBytes int64         // of EVENTS, and of OUT; the oldest go first
	MaxAge   time.Duration // of EVENTS, and of OUT
}

// streams are those that a bus has. What is published to them, and may be read by
// whom, is in permissions.go.
func streams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{Name: StreamEvents, Subjects: []string{eventsPrefix + "*.*.*"}, Description: "envelopes of events"},
		{Name: StreamOut, Subjects: []string{outPrefix + ">"}, Description: "timelines and alerts for the sinks"},
		{Name: StreamDead, Subjects: []string{deadPrefix + "*"}, Description: "envelopes that cannot be read"},
		{Name: StreamUndelivered, Subjects: []string{undeliveredPrefix + "*"}, Description: "results that a sink did not take"},
	}
}

// Setup makes the streams that are missing and checks those that exist. An error
// that wraps ErrStream says what differs and how to mend it.
func Setup(ctx context.Context, js jetstream.JetStream, l Limits) error {
	for _, cfg := range streams() {
		cfg.Storage = jetstream.FileStorage
		cfg.Retention = jetstream.LimitsPolicy
		cfg.Discard = jetstream.DiscardOld
		cfg.Replicas = max(1, l.Replicas)
		cfg.MaxBytes, cfg.MaxAge = l.MaxBytes, l.MaxAge
		cfg.Duplicates = min(2*time.Minute, l.MaxAge)
		cfg.DenyDelete, cfg.MaxMsgSize = true, maxMessages
		switch cfg.Name {
		case StreamOut: // a sink that was away for as long must still find what it missed
			cfg.MaxAge *= 2
		case StreamDead:
			cfg.MaxBytes = min(l.MaxBytes, 1<<30)
		case StreamUndelivered: // for people to look at; what was sent again is deleted
			cfg.MaxBytes, cfg.MaxAge, cfg.DenyDelete = min(l.MaxBytes, 256<<20), 30*l.MaxAge, false
		}
		if err := ensure(ctx, js, cfg); err != nil {
			return err
		}
	}
	return nil
}

func ensure(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	s, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if _, err = js.CreateStream(ctx, want); err == nil {
			return nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another was faster
			return fmt.Errorf("create stream %s: %w", want.Name, err)
		}
		s, err = js.Stream(ctx, want.Name)
	}
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", want.Name, err)
	}
	got := s.CachedInfo().Config
	if want.Name == StreamOut && slices.Equal(got.Subjects, []string{outTimeline}) { // of before there were alerts
		got.Subjects, got.MaxAge = want.Subjects, want.MaxAge
		if _, err := js.UpdateStream(ctx, got); err != nil {
			return fmt.Errorf("widen stream %s: %w", want.Name, err)
		}
	}
	differ := func(what string, is, must any) error {
		return fmt.Errorf("%w: %s has %s %v, it must be %v: change it with 'nats stream edit %s', or delete the stream to have it made anew", ErrStream, want.Name, what, is, must, want.Name)
	}
	switch {
	case len(got.Subjects) != 1 || got.Subjects[0] != want.Subjects[0]:
		return differ("subjects", got.Subjects, want.Subjects)
	case got.Storage != want.Storage:
		return differ("storage", got.Storage, want.Storage)
	case got.Retention != want.Retention:
		return differ("retention", got.Retention, want.Retention)
	case got.Discard != want.Discard:
		return differ("discard", got.Discard, want.Discard)
	case got.MaxMsgSize != -1 && got.MaxMsgSize < want.MaxMsgSize:
		return differ("a message size of", got.MaxMsgSize, want.MaxMsgSize)
	}
	return nil
}

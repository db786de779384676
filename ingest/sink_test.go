package ingest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// A sink that is busy is asked until it takes the batch, and at the end for a while.
func TestHand(t *testing.T) {
	broken := errors.New("broken")
	f := func(what string, want error, asked int, took time.Duration, sink ingest.Sink) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			n, began := 0, time.Now()
			err := ingest.Hand(ctx, func(ctx context.Context, b *event.Batch) error {
				n++
				return sink(context.WithValue(ctx, asks{}, n), b)
			}, &event.Batch{}, 5*time.Second+time.Millisecond)
			if !errors.Is(err, want) || n != asked || time.Since(began) != took {
				t.Errorf("%s: %v after %d times in %v, want %v after %d in %v", what, err, n, time.Since(began), want, asked, took)
			}
		})
	}
	f("takes it", nil, 1, 0, func(context.Context, *event.Batch) error { return nil })
	f("is broken", broken, 1, 0, func(context.Context, *event.Batch) error { return broken })
	f("is busy for a while", nil, 4, 150*time.Millisecond, func(ctx context.Context, _ *event.Batch) error {
		if ctx.Value(asks{}).(int) < 4 {
			return ingest.ErrBusy
		}
		return nil
	})
	f("takes it after the end", nil, 1, 3*time.Second, func(ctx context.Context, _ *event.Batch) error {
		select {
		case <-time.After(3 * time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	f("hangs", context.Canceled, 1, 6*time.Second+time.Millisecond, func(ctx context.Context, _ *event.Batch) error {
		<-ctx.Done()
		return ctx.Err()
	})
	f("is busy for ever", context.Canceled, 121, 6*time.Second+time.Millisecond, func(context.Context, *event.Batch) error { return ingest.ErrBusy })
}

type asks struct{}

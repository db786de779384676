package wire

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/event"
)

func batchAt(ms ...int) *event.Batch {
	b := &event.Batch{}
	for _, m := range ms {
		e := b.Add(event.KindClock, event.SourceSocket)
		e.Time, e.Payload = event.Time(1e18+m*1e6), b.NewClock()
	}
	return b
}

// Events come when they are due, a late one at once, and none is lost.
func TestPace(t *testing.T) {
	f := func(speed float64, want []int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var got []int
			p := &pacer{speed: speed, push: func(b *event.Batch, _ event.Time) error {
				for range b.Events {
					got = append(got, int(time.Since(began)/time.Millisecond))
				}
				return nil
			}}
			for _, b := range []*event.Batch{batchAt(0, 50, 1000, 1010), batchAt(400, 3000)} {
				if err := p.emit(t.Context(), b, 0); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("speed %v (-want +got):\n%s", speed, diff)
			}
		})
	}
	f(0, []int{0, 0, 0, 0, 0, 0})
	f(1, []int{0, 0, 1000, 1000, 1000, 3000})
	f(10, []int{0, 0, 100, 100, 100, 300})
}

func TestPaceStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := &pacer{speed: 1, push: func(*event.Batch, event.Time) error { return nil }}
		if err := p.emit(ctx, batchAt(0, 60_000), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

package live

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/schemas/event"
)

// What a turn keeps of its pushes is what recovery needs to decide the same: a time
// that passed before events came stays, of several in a row the last one.
func TestTurnKeepsTheTimeBeforeEvents(t *testing.T) {
	p, err := NewProcessor(bustest.Start(t), NewMetrics(prometheus.NewRegistry()), Options{
		Dir: filepath.Join(t.TempDir(), "state"), Shards: 1, Window: window.Default(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	began := time.Now()
	one := turn{p: p}
	push := func(after time.Duration, events int) {
		b := new(event.Batch)
		for range events {
			e := b.Add(event.KindSpan, event.SourceOTLP)
			e.Time, e.Node, e.Payload = event.At(began), "n", b.NewSpan()
		}
		one.push(&bus.Message{Tick: events == 0, Stored: began.Add(after)}, b, false)
	}
	push(time.Second, 0)
	push(2*time.Second, 0)
	push(time.Minute, 0)
	push(time.Minute+time.Second, 1)
	push(2*time.Minute, 0)
	push(3*time.Minute, 0)
	want := []struct {
		after  time.Duration
		events int
	}{{time.Minute, 0}, {time.Minute + time.Second, 1}, {3 * time.Minute, 0}}
	if len(one.pushes) != len(want) {
		t.Fatalf("%d pushes are kept, want %d", len(one.pushes), len(want))
	}
	for i, w := range want {
		if got := one.pushes[i]; got.Now != event.At(began.Add(w.after)) || len(got.Events) != w.events {
			t.Errorf("push %d is of %v with %d events, want %v after the start with %d", i, got.Now, len(got.Events), w.after, w.events)
		}
	}
}

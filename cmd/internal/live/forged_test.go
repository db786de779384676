package live_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/cmd/internal/live"
	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
)

// Envelopes whose events name another node than the one whose credentials they came
// with: the events are dropped and counted, and the starter rule tells of each such
// sender once; what came in its own name is taken, and accuses nobody.
func TestForgedNodeIsTold(t *testing.T) {
	js := bustest.Start(t)
	told, err := bus.NewConsumer(t.Context(), js, "test", bus.OutAlert)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := detect.Load(os.DirFS("../../../deploy/rules"))
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	p, err := live.NewProcessor(js, live.NewMetrics(registry), live.Options{
		Dir: filepath.Join(t.TempDir(), "state"), Shards: 1, Window: window.Default(), Rules: rules, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()

	count := byte(0)
	// send sends an envelope as a node, with an event of each of nodes.
	send := func(as string, nodes ...string) {
		t.Helper()
		s := bus.NewSender(js, as, nil)
		sent := make(chan error, 1)
		go func() { sent <- s.Run(t.Context()) }()
		for _, node := range nodes {
			count++
			now := event.At(time.Now())
			e := event.Event{ID: event.ID{1, 15: count}, Kind: event.KindProcessExec, Source: event.SourceTetragon, Node: node, Time: now, Observed: now, Payload: &event.Process{
				ExecID: event.ExecID([]byte{'x', count}), Process: event.ProcessRef{PID: uint32(count), StartNS: 1}, Binary: "/bin/true",
			}}
			if err := s.Send(t.Context(), &e); err != nil {
				t.Fatal(err)
			}
		}
		s.Close()
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	// next is the sender that the next alert accuses, empty where none comes.
	next := func(wait time.Duration) alert.Alert {
		t.Helper()
		for deadline := time.Now().Add(wait); time.Now().Before(deadline); {
			r, got, err := told.Next(100 * time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if !got {
				continue
			}
			var a alert.Alert
			if err := json.Unmarshal(r.Data, &a); err != nil {
				t.Fatal(err)
			}
			if err := r.Done(); err != nil {
				t.Fatal(err)
			}
			return a
		}
		return alert.Alert{}
	}
	check := func(a alert.Alert) {
		t.Helper()
		if a.RuleID != "forged_node" || a.Severity != "critical" || a.State != alert.Open || a.TimelineID != "" || len(a.EventIDs) != 1 {
			t.Errorf("the alert is %+v", a)
		}
	}
	send("n1", "n1", "", "n1")
	send("n2", "n2", "n1", "n9") // half of it is its own
	first := next(time.Minute)
	check(first)
	send("n2", "n1") // the same sender again: it is known
	send("n3", "n1") // another
	second := next(time.Minute)
	check(second)
	if first.ID == second.ID {
		t.Errorf("two senders have one alert, %s", first.ID)
	}
	if a := next(time.Second); a.ID != "" {
		t.Errorf("one too many: %+v", a)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	dropped := -1.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == "forged_node" {
					dropped = m.GetCounter().GetValue()
				}
			}
		}
	}
	if dropped != 4 {
		t.Errorf("%v events were dropped as forged, want 4", dropped)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

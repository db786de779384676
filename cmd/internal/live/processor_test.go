package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/cmd/internal/live"
	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// span is OTLP/JSON of a span that lasts a second.
func span(trace, id, parent, name string, end time.Time, attributes string) string {
	return fmt.Sprintf(`{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[{"traceId":%q,"spanId":%q,"parentSpanId":%q,"name":%q,"kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[%s]}]}]}]}`,
		trace, id, parent, name, end.Add(-time.Second).UnixNano(), end.UnixNano(), attributes)
}

// An alert that a later revision of its timeline does not have is withdrawn, also
// when the processor was started anew in between; one that stays as it is is not told
// again.
func TestAlertsAreWithdrawn(t *testing.T) {
	js := bustest.Start(t)
	told, err := bus.NewConsumer(t.Context(), js, "test", bus.OutAlert)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := detect.Load(fstest.MapFS{"r.yaml": {Data: []byte(`rules:
- {id: idle, title: no tool was used, severity: high, why: to see it go, request: "request.tool_calls == 0 && request.steps.exists(s, s.name == 'POST /run')"}
- {id: run, title: a request ran, severity: low, why: to see it stay, step: step.name == 'POST /run'}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "state")
	begin := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	now := event.Time(0)
	start := func() (stop func()) {
		p, err := live.NewProcessor(js, live.NewMetrics(prometheus.NewRegistry()), live.Options{
			Dir: dir, Shards: 1, Window: window.Default(), Rules: rules, Log: slog.New(slog.DiscardHandler),
			Clock: func(_ *bus.Message, events []event.Event) event.Time { // that of the events
				for i := range events {
					now = max(now, events[i].Time)
				}
				return now
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	decoder := replay.NewDecoder(redact.Policy{})
	send := func(lines ...string) {
		t.Helper()
		s := bus.NewSender(js, "n1", nil)
		sent := make(chan error, 1)
		go func() { sent <- s.Run(t.Context()) }()
		for _, line := range lines {
			var b event.Batch
			if _, _, err := decoder.Decode([]byte(line), &b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Events {
				b.Events[i].Node, b.Events[i].Observed = "n1", b.Events[i].Time
				if err := s.Send(t.Context(), &b.Events[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.Close()
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	// tick makes so much time pass, by spans of another request.
	ticks := 0
	tick := func(after time.Duration) {
		ticks++
		send(span(fmt.Sprintf("%032x", 0xf000+ticks), fmt.Sprintf("%016x", 0xf000+ticks), "", "tick", begin.Add(after), ""))
	}
	next := func() (a alert.Alert, ok bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
			r, got, err := told.Next(100 * time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if !got {
				continue
			}
			if err := json.Unmarshal(r.Data, &a); err != nil || r.ID != a.ID || r.Revision != a.Revision {
				t.Fatalf("result %s/%d is %+v, %v", r.ID, r.Revision, a, err)
			}
			if err := r.Done(); err != nil {
				t.Fatal(err)
			}
			return a, true
		}
		return a, false
	}
	expect := func(rule string, state alert.State, revision uint32) alert.Alert {
		t.Helper()
		a, ok := next()
		if !ok || a.RuleID != rule || a.State != state || a.Revision != revision {
			t.Errorf("told of %s %s, revision %d, want %s %s, revision %d", a.RuleID, a.State, a.Revision, rule, state, revision)
		}
		return a
	}

	const trace, root = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	stop := start()
	send(span(trace, root, "", "POST /run", begin, ""))
	tick(5 * time.Minute)
	opened := expect("idle", alert.Open, 1)
	expect("run", alert.Open, 1)
	stop()

	stop = start()
	send(span(trace, "00000000000000aa", root, "execute_tool t", begin.Add(-100*time.Millisecond), `{"key":"gen_ai.operation.name","value":{"stringValue":"execute_tool"}}`))
	tick(10 * time.Minute)
	withdrawn := expect("idle", alert.Withdrawn, 2)
	if withdrawn.ID != opened.ID || withdrawn.Title != opened.Title || withdrawn.TimelineID != trace {
		t.Errorf("withdrawn is %+v, want %+v", withdrawn, opened)
	}
	send(span("5bf92f3577b34da6a3ce929d0e0e4736", "10f067aa0ba902b7", "", "POST /run", begin.Add(10*time.Minute), ""))
	tick(20 * time.Minute)
	if a := expect("idle", alert.Open, 1); a.ID == opened.ID { // and nothing of the first in between
		t.Errorf("another request's alert has the id of the first")
	}
	stop()
}

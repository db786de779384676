package live

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
	"github.com/sennit-io/sennit/sinks/webhook"
)

var earlyRequests = flag.Int("early-requests", 40, "requests of TestMonotoneAlertsReachTheWebhook, one every 20 ms: 2000 for a figure")

// What nothing can refute reaches a webhook while its request is still open: a rule
// about an event at once, one about the request with the next look at it. Bus, state,
// outbox, lane and HTTP are the real ones.
func TestMonotoneAlertsReachTheWebhook(t *testing.T) {
	js := bustest.Start(t)
	rules, err := detect.Load(fstest.MapFS{"r.yaml": {Data: []byte(`rules:
- {id: killed, title: killed, severity: high, why: to see it come, event: "event.kind == 'enforcement' && event.action == 'sigkill'"}
- {id: loop, title: loop, severity: medium, why: to see it come, request: request.tool_calls > 1}
- {id: silent, title: no model, severity: low, why: it must wait, request: request.model_calls == 0}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	type arrival struct{ rule, trace string }
	var mu sync.Mutex
	sent, took, ofKilled := map[string]time.Time{}, map[arrival]time.Duration{}, map[string]string{}
	all := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		now := time.Now()
		body, _ := io.ReadAll(r.Body)
		var event struct {
			ID, Subject string
			Data        struct{ Message string }
		}
		if err := json.Unmarshal(body, &event); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		a := arrival{event.Data.Message, event.Subject}
		if a.rule == "killed" { // of a process whose request is not known yet
			a.trace = ofKilled[strings.TrimSuffix(event.ID, "-1")]
		}
		if _, twice := took[a]; twice || sent[a.trace].IsZero() {
			t.Errorf("%+v came twice, or of nothing: %.300s", a, body)
		}
		took[a] = now.Sub(sent[a.trace])
		if len(took) == 2**earlyRequests {
			close(all)
		}
	}))
	defer receiver.Close()
	ctx, stop := context.WithCancel(t.Context())
	sink, err := webhook.New(webhook.Config{URL: receiver.URL})
	if err != nil {
		t.Fatal(err)
	}
	lane, err := openLane(ctx, js, fanout.Config{Name: "hook", Takes: []sinks.Kind{sinks.Alert}, Wants: sink.Takes, Sink: sink, BatchCount: 1})
	if err != nil {
		t.Fatal(err)
	}
	closed, err := bus.NewConsumer(ctx, js, "closed", bus.OutTimeline)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProcessor(js, NewMetrics(prometheus.NewRegistry()), Options{
		Dir: filepath.Join(t.TempDir(), "state"), Shards: 1, Window: window.Default(), Rules: rules, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 3)
	go func() { ended <- p.Run(ctx) }()
	go func() { ended <- lane.run(ctx) }()
	s := bus.NewSender(js, "n1", nil)
	go func() { ended <- s.Run(ctx) }()

	send := func(e *event.Event) {
		e.Node, e.Observed = "n1", e.Time
		if err := s.Send(ctx, e); err != nil {
			t.Error(err)
		}
	}
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for i := range *earlyRequests {
		<-every.C
		now := event.At(time.Now())
		trace := event.TraceID{1, 15: byte(i), 14: byte(i >> 8)}
		mu.Lock()
		sent[trace.String()] = time.Now()
		killed := event.ID{4, 14: byte(i >> 8), 15: byte(i)}
		sum := sha256.Sum256([]byte("killed\x00" + killed.String()))
		ofKilled[hex.EncodeToString(sum[:16])] = trace.String()
		mu.Unlock()
		for n := range byte(2) {
			id := event.SpanID{1, 5: n, 6: byte(i >> 8), 7: byte(i)}
			send(&event.Event{ID: event.ID{2, 13: n, 14: byte(i >> 8), 15: byte(i)}, Kind: event.KindSpan, Source: event.SourceOTLP, Time: now, Payload: &event.Span{
				TraceID: trace, SpanID: id, ParentID: event.SpanID{9}, Stage: event.StageTool, Name: "execute_tool run", Start: now.Add(-time.Second),
			}})
		}
		// A process that its environment ties to the trace is killed.
		exec := event.ExecID(trace.String())
		send(&event.Event{ID: event.ID{3, 14: byte(i >> 8), 15: byte(i)}, Kind: event.KindProcessExec, Source: event.SourceTetragon, Time: now, Payload: &event.Process{
			ExecID: exec, Process: event.ProcessRef{PID: uint32(1000 + i), StartNS: 1}, Binary: "/usr/bin/nc", Trace: event.TraceContext{TraceID: trace, SpanID: event.SpanID{1, 7: byte(i)}, Format: "env"},
		}})
		send(&event.Event{ID: killed, Kind: event.KindEnforcement, Source: event.SourceTetragon, Time: now, Payload: &event.Syscall{
			ExecID: exec, Process: event.ProcessRef{PID: uint32(1000 + i), StartNS: 1}, Function: "tcp_connect", Action: "sigkill",
		}})
	}
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Error("not all alerts came")
	}
	mu.Lock()
	defer mu.Unlock()
	limit := 2 * time.Second
	if *earlyRequests < 1000 { // no figure; the machine may have other things to do
		limit = 10 * time.Second
	}
	for _, rule := range []string{"killed", "loop"} {
		var list []time.Duration
		for a, d := range took {
			if a.rule == rule {
				list = append(list, d)
			}
		}
		if len(list) != *earlyRequests {
			t.Fatalf("%d alerts of %s, want %d: %v", len(list), rule, *earlyRequests, took)
		}
		slices.Sort(list)
		p50, p99 := list[len(list)/2], list[(len(list)*99+99)/100-1]
		t.Logf("%s: %d alerts from event to webhook, p50 %v, p99 %v", rule, len(list), p50.Round(time.Millisecond), p99.Round(time.Millisecond))
		if p99 > limit {
			t.Errorf("%s: p99 is %v, want at most %v", rule, p99, limit)
		}
	}
	if _, got, err := closed.Next(100 * time.Millisecond); got || err != nil {
		t.Errorf("a timeline has closed already, %v", err)
	}
	s.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

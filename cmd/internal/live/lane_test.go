package live

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
	"github.com/sennit-io/sennit/sinks/webhook"
)

// A receiver that never answers does not delay another, however many alerts there
// are; its own wait on the bus, and are counted.
func TestDeadReceiverDelaysNobody(t *testing.T) {
	const many = 10_000
	js := bustest.Start(t)
	ctx, stop := context.WithCancel(t.Context())
	dead := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ctx.Done() }))
	defer dead.Close()
	defer stop()
	open := func(name, url string) *lane {
		s, err := webhook.New(webhook.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		l, err := openLane(ctx, js, fanout.Config{Name: name, Takes: []sinks.Kind{sinks.Alert}, Wants: s.Takes, Sink: s, BatchCount: 1})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	// receive opens a lane to a receiver that takes everything.
	receive := func(name string) (l *lane, taken *atomic.Int64, all chan struct{}) {
		taken, all = new(atomic.Int64), make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if taken.Add(1) == many {
				close(all)
			}
		}))
		t.Cleanup(s.Close)
		return open(name, s.URL), taken, all
	}
	first, firstTook, firstAll := receive("first")
	second, secondTook, secondAll := receive("second")
	away := open("dead", dead.URL)
	for i := range many {
		a := alert.Alert{ID: fmt.Sprint("alert", i), RuleID: "r", Severity: alert.High, Title: "t", State: alert.Open, Revision: 1, TimelineID: "t"}
		if _, _, err := bus.Publish(t.Context(), js, bus.OutAlert, []string{bus.AlertID("high", a.ID, 1, "open")}, a.AppendJSON(nil), uint64(i)); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 {
			<-js.PublishAsyncComplete()
		}
	}
	ended := make(chan error, 3)
	run := func(l *lane, all chan struct{}) time.Duration {
		began := time.Now()
		go func() { ended <- l.run(ctx) }()
		select {
		case <-all:
		case <-time.After(3 * time.Minute):
			t.Errorf("not all alerts were delivered to %s: %+v", l.Name, l.Status())
		}
		return time.Since(began).Round(time.Millisecond)
	}
	alone := run(first, firstAll)
	go func() { ended <- away.run(ctx) }()
	beside := run(second, secondAll)
	t.Logf("%d alerts: %v alone, %v beside a receiver that never answers", many, alone, beside)
	if beside > 3*alone+2*time.Second { // the machine has other work too
		t.Errorf("it took %v beside a receiver that never answers, %v alone", beside, alone)
	}
	if n, err := away.results.Backlog(); err != nil || n != many || away.Status().Delivered != 0 {
		t.Errorf("a backlog of %d, want %d: %v; %+v", n, many, err, away.Status())
	}
	stop()
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if a, b := firstTook.Load(), secondTook.Load(); a != many || b != many {
		t.Errorf("%d and %d deliveries of %d alerts", a, b, many)
	}
}

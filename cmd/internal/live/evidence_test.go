package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// ledger is a sink that remembers, refuses one record for good and fails others now
// and then.
type ledger struct {
	mu    sync.Mutex
	took  map[string]int
	calls int
	bad   string
	fail  func(call int) error
}

func (l *ledger) Write(_ context.Context, batch []sinks.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.fail != nil {
		if err := l.fail(l.calls); err != nil {
			return err
		}
	}
	var failed sinks.Failures
	for i, r := range batch {
		switch {
		case r.ID == l.bad:
			failed = append(failed, sinks.Failure{Index: i, Err: errors.New("never"), Permanent: true})
		case l.calls%4 == 0 && i%3 == 0:
			failed = append(failed, sinks.Failure{Index: i, Err: errors.New("not now")})
		default:
			l.took[string(r.Kind)+r.ID]++
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

func (l *ledger) Close() error { return nil }

// A sink that takes events gets each of those that the bus had, results beside them,
// through failures and another start; what it refuses is a dead letter that can be
// sent again; forged events and heartbeats do not come.
func TestEventsReachSinks(t *testing.T) {
	js := bustest.Start(t)
	const many = 300
	idOf := func(i int) event.ID { return event.ID{15: byte(i), 14: byte(i >> 8), 0: 1} }
	sink := &ledger{took: map[string]int{}, bad: idOf(13).String()}
	start := func() (l *lane, stop func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		l, err := openLane(ctx, js, fanout.Config{
			Name: "tables", Takes: []sinks.Kind{sinks.Timeline, sinks.Event}, Sink: sink, BatchCount: 50, BatchWait: 10 * time.Millisecond,
			FirstRetry: 5 * time.Millisecond, LastRetry: 50 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- l.run(ctx) }()
		return l, func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	wait := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			sink.mu.Lock()
			n := len(sink.took)
			sink.mu.Unlock()
			if n == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the sink has %d records, want %d", n, want)
			}
		}
	}
	l, stop := start()
	sender := bus.NewSender(js, "n1", nil)
	sending, done := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(sending) }()
	for i := range many {
		e := event.Event{ID: idOf(i), Kind: event.KindProcessExec, Source: event.SourceTetragon, Node: "n1", Time: event.At(time.Now()), Payload: &event.Process{Binary: fmt.Sprint("/bin/", i)}}
		switch i {
		case 100:
			e.Node = "n2" // forged
		case 101:
			e.Kind, e.Payload = event.KindClock, &event.Clock{}
		}
		if err := sender.Send(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			if err := sender.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if i == many/2 { // another processor leads from now on
			stop()
			l, stop = start()
		}
	}
	if err := sender.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bus.Publish(t.Context(), js, bus.OutTimeline, []string{"tl/1"}, bus.Pack([]byte("{}")), 0); err != nil {
		t.Fatal(err)
	}
	wait(many - 3 + 1)
	var letters []string
	for deadline := time.Now().Add(time.Minute); len(letters) == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err := bus.Undelivered(t.Context(), js, "tables", func(one *bus.Letter) error {
			letters = append(letters, one.Kind+" "+one.ID+" "+one.Reason)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"event " + idOf(13).String() + " never"}, letters); d != "" {
		t.Error(d)
	}
	sink.mu.Lock()
	sink.bad = ""
	sink.mu.Unlock()
	if n, err := bus.Resend(t.Context(), js, "tables", 0); n != 1 || err != nil {
		t.Errorf("%d sent again: %v", n, err)
	}
	wait(many - 2 + 1)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		n, err := (&both{results: l.results, evidence: l.evidence}).Backlog()
		if err == nil && n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a backlog of %d: %v", n, err)
		}
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if sink.took["ttl"] == 0 || sink.took["e"+idOf(100).String()]+sink.took["e"+idOf(101).String()] > 0 {
		t.Errorf("timeline %d, forged %d, heartbeat %d", sink.took["ttl"], sink.took["e"+idOf(100).String()], sink.took["e"+idOf(101).String()])
	}
	stop()
	sender.Close()
	done()
	if err := <-sent; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

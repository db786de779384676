package window_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
)

const base = event.Time(1_767_225_600_000_000_000)

func at(d time.Duration) event.Time { return base.Add(d) }

func clock(node string, of event.Source, mark time.Duration) *event.Event {
	return &event.Event{
		Kind: event.KindClock, Source: of, Node: node, Time: at(mark), Payload: &event.Clock{Of: of, Watermark: at(mark)},
	}
}

func flow(node string, t time.Duration) *event.Event {
	return &event.Event{Kind: event.KindFlow, Source: event.SourceHubble, Node: node, Time: at(t), Payload: &event.Flow{}}
}

func span(t time.Duration) *event.Event {
	return &event.Event{Kind: event.KindSpan, Source: event.SourceOTLP, Time: at(t), Payload: &event.Span{}}
}

// want asserts the watermark; zero means none yet.
func want(t *testing.T, tr *window.Tracker, mark time.Duration) {
	t.Helper()
	if got := tr.Advance(); got != at(mark) {
		t.Fatalf("watermark is %v after the base, want %v", got.Sub(base), mark)
	}
}

func TestInOrderTheNewestEventIsTheWatermark(t *testing.T) {
	cfg := window.Default()
	cfg.InOrder = true
	tr := window.NewTracker(cfg)
	if got := tr.Advance(); got != 0 {
		t.Fatalf("nothing was seen and the watermark is %v", got)
	}
	tr.Observe(flow("n1", 10*time.Second), 0)
	want(t, tr, 10*time.Second)
	tr.Observe(clock("n1", event.SourceSocket, time.Second), 0)
	want(t, tr, 10*time.Second) // never back, and nothing is ever idle
}

func TestWithoutHeartbeatsLatenessCounts(t *testing.T) {
	tr := window.NewTracker(window.Default())
	tr.Observe(flow("n1", 100*time.Second), 0)
	want(t, tr, 65*time.Second)
	tr.Observe(flow("n1", 50*time.Second), 0)
	want(t, tr, 65*time.Second)
	tr.Observe(flow("n2", 200*time.Second), at(120*time.Second)) // a clock beats what events claim
	want(t, tr, 85*time.Second)
	tr.Tick(at(140 * time.Second)) // nothing comes, time passes
	want(t, tr, 105*time.Second)
}

func TestSpansAdvanceNothing(t *testing.T) {
	tr := window.NewTracker(window.Default())
	tr.Observe(span(time.Hour), 0)
	if got := tr.Advance(); got != 0 {
		t.Fatalf("a span moved the watermark to %v", got)
	}
	tr.Observe(flow("n1", 100*time.Second), 0)
	tr.Observe(span(time.Hour), 0)
	want(t, tr, 65*time.Second)
}

func TestAnEventFromTheFutureIsClamped(t *testing.T) {
	year2100 := time.Duration(74*365*24) * time.Hour
	tr := window.NewTracker(window.Default())
	e := flow("n1", year2100)
	e.Observed = at(100 * time.Second)
	tr.Observe(e, 0)
	want(t, tr, 65*time.Second)

	tr = window.NewTracker(window.Default())
	tr.Observe(flow("n1", year2100), at(100*time.Second))
	want(t, tr, 65*time.Second)
}

func TestHeartbeatsHoldBack(t *testing.T) {
	tr := window.NewTracker(window.Default())
	now := at(100 * time.Second)
	tr.Observe(clock("n1", event.SourceSocket, 60*time.Second), now)
	tr.Observe(clock("n2", event.SourceSocket, 50*time.Second), now)
	want(t, tr, 50*time.Second) // the slower of the two, not now less the lateness
	tr.Observe(clock("n2", event.SourceSocket, 90*time.Second), at(101*time.Second))
	want(t, tr, 60*time.Second)
	tr.Observe(clock("n1", event.SourceSocket, 99*time.Second), at(101*time.Second))
	want(t, tr, 66*time.Second) // those without heartbeats may still be late
}

func TestASilentSenderIsLeftOut(t *testing.T) {
	tr := window.NewTracker(window.Default())
	tr.Observe(clock("n1", event.SourceSocket, 10*time.Second), at(100*time.Second))
	want(t, tr, 10*time.Second)
	tr.Tick(at(110 * time.Second))
	want(t, tr, 10*time.Second) // ten seconds are not yet silence
	tr.Tick(at(111 * time.Second))
	want(t, tr, 76*time.Second)
}

func TestAnIdleSenderIsLeftOutUntilItSpeaks(t *testing.T) {
	tr := window.NewTracker(window.Default())
	tr.Observe(clock("n1", event.SourceHubble, 60*time.Second), at(100*time.Second))
	idle := clock("n1", event.SourceHubble, 60*time.Second)
	idle.Payload.(*event.Clock).Idle = true
	tr.Observe(idle, at(100*time.Second))
	want(t, tr, 65*time.Second)
	tr.Observe(flow("n1", 101*time.Second), at(102*time.Second))
	want(t, tr, 65*time.Second) // its old word counts again: never back, and not beyond
}

func TestOneLaggingSenderOfManyIsLeftOut(t *testing.T) {
	tr := window.NewTracker(window.Default())
	now := at(1000 * time.Second)
	for i := range 199 {
		tr.Observe(clock(fmt.Sprint("n", i), event.SourceSocket, 990*time.Second), now)
	}
	tr.Observe(clock("slow", event.SourceSocket, 870*time.Second), now)
	want(t, tr, 870*time.Second) // two minutes behind the median are allowed
	tr.Observe(clock("slow", event.SourceHubble, 500*time.Second), now)
	want(t, tr, 870*time.Second) // more are not
	for i := range 199 {
		tr.Observe(clock(fmt.Sprint("n", i), event.SourceSocket, 995*time.Second), now)
	}
	want(t, tr, 965*time.Second) // now the first one is too slow as well
}

func TestTheWatermarkNeverGoesBack(t *testing.T) {
	tr := window.NewTracker(window.Default())
	last := event.Time(0)
	for i := range 1000 {
		d := time.Duration(i*7919%500) * time.Second
		switch i % 3 {
		case 0:
			tr.Observe(flow("n1", d), at(d/2))
		case 1:
			tr.Observe(clock("n2", event.SourceSocket, d), at(d))
		case 2:
			tr.Tick(at(d))
		}
		if got := tr.Advance(); got < last {
			t.Fatalf("step %d: the watermark went back from %v to %v", i, last, got)
		} else {
			last = got
		}
	}
}

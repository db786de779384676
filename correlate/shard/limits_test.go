package shard_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate/enginetest"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/correlate/state"
	"github.com/sennit-io/sennit/correlate/stitch"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// replay gives the events to a fresh engine, in order, and closes it.
func replay(t *testing.T, events []event.Event) (*recorder, shard.Stats) {
	t.Helper()
	out := newRecorder(t)
	cfg := inOrder(1)
	e := shard.New(cfg, out)
	e.Push(&event.Batch{Events: sorted(events)}, 0)
	e.Close()
	conserved(t, e, uint64(len(events)), true)
	return out, e.Stats()
}

func lines(t *testing.T, format string, n int) []event.Event {
	t.Helper()
	var list []event.Event
	for i := range n {
		e, err := enginetest.ParseLine(fmt.Sprintf(format, i))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

func TestStepsBeyondTheLimitAreCounted(t *testing.T) {
	events := lines(t, "span trace=t1 span=s%d parent=root stage=tool tool=t name=tool start=1s at=2s", stitch.MaxSteps+20)
	events = append(events, lines(t, "span trace=t1 span=root kind=server name=run start=0s at=%d000ms", 4)[3])
	out, _ := replay(t, events)
	list := out.canonical()
	if len(list) != 1 || len(list[0].Steps) != stitch.MaxSteps || list[0].Truncated != 21 {
		t.Fatalf("%d timelines, want 1; %d steps, want %d; %d truncated, want 21", len(list), len(list[0].Steps), stitch.MaxSteps, list[0].Truncated)
	}
}

// What is left out is the end, and no step hangs below one that is: here each began
// before its parent did, as spans of machines with other clocks do.
func TestBytesBeyondTheLimitAreCounted(t *testing.T) {
	const n = 2400
	name := strings.Repeat("n", 4000)
	var events []event.Event
	for i := range n {
		line := fmt.Sprintf("span trace=t1 span=s%d parent=s%d stage=tool tool=t name=%s start=%dms at=20s", i, i+1, name, i)
		if i == n-1 {
			line = fmt.Sprintf("span trace=t1 span=s%d kind=server name=run start=%dms at=20s", i, i)
		}
		e, err := enginetest.ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	out, _ := replay(t, events)
	list := out.canonical()
	if len(list) != 1 {
		t.Fatalf("%d timelines, want 1", len(list))
	}
	tl := list[0]
	if size := len(tl.AppendJSON(nil)); size < stitch.MaxBytes || size > 2*stitch.MaxBytes {
		t.Errorf("the timeline is of %d bytes", size)
	}
	if len(tl.Steps)+int(tl.Truncated) != n {
		t.Errorf("%d steps and %d left out, of %d", len(tl.Steps), tl.Truncated, n)
	}
	shown, roots := map[string]bool{}, 0
	for i := range tl.Steps {
		shown[tl.Steps[i].ID] = true
	}
	for i := range tl.Steps {
		if p := tl.Steps[i].ParentID; p == "" {
			roots++
		} else if !shown[p] {
			t.Fatalf("step %d hangs below %s, which is left out", i, p)
		}
	}
	if roots != 1 {
		t.Errorf("%d roots", roots)
	}
}

func TestEvidenceUnderOneTraceIDIsBounded(t *testing.T) {
	n := 4*stitch.MaxSteps + 30
	_, s := replay(t, lines(t, "span trace=t1 span=s%d parent=lost stage=tool tool=t name=tool start=1s at=2s", n))
	if got := s.Events.Dropped["limit"]; got != 30 {
		t.Fatalf("%d events dropped, want 30: %+v", got, s.Events)
	}
}

func TestTraceIDsBeyondTheLimitAreCounted(t *testing.T) {
	events := lines(t, "exchange node=n1 cookie=5 role=client stream=%d1 local=10.0.0.1:999 peer=10.0.0.5:80 pid=20/1000 trace=y%[1]d/x start=2s at=3s", stitch.MaxTraceIDs+6)
	events = append(events, lines(t, "exec node=n1 exec=e1 pid=20/1000 binary=/bin/crawl trace=t1/s1:env at=1%ds", 1)[0])
	events[len(events)-1].Time = enginetest.Duration(time.Second)
	events = append(events, lines(t, "span trace=t1 span=s1 kind=server name=run start=0s at=%d000ms", 5)[4])
	out, _ := replay(t, events)
	list := out.canonical()
	// The request's own trace id and those of the calls, beyond the limit counted.
	if len(list) != 1 || len(list[0].TraceIDs) != stitch.MaxTraceIDs || list[0].Truncated != 7 {
		t.Fatalf("%d timelines, want 1; %d trace ids, want %d; %d truncated, want 7", len(list), len(list[0].TraceIDs), stitch.MaxTraceIDs, list[0].Truncated)
	}
}

// broken is a store that fails at its nth commit.
type broken struct{ left int }

var errBroken = errors.New("disk full")

func (b *broken) Commit(state.Batch) error {
	if b.left--; b.left < 0 {
		return errBroken
	}
	return nil
}

func (b *broken) Timeline(string) (*timeline.Timeline, error) { return nil, state.ErrNotFound }

func TestNothingIsDeliveredThatWasNotCommitted(t *testing.T) {
	var events []event.Event
	for i := range 5 {
		events = append(events, lines(t, fmt.Sprintf("span trace=t%d span=s kind=server name=run start=%[1]d0s at=%[1]d%%ds", i), 3)[2])
	}
	out := newRecorder(t)
	cfg := inOrder(1)
	cfg.Store = &broken{left: 2}
	e := shard.New(cfg, out)
	e.Push(&event.Batch{Events: sorted(events)}, 0)
	e.Close()
	if !errors.Is(e.Err(), errBroken) {
		t.Errorf("the engine's error is %v, want %v", e.Err(), errBroken)
	}
	if len(out.last) != 2 {
		t.Errorf("%d timelines were delivered, want the 2 that were committed", len(out.last))
	}
	e.Push(&event.Batch{Events: sorted(events)}, 0)
	if len(out.last) != 2 {
		t.Errorf("the engine goes on after an error of its store")
	}
}

func TestStoreHasWhatWasDelivered(t *testing.T) {
	m := state.NewMemory(event.Time(time.Hour), 100)
	out := newRecorder(t)
	cfg := inOrder(1)
	cfg.Store = m
	e := shard.New(cfg, out)
	e.Push(&event.Batch{Events: sorted(lines(t, "span trace=t%d span=s kind=server name=run start=1s at=2s", 20))}, 0)
	e.Close()
	if len(out.last) != 20 {
		t.Fatalf("%d timelines, want 20", len(out.last))
	}
	for id, want := range out.last {
		if got, err := m.Timeline(id); err != nil || got != want {
			t.Errorf("%s: the store has %v, %v", id, got, err)
		}
	}
}

// The engine must not touch what a decoder handed to it: the same events may go
// to a recorder, too.
func TestEventsAreLeftAsTheyCame(t *testing.T) {
	rounds(t, 5, func(t *testing.T, seed uint64, _ *rand.Rand, events []event.Event) {
		before := make([][]byte, len(events))
		for i := range events {
			before[i] = events[i].AppendJSON(nil)
		}
		replay(t, events)
		for i := range events {
			if got := events[i].AppendJSON(nil); !slices.Equal(got, before[i]) {
				t.Fatalf("event %d is now\n%s\nand was\n%s", i, got, before[i])
			}
		}
	})
}

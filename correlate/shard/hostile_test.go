package shard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate/enginetest"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// dated notes on which second of the engine's clock each revision comes.
type dated struct {
	second int
	first  map[string]int // of revision 1, by trace
	last   map[string]*timeline.Timeline
}

func (d *dated) Timeline(t *timeline.Timeline) {
	if t.Revision == 0 {
		return
	}
	if t.Revision == 1 {
		d.first[t.ID] = d.second
	}
	d.last[t.ID] = t
}

func (d *dated) Unmatched(*shard.Unmatched) {}

// A tenant's span dated 2100, a node whose clock is 10 minutes ahead, one that is 10
// minutes behind and one node of 200 that lags: the timelines of all others close
// when they would without them, and what the one that lags has comes as a revision.
func TestOneSenderDelaysNobody(t *testing.T) {
	const (
		nodes      = 200
		slow       = 197 // sends what it sees, and its heartbeats, 5 minutes late
		ahead      = 198 // its clock, by 10 minutes
		behind     = 199
		lag        = 300
		began, end = 700, 705
		stop       = end + 600 + 150
	)
	base := enginetest.Duration(0)
	at := func(second int) event.Time { return base.Add(time.Duration(second) * time.Second) }
	parse := func(format string, args ...any) event.Event {
		t.Helper()
		e, err := enginetest.ParseLine(fmt.Sprintf(format, args...))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	run := func(hostile bool) *dated {
		sends := map[int][]event.Event{} // by the second of the engine's clock
		send := func(second, clock int, e event.Event) {
			e.Observed = at(clock) // by the sender's
			sends[second] = append(sends[second], e)
		}
		for i := range nodes {
			wrong := 0
			switch i {
			case ahead:
				wrong = 600
			case behind:
				wrong = -600
			}
			if i >= slow && !hostile {
				continue
			}
			for s := began - 60; s < stop; s += 5 {
				mark := s + wrong
				if i == slow {
					mark -= lag
				}
				send(s, s+wrong, parse("clock node=node%d of=socket mark=%ds at=%ds", i, mark, mark))
			}
			if i != slow {
				send(end+1, end+1+wrong, parse("span node=node%d trace=t%d span=s%d kind=server name=run start=%ds at=%ds", i, i, i, began+wrong, end+wrong))
			}
		}
		if hostile {
			// A request of node 1 worked on the slow node too.
			send(end+lag, end+lag, parse("span node=node%d trace=t1 span=late parent=s1 stage=tool tool=x name=tool start=%ds at=%ds", slow, began+1, began+2))
			tenant := parse("span node=node5 trace=evil span=evil kind=server name=evil start=%ds at=%ds", began, end)
			tenant.Time = event.At(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
			send(end+1, end+1, tenant)
		}
		out := &dated{first: map[string]int{}, last: map[string]*timeline.Timeline{}}
		cfg := shard.DefaultConfig()
		e := shard.New(cfg, out)
		for out.second = began - 60; out.second < stop; out.second++ {
			e.Push(&event.Batch{Events: sends[out.second]}, at(out.second))
			if err := e.Err(); err != nil {
				t.Fatal(err)
			}
		}
		if n := e.Stats().Redated; hostile && n != 1 || !hostile && n != 0 {
			t.Errorf("%d spans were dated anew", n)
		}
		return out
	}
	want, got := run(false), run(true)
	if len(want.first) != slow {
		t.Fatalf("%d timelines of %d closed without anybody who delays", len(want.first), slow)
	}
	for id, second := range want.first {
		if got.first[id] == 0 || got.first[id] > second+1 {
			t.Errorf("%s closed at %ds, %ds without those who delay", id, got.first[id], second)
		}
	}
	id := func(trace string) string {
		return parse("span trace=%s span=x at=1s", trace).Payload.(*event.Span).TraceID.String()
	}
	if tl := got.last[id("t1")]; tl == nil || tl.Revision < 2 || len(tl.Steps) != 2 {
		t.Errorf("what the slow node saw is not in a revision: %+v", tl)
	}
	for _, trace := range []string{"t198", "t199", "evil"} {
		if got.first[id(trace)] == 0 {
			t.Errorf("the timeline of %s never closes", trace)
		}
	}
}

package stitch_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/bind"
	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/correlate/stitch"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
)

const base = event.Time(1_767_225_600_000_000_000)

// requests makes the spans of n requests that end within a second: a server
// span, an agent below it and three model calls below that.
func requests(n int, start event.Time, serial uint64) []event.Event {
	var events []event.Event
	for i := range n {
		var trace event.TraceID
		binary.BigEndian.PutUint64(trace[:], (serial+uint64(i))*0x9e3779b97f4a7c15)
		trace[15] = 1
		end := start.Add(time.Duration(i) * time.Second / time.Duration(n))
		for j := range 5 {
			s := &event.Span{
				TraceID: trace, SpanID: event.SpanID{byte(j + 1)}, ParentID: event.SpanID{byte(min(j, 2))}, Stage: event.StageModel,
				Name: "generate", Start: end.Add(-time.Second), GenAI: event.GenAI{Model: "m", Usage: event.Usage{Input: 10, Output: 2}},
			}
			switch j {
			case 0:
				s.Kind, s.Stage = event.SpanKindServer, event.StageHTTP
			case 1:
				s.Stage, s.GenAI = event.StageAgent, event.GenAI{Agent: "a"}
			}
			e := event.Event{Kind: event.KindSpan, Source: event.SourceOTLP, Time: end, Payload: s}
			copy(e.ID[:], trace[:8])
			e.ID[8] = byte(j)
			events = append(events, e)
		}
	}
	return events
}

func BenchmarkStitchSteady(b *testing.B) {
	for _, n := range []int{100, 2000} {
		b.Run(fmt.Sprint(n, "-requests-a-second"), func(b *testing.B) {
			cfg := window.Default()
			cfg.Lateness, cfg.Retention = 2*time.Second, 5*time.Second
			graves := stitch.NewGraves()
			s := stitch.New(cfg, bind.NewDirectory(cfg), graves, hold.NewBudget(0, nil), bind.Ablation{})
			var out stitch.Out
			now, serial, closed := base, uint64(0), uint64(0)
			step := func() {
				b.StopTimer()
				events := requests(n, now, serial)
				serial += uint64(n)
				b.StartTimer()
				end := now.Add(time.Second)
				for i := range events {
					key := correlate.TraceKey(events[i].Payload.(*event.Span).TraceID)
					s.Add(key, correlate.Row{Key: key, Event: &events[i], Method: correlate.TraceContext}, end-1, &out)
				}
				s.Advance(end, &out)
				closed += out.Closed
				graves.Bury(&out, end)
				out.Reset()
				now = end
			}
			for range 10 {
				step()
			}
			b.ReportAllocs()
			b.ResetTimer()
			closed = 0
			for range b.N {
				step()
			}
			if closed != uint64(b.N*n) {
				b.Fatalf("%d timelines in %d steps of %d requests", closed, b.N, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(5*n), "ns/span")
		})
	}
}

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

// crowd is a chat session: for twenty minutes a client sends n requests a second under
// one trace id, each a server span with three calls below it. All the while a request
// is open that takes ten minutes, so that what has closed since may yet belong to it.
func crowd(n int, each func(second int, events []event.Event)) (spans int) {
	trace, serial := event.TraceID{1}, uint64(0)
	span := func(parent event.SpanID, start, end event.Time) event.Event {
		serial++
		s := &event.Span{TraceID: trace, ParentID: parent, Name: "generate", Stage: event.StageModel, Start: start}
		binary.BigEndian.PutUint64(s.SpanID[:], serial)
		e := event.Event{Kind: event.KindSpan, Source: event.SourceOTLP, Time: end, Payload: s}
		copy(e.ID[:], s.SpanID[:])
		return e
	}
	request := func(list []event.Event, start, end event.Time) []event.Event {
		root := span(event.SpanID{}, start, end)
		s := root.Payload.(*event.Span)
		s.Kind, s.Stage = event.SpanKindServer, event.StageHTTP
		for range 3 {
			list = append(list, span(s.SpanID, start, start.Add(time.Second/2)))
		}
		return append(list, root)
	}
	const long = 600
	for second := range 1200 {
		var events []event.Event
		at := base.Add(time.Duration(second) * time.Second)
		for i := range n {
			end := at.Add(time.Duration(i) * time.Second / time.Duration(n))
			events = request(events, end.Add(-time.Second), end)
		}
		if second%long < 3 { // it has begun
			slow := request(nil, at, at.Add(long*time.Second))
			events = append(events, slow[:3]...)
		}
		spans += len(events)
		each(second, events)
	}
	return spans
}

func stitchCrowd(n int) (timelines, spans int) {
	s := stitch.New(window.Default(), bind.NewDirectory(window.Default()), stitch.NewGraves(), hold.NewBudget(0, nil), bind.Ablation{})
	var out stitch.Out
	key := correlate.TraceKey(event.TraceID{1})
	spans = crowd(n, func(second int, events []event.Event) {
		end := base.Add(time.Duration(second+1) * time.Second)
		for i := range events {
			s.Add(key, correlate.Row{Key: key, Event: &events[i], Method: correlate.TraceContext}, end-1, &out)
		}
		s.Advance(end, &out)
		timelines += int(out.Closed)
		out.Reset()
	})
	s.Advance(event.Never, &out)
	return timelines + int(out.Closed), spans
}

// A span of a crowd costs what it costs however many share its trace id.
func BenchmarkStitchCrowd(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprint(n, "-requests-a-second"), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				timelines, spans := stitchCrowd(n)
				if timelines < 1200*n {
					b.Fatalf("%d timelines of %d requests", timelines, 1200*n)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spans), "ns/span")
			}
		})
	}
}

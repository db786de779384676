package tables

import (
	"testing"

	"github.com/sennit-io/sennit/schemas/event/eventtest"
	"github.com/sennit-io/sennit/schemas/timeline"
)

func BenchmarkRows(b *testing.B) {
	var tl timeline.Timeline
	eventtest.Value(&tl, 1)
	for len(tl.Steps) < 16 {
		tl.Steps = append(tl.Steps, tl.Steps...)
	}
	data := tl.AppendJSON(nil)
	var out []byte
	n := 0
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		for table, row := range must2(OfTimeline(data)) {
			out = table.AppendProto(out[:0], row)
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/row")
}

func TestAppendProtoDoesNotAllocate(t *testing.T) {
	var tl timeline.Timeline
	eventtest.Value(&tl, 1)
	for table, row := range must2(OfTimeline(tl.AppendJSON(nil))) {
		b := table.AppendProto(nil, row)
		if n := testing.AllocsPerRun(50, func() { b = table.AppendProto(b[:0], row) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", table.Name, n)
		}
	}
}

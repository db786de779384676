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

// What a step's row costs is its lists: attributes, events, evidence, and its connection.
func TestRowsAllocateLittle(t *testing.T) {
	count := func(steps int) float64 {
		tl := timeline.Timeline{ID: "a", Start: 1, End: 2}
		for i := range steps {
			tl.Steps = append(tl.Steps, timeline.Step{
				ID: string(rune('a' + i)), Layer: timeline.LayerModel, Start: 1795424400e9, End: 1795424401e9, EventIDs: []string{"x", "y", "z"},
				Connection: &timeline.Connection{Opened: 1795424400e9}, Join: timeline.Join{Evidence: []string{"so", "and so"}},
				Attributes: timeline.Attributes{{Key: "a", Str: "1"}, {Key: "b", Num: 2, IsNum: true}, {Key: "observed.start", Str: "2026-11-23T09:00:00.500000000Z"}},
			})
		}
		data := tl.AppendJSON(nil)
		var out []byte
		return testing.AllocsPerRun(50, func() {
			for table, row := range must2(OfTimeline(data)) {
				out = table.AppendProto(out[:0], row)
			}
		})
	}
	if each := (count(64) - count(32)) / 32; each > 4.5 {
		t.Errorf("%.1f allocations a step, want 4", each)
	}
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

package replay

import (
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/recordings"
)

func TestRecordings(t *testing.T) {
	dir := recordings.Dir(t)
	f := func(o Order) {
		last := event.Time(-1 << 63)
		n := 0
		res, err := Run(t.Context(), Options{Paths: []string{dir}, Order: o}, func(b *event.Batch, now event.Time) error {
			for i := range b.Events {
				if o == OrderEvent && b.Events[i].Time < last {
					t.Errorf("event %d: %v before %v", n, b.Events[i].Time, last)
				}
				last = b.Events[i].Time
				n++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v, %d events", o, n)
		for s, c := range res.Sources {
			t.Log(event.Source(s), c)
		}
		for _, f := range res.Files {
			t.Logf("%+v", f)
		}
		t.Log(res.Skipped)
		for _, p := range append(res.Bad, res.Unknown...) {
			t.Log(p)
		}
	}
	f(OrderEvent)
	f(OrderArrival)
}

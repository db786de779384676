package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// viewer is a sink that notes when it was shown what.
type viewer struct {
	t     *testing.T
	began time.Time
	log   []string
	away  atomic.Bool
}

func (v *viewer) Write(_ context.Context, batch []sinks.Record) error {
	if v.away.Load() {
		return errors.New("away")
	}
	var list []string
	for _, r := range batch {
		var tl timeline.Timeline
		if err := tl.ReadJSON(r.Data); err != nil {
			v.t.Error(err)
		}
		text := fmt.Sprint(tl.ID, "#", tl.Update)
		if tl.SupersededBy != "" {
			text += ">" + tl.SupersededBy
		}
		if r.Revision != 0 {
			v.t.Errorf("%s is shown as revision %d", text, r.Revision)
		}
		list = append(list, text)
	}
	slices.Sort(list)
	v.log = append(v.log, fmt.Sprintf("%v: %s", time.Since(v.began), strings.Join(list, " ")))
	return nil
}

func (v *viewer) Close() error { return nil }

// A request that is open is shown once a minute at most, as it is then, until it is
// closed; what was shown of a part of it goes.
func TestOpenRequestsAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &viewer{t: t, began: time.Now()}
		wants, other := fanout.Config{Name: "a", Sink: v, Open: true}, fanout.Config{Name: "b", Sink: &viewer{t: t}}
		if newShowing([]fanout.Config{other}, nil) != nil {
			t.Error("it is watched for nobody")
		}
		w := newShowing([]fanout.Config{wants, other}, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		lanes := []*lane{{Lane: fanout.New(wants)}, {Lane: fanout.New(other)}}
		go func() { ended <- w.run(ctx, lanes) }()
		open := func(id string, update uint32) {
			w.take(&timeline.Timeline{ID: id, Update: update, State: timeline.Open})
		}
		closed := func(id string, traces ...string) {
			w.take(&timeline.Timeline{ID: id, Revision: 1, State: timeline.Closed, TraceIDs: traces})
		}
		time.Sleep(500 * time.Millisecond) // so that nothing happens at the moment of a look
		for i := range uint32(90) {        // 90 s
			open("long", i+1)
			switch i {
			case 1:
				open("short", 1)
				open("part", 1)
			case 30:
				closed("short", "short")
			case 70:
				closed("whole", "whole", "part")
			}
			time.Sleep(time.Second)
		}
		closed("long", "long")
		time.Sleep(10 * time.Minute)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := "1m0s: long#60 part#1\n2m0s: part#2>whole"
		if got := strings.Join(v.log, "\n"); got != want {
			t.Errorf("it was shown\n%s\nwant\n%s", got, want)
		}
		if st := lanes[0].Status(); st.Shown != 3 || st.Unshown != 0 {
			t.Errorf("%+v", st)
		}
		for i := range mostOpen + 5 {
			open(fmt.Sprint(i), 1)
		}
		if len(w.changed) != mostOpen || w.missed != 5 {
			t.Errorf("%d are kept, %d missed", len(w.changed), w.missed)
		}
	})
}

// What was shown does not stay: a part of another request is taken back when the sink is
// there again, and a request of which nothing more comes some time later.
func TestNothingIsShownForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &viewer{t: t, began: time.Now()}
		wants := fanout.Config{Name: "a", Sink: v, Open: true}
		w := newShowing([]fanout.Config{wants}, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.run(ctx, []*lane{{Lane: fanout.New(wants)}}) }()
		time.Sleep(500 * time.Millisecond)
		w.take(&timeline.Timeline{ID: "part", Update: 1, State: timeline.Open})
		w.take(&timeline.Timeline{ID: "silent", Update: 4, State: timeline.Open})
		time.Sleep(time.Minute)
		v.away.Store(true)
		w.take(&timeline.Timeline{ID: "whole", Revision: 1, State: timeline.Closed, TraceIDs: []string{"whole", "part"}})
		time.Sleep(3 * time.Minute)
		v.away.Store(false)
		time.Sleep(5 * time.Hour)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := "1m0s: part#1 silent#4\n5m0s: part#2>whole\n2h2m0s: silent#5>silent"
		if got := strings.Join(v.log, "\n"); got != want {
			t.Errorf("it was shown\n%s\nwant\n%s", got, want)
		}
		if len(w.shown)+len(w.gone)+len(w.changed) != 0 {
			t.Errorf("%d, %d and %d are kept", len(w.shown), len(w.gone), len(w.changed))
		}
	})
}

package detect_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
)

// What a service that tells early has told in the end is what a replay tells, but for
// the count of revisions; also where an earlier event comes late, so that the first
// alert turns out to be of the wrong one.
func TestEarlyAndReplayAgree(t *testing.T) {
	s := load(t, rule("event", "event.kind == 'enforcement'"))
	kill := func(id byte, after int) *event.Event {
		at := sample().Start + event.Time(after)
		return &event.Event{ID: event.ID{id}, Kind: event.KindEnforcement, Time: at, Payload: &event.Syscall{ExecID: event.ExecID([]byte{id})}}
	}
	run := func(early bool, events ...*event.Event) (told map[string]alert.Alert) {
		told = map[string]alert.Alert{}
		w := detect.NewWatch(s, detect.Options{Early: early, Claim: 1e9, Keep: 1e9})
		tell := func(v detect.Verdict, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			changes, _ := detect.Changes(v, nil, func(id string) (*alert.Alert, error) {
				if a, ok := told[id]; ok {
					return &a, nil
				}
				return nil, nil
			})
			for _, a := range changes {
				if a.Revision != told[a.ID].Revision+1 {
					t.Errorf("revision %d after %d", a.Revision, told[a.ID].Revision)
				}
				told[a.ID] = a
			}
		}
		tl := sample()
		for _, e := range events {
			tell(w.Event(e, e.Time))
			tl.Steps[2].EventIDs = append(tl.Steps[2].EventIDs, e.ID.String())
		}
		if early && len(told) == 0 {
			t.Error("nothing was told early")
		}
		tell(w.Closed(tl, event.Never))
		for id, a := range told {
			if a.State != alert.Open {
				delete(told, id)
			}
		}
		return told
	}
	f := func(events ...*event.Event) {
		t.Helper()
		live, replay := run(true, events...), run(false, events...)
		if d := cmp.Diff(replay, live, cmpopts.IgnoreFields(alert.Alert{}, "Revision")); d != "" || len(replay) != 1 {
			t.Errorf("replay and live differ (-replay +live):\n%s", d)
		}
	}
	f(kill(1, 10))
	f(kill(1, 10), kill(2, 20))
	f(kill(1, 20), kill(2, 10))
}

// What a rule may hold for is kept for as long as Keep says, however many there are,
// and forgotten, and counted, only where it takes more memory than is kept for it.
func TestRemembered(t *testing.T) {
	s := load(t, rule("event", "event.kind == 'socket_open' && request.id == ''"))
	f := func(memory int64, events, least, most int) {
		t.Helper()
		w := detect.NewWatch(s, detect.Options{Claim: 1e9, Keep: 1e12, Memory: memory})
		var list []*event.Event
		for i := range events {
			e := &event.Event{
				ID: event.ID{1, byte(i), byte(i >> 8), byte(i >> 16)}, Kind: event.KindSocketOpen, Time: event.Time(i),
				Payload: &event.Socket{Process: event.ProcessRef{PID: uint32(i + 1), StartNS: 1}},
			}
			list = append(list, e)
			if _, err := w.Event(e, e.Time); err != nil {
				t.Fatal(err)
			}
		}
		told := 0
		for _, e := range list {
			v, err := w.Unmatched(e)
			if err != nil {
				t.Fatal(err)
			}
			told += len(v.Found)
		}
		if got := int(w.Lost()); got < least || got > most || got+told != events {
			t.Errorf("with %d bytes, of %d events %d were told and %d are counted as forgotten, want %d to %d", memory, events, told, got, least, most)
		}
		if _, err := w.Advance(2e12, 2e12); err != nil || int(w.Lost())+told != events {
			t.Errorf("what had its fate is counted as forgotten: %d, %v", w.Lost(), err)
		}
	}
	f(40<<20, 20_000, 0, 0) // as 134,000 in what is the default
	f(1<<20, 3000, 1000, 2999)
	f(1, 10, 9, 9)
}

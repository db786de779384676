package shard_test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/enginetest"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// recorder takes what an engine decides, and holds every piece to what must
// always hold.
type recorder struct {
	t         testing.TB
	last      map[string]*timeline.Timeline // by id, its last revision
	recent    []*timeline.Timeline          // since the last look
	unmatched []shard.Unmatched
	gone      map[event.ID]int
}

func newRecorder(t testing.TB) *recorder {
	return &recorder{t: t, last: make(map[string]*timeline.Timeline), gone: make(map[event.ID]int)}
}

func (r *recorder) Timeline(t *timeline.Timeline) {
	r.t.Helper()
	if err := enginetest.Check(t); err != nil {
		r.t.Errorf("%v\n%s", err, t.AppendJSON(nil))
	}
	r.recent = append(r.recent, t)
	if t.Revision == 0 {
		return
	}
	before := uint32(0)
	if old := r.last[t.ID]; old != nil {
		before = old.Revision
	}
	if t.Revision != before+1 {
		r.t.Errorf("%s: revision %d follows %d", t.ID, t.Revision, before)
	}
	r.last[t.ID] = t
}

func (r *recorder) Unmatched(u *shard.Unmatched) {
	r.unmatched = append(r.unmatched, *u)
	f, _ := u.Event.Payload.(*event.Flow)
	shared := u.Fate == correlate.Ambiguous && f != nil && f.Verdict.Denied()
	if u.Fate != correlate.Duplicate && !shared { // the one is there once more, the other may be a copy elsewhere
		r.gone[u.Event.ID]++
	}
}

// canonical returns what `sennit replay -o json` prints: the last revision of
// each timeline, superseded ones left out, by start and id.
func (r *recorder) canonical() []*timeline.Timeline {
	var list []*timeline.Timeline
	for _, t := range r.last {
		if t.SupersededBy == "" {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *timeline.Timeline) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.ID, b.ID))
	})
	return list
}

func (r *recorder) json() []byte {
	var b bytes.Buffer
	for _, t := range r.canonical() {
		b.Write(append(t.AppendJSON(nil), '\n'))
	}
	return b.Bytes()
}

// conserved asserts the law of conservation at any point: every event that came
// in has had one fate, or is held.
func conserved(t testing.TB, e *shard.Engine, in uint64, closed bool) {
	t.Helper()
	s := e.Stats().Events
	if s.In != in {
		t.Errorf("%d events went in, %d are counted", in, s.In)
	}
	if s.Held > s.In+s.Derived {
		t.Errorf("held is below zero: %+v", s)
	}
	if closed && s.Held != 0 {
		t.Errorf("%d events are held after the end: %+v", int64(s.Held), s)
	}
	if err := e.Err(); err != nil {
		t.Error(err)
	}
}

// settled asserts that each event with an output went to one place: a step of a
// timeline, or the unmatched.
func (r *recorder) settled(t testing.TB) {
	t.Helper()
	for id, n := range r.gone {
		if n != 1 {
			t.Errorf("event %s is unmatched %d times", id, n)
		}
	}
	for _, tl := range r.canonical() {
		for _, s := range tl.Steps {
			for _, hex := range s.EventIDs {
				var id event.ID
				if err := id.UnmarshalText([]byte(hex)); err != nil {
					t.Error(err)
				}
				if r.gone[id] != 0 {
					t.Errorf("event %s is in a step and unmatched", id)
				}
			}
		}
	}
}

func counters(s shard.Stats) string {
	var b strings.Builder
	b.WriteString("events:")
	ev := s.Events
	for _, c := range []struct {
		name string
		n    uint64
	}{
		{"in", ev.In},
		{"derived", ev.Derived},
		{"joined", ev.Joined},
		{"ambiguous", ev.Ambiguous},
		{"ambient", ev.Ambient},
		{"control", ev.Control},
		{"duplicate", ev.Duplicate},
		{"late", ev.Late},
		{"held", ev.Held},
	} {
		if c.n != 0 {
			fmt.Fprintf(&b, " %s=%d", c.name, c.n)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(ev.Dropped)) {
		fmt.Fprintf(&b, " dropped/%s=%d", why, ev.Dropped[why])
	}
	b.WriteString("\njoins:")
	for _, m := range slices.Sorted(maps.Keys(s.Joins)) {
		fmt.Fprintf(&b, " %s=%d", m, s.Joins[m])
	}
	return b.String() + "\n"
}

func nodeIs(node string) func(timeline.Step) bool {
	return func(s timeline.Step) bool { return s.Node == node }
}

func podIs(namespace string) func(timeline.Step) bool {
	return func(s timeline.Step) bool {
		a, _ := s.Attributes.Get("k8s.namespace.name")
		return a.Str == namespace
	}
}

// hasName reports whether a trace id was made from a name that begins so.
func hasName(id, name string) bool {
	raw, err := hex.DecodeString(id)
	return err == nil && strings.HasPrefix(string(raw), name)
}

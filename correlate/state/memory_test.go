package state_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sennit-io/sennit/correlate/state"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

func revision(id string, n uint32, end event.Time) *timeline.Timeline {
	return &timeline.Timeline{ID: id, Revision: n, End: end}
}

func commit(t *testing.T, m *state.Memory, mark event.Time, list ...*timeline.Timeline) {
	t.Helper()
	if err := m.Commit(state.Batch{Watermark: mark, Outbox: list}); err != nil {
		t.Fatal(err)
	}
}

// holds asserts the revision that the store has of a timeline, 0 for none.
func holds(t *testing.T, m *state.Memory, id string, want uint32) {
	t.Helper()
	got, err := m.Timeline(id)
	switch {
	case want == 0 && !errors.Is(err, state.ErrNotFound):
		t.Errorf("%s: %v, %v, want ErrNotFound", id, got, err)
	case want != 0 && err != nil:
		t.Errorf("%s: %v", id, err)
	case want != 0 && got.Revision != want:
		t.Errorf("%s is at revision %d, want %d", id, got.Revision, want)
	}
}

func TestMemoryKeepsTheLastRevision(t *testing.T) {
	m := state.NewMemory(100, 10)
	holds(t, m, "a", 0)
	commit(t, m, 50, revision("a", 1, 10), revision("b", 1, 20))
	commit(t, m, 60, revision("a", 2, 10))
	holds(t, m, "a", 2)
	holds(t, m, "b", 1)
}

func TestMemoryForgets(t *testing.T) {
	m := state.NewMemory(100, 3)
	commit(t, m, 50, revision("a", 1, 10), revision("b", 1, 20))
	commit(t, m, 111)
	holds(t, m, "a", 0) // its retention is over
	holds(t, m, "b", 1)
	commit(t, m, 111, revision("c", 1, 100), revision("d", 1, 100), revision("e", 1, 100))
	holds(t, m, "b", 0) // too many: the one committed first goes
	commit(t, m, 111, revision("c", 2, 100), revision("f", 1, 100))
	holds(t, m, "c", 2) // a revision makes it young again
	holds(t, m, "d", 0)

	none := state.NewMemory(100, 0)
	commit(t, none, 1, revision("a", 1, 10))
	holds(t, none, "a", 0)
}

func TestMemoryIsReadWhileItIsWritten(t *testing.T) {
	m := state.NewMemory(1000, 50)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range 2000 {
				if tl, err := m.Timeline(fmt.Sprint(i % 60)); err == nil && tl.ID != fmt.Sprint(i%60) {
					t.Errorf("asked for %d, got %s", i%60, tl.ID)
				}
			}
		})
	}
	for i := range 2000 {
		commit(t, m, event.Time(i), revision(fmt.Sprint(i%60), uint32(i), event.Time(i)))
	}
	wg.Wait()
}

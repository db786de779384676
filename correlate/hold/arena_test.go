package hold_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
)

// shelf is a spill in memory that can refuse and fail.
type shelf struct {
	chunks       map[uint64][]byte
	next         uint64
	refuse, fail bool
}

var errShelf = errors.New("the shelf is full")

func (s *shelf) Put(b []byte) (uint64, error) {
	if s.refuse {
		return 0, errShelf
	}
	s.next++
	s.chunks[s.next] = slices.Clone(b)
	return s.next, nil
}

func (s *shelf) Get(n uint64, b []byte) ([]byte, error) {
	if s.fail {
		return nil, errShelf
	}
	return append(b, s.chunks[n]...), nil
}

func (s *shelf) Drop(n uint64) { delete(s.chunks, n) }

// TestArenaIsAMap holds arenas of any budget to a map while events come, are read
// and go, about in the order in which they came.
func TestArenaIsAMap(t *testing.T) {
	f := func(limit int64, refuse bool) {
		t.Helper()
		s := &shelf{chunks: map[uint64][]byte{}, refuse: refuse}
		budget := hold.NewBudget(limit, s)
		a := hold.New(budget)
		rnd := rand.New(rand.NewPCG(1, uint64(limit)))
		type item struct {
			ref  hold.Ref
			want *event.Event
		}
		var list []item
		var got event.Event
		var b event.Batch
		spilled, seed := int64(0), uint64(0)
		for step := range 4_000 {
			if most := []int{800, 50, 700, 0}[step/1000]; len(list) < most || len(list) == 0 {
				seed++
				e := eventtest.Fill(event.KindSpan, seed)
				if seed == 500 { // larger than any chunk
					e.Payload.(*event.Span).Name = string(make([]byte, 100_000))
				}
				list = append(list, item{a.Put(e), e})
			}
			i := min(len(list)-1, rnd.IntN(40))
			b.Reset()
			a.Get(list[i].ref, &got, &b)
			if d := cmp.Diff(list[i].want, &got, eventtest.Equal); d != "" {
				t.Fatalf("limit %d, step %d (-want +got):\n%s", limit, step, d)
			}
			if id := a.ID(list[i].ref); id != got.ID {
				t.Fatalf("limit %d, step %d: the id is %s, want %s", limit, step, id, got.ID)
			}
			if rnd.IntN(3) > 0 || len(list) > 1500 {
				a.Drop(list[i].ref)
				list = slices.Delete(list, i, i+1)
			}
			if a.Events() != len(list) {
				t.Fatalf("limit %d, step %d: %d events are held, want %d", limit, step, a.Events(), len(list))
			}
			spilled = max(spilled, budget.Usage().Spilled)
		}
		for _, it := range list {
			a.Drop(it.ref)
		}
		u := budget.Usage()
		if err := a.Err(); err != nil {
			t.Fatal(err)
		}
		if u.Spilled != 0 || len(s.chunks) != 0 || u.Memory > 64<<10 {
			t.Errorf("limit %d: an empty arena has %d bytes in memory, %d spilled, %d chunks on the shelf", limit, u.Memory, u.Spilled, len(s.chunks))
		}
		if want := limit != 0 && !refuse; (spilled > 0) != want || (u.Fetched > 0) != want || (u.Refused > 0) != refuse {
			t.Errorf("limit %d: %d bytes were spilled, %d chunks fetched and %d refused", limit, spilled, u.Fetched, u.Refused)
		}
	}
	f(0, false)
	f(1, false)
	f(100_000, false)
	f(1, true)
}

func TestAnArenaSaysWhatItLost(t *testing.T) {
	s := &shelf{chunks: map[uint64][]byte{}}
	a := hold.New(hold.NewBudget(1, s))
	var refs []hold.Ref
	for seed := range uint64(500) {
		refs = append(refs, a.Put(eventtest.Fill(event.KindFlow, seed+1)))
	}
	s.fail = true
	got := event.Event{Kind: event.KindSpan}
	a.Get(refs[0], &got, new(event.Batch))
	if err := a.Err(); !errors.Is(err, errShelf) || got.Payload != nil || got.Kind != 0 {
		t.Errorf("a lost event is %v, with error %v", got, err)
	}
}

// TestPuttingDoesNotAllocate holds an event in and out to the chunk's share.
func TestPuttingDoesNotAllocate(t *testing.T) {
	a := hold.New(nil)
	e := eventtest.Fill(event.KindFlow, 1)
	var got event.Event
	var b event.Batch
	var waiting []hold.Ref
	step := func() {
		waiting = append(waiting, a.Put(e))
		if len(waiting) > 1000 {
			b.Reset()
			a.Get(waiting[0], &got, &b)
			a.Drop(waiting[0])
			waiting = append(waiting[:0], waiting[1:]...)
		}
	}
	for range 3000 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n > 0.1 {
		t.Errorf("%v allocations an event, want a chunk for every few hundred", n)
	}
}

package simulate

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSched(t *testing.T) {
	var s sched
	var log []string
	note := func(what string) { log = append(log, fmt.Sprintf("%d %s", s.now, what)) }
	s.at(30, func() { note("timer") })
	s.spawn(10, func(t *task) {
		note("begin")
		t.parallel(
			func(t *task) { t.sleep(5); note("short") },
			func(t *task) { t.sleep(20); note("long") }, // wakes at 30, after the timer set before it
		)
		note("joined")
		t.parallel()
		t.sleep(1)
		note("end")
	})
	s.at(5, func() { s.at(1, func() { note("the past is now") }) })
	for s.step() {
	}
	want := []string{"5 the past is now", "10 begin", "15 short", "30 timer", "30 long", "30 joined", "31 end"}
	if d := cmp.Diff(want, log); d != "" {
		t.Error(d)
	}
	if len(s.live) != 0 {
		t.Errorf("%d tasks never ended", len(s.live))
	}
}

// TestSchedClose: a sleeping task is unwound, its deferred calls run.
func TestSchedClose(t *testing.T) {
	var s sched
	unwound := false
	s.spawn(0, func(t *task) {
		defer func() { unwound = true }()
		t.sleep(1000)
	})
	s.step()
	s.close()
	if !unwound {
		t.Error("a sleeping task was left behind")
	}
}

// TestNumbers: pids and ports go round, slabs hand out the last freed first,
// and nothing is held twice.
func TestNumbers(t *testing.T) {
	round := newNumbers(100, 8, false)
	var got []uint32
	for range 12 {
		n := round.take()
		round.give(n)
		got = append(got, n)
	}
	if want := []uint32{100, 101, 102, 103, 104, 105, 106, 107, 100, 101, 102, 103}; !slices.Equal(got, want) {
		t.Errorf("numbers go %v, want %v", got, want)
	}
	held := map[uint32]bool{}
	for range 1000 {
		n := round.take()
		if held[n] {
			t.Fatalf("%d is held twice", n)
		}
		held[n] = true
	}
	slab := newNumbers(0, 0, true)
	a, b := slab.take(), slab.take()
	slab.give(a)
	slab.give(b)
	if x, y := slab.take(), slab.take(); x != b || y != a {
		t.Errorf("a slab hands out %d, %d after %d, %d were freed", x, y, a, b)
	}
}

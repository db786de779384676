package bind

import (
	"testing"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// kin are calls of a process: their goroutine, the one that started it, and what
// their times say of requests.
type kin struct {
	goroutine, parent uint64
	times             map[byte]float64
}

func familyOf(t *testing.T, calls []kin) []guess {
	t.Helper()
	p := newPairing(correlate.Assignment)
	guesses := make([]guess, len(calls))
	for i, k := range calls {
		x := &event.Exchange{Process: event.ProcessRef{PID: 7, StartNS: 1}, Goroutine: k.goroutine, ParentGo: k.parent}
		c := &call{id: uint64(i + 1), start: event.Time(1e9 * (i + 1)), x: &exchange{e: &event.Event{}, p: x}}
		p.calls = append(p.calls, c)
		guesses[i].call = c
		for name, confidence := range k.times {
			guesses[i].list = append(guesses[i].list, request{key: correlate.TraceKey(event.TraceID{name}), confidence: confidence})
		}
	}
	p.families(guesses)
	return guesses
}

func likeliestOf(g guess) (name byte, confidence float64) {
	for _, r := range g.list {
		if r.confidence > confidence {
			name, confidence = r.key.ID[0], r.confidence
		}
	}
	return name, confidence
}

// Calls that say little alone say whose they are together.
func TestFamily(t *testing.T) {
	for i, g := range familyOf(t, []kin{
		{11, 3, map[byte]float64{'a': .5, 'b': .5}},
		{12, 3, map[byte]float64{'a': .4, 'c': .6}},
		{13, 3, map[byte]float64{'a': .5, 'd': .2, 'b': .3}},
	}) {
		if name, p := likeliestOf(g); name != 'a' || p < 0.95 || g.kin != 2 {
			t.Errorf("call %d is of %c with %.3f, by %d others", i, name, p, g.kin)
		}
	}
}

// A goroutine that has gone over to another request is not held to the first.
func TestFamilyOfTwoRequests(t *testing.T) {
	g := familyOf(t, []kin{
		{11, 3, map[byte]float64{'a': .99}},
		{12, 3, map[byte]float64{'a': .6, 'z': .4}},
		{13, 3, map[byte]float64{'b': .6, 'z': .4}},
		{14, 3, map[byte]float64{'b': .99}},
	})
	for i, want := range []byte{'a', 'a', 'b', 'b'} {
		if name, p := likeliestOf(g[i]); name != want || p < 0.9 {
			t.Errorf("call %d is of %c with %.3f, want %c", i, name, p, want)
		}
	}
}

// Where goroutines work for all, as in a pool, families show it, and then say
// nothing: what the times say stays.
func TestFamiliesOfPool(t *testing.T) {
	var calls []kin
	for i := range byte(100) { // two workers, a request each time
		calls = append(calls, kin{100 + uint64(i), 1 + uint64(i%2), map[byte]float64{i: .9, 200: .1}})
	}
	for i, g := range familyOf(t, calls) {
		if name, p := likeliestOf(g); name != byte(i) || p < 0.85 {
			t.Errorf("call %d is of %d with %.3f", i, name, p)
		}
	}
}

// A goroutine that makes all calls of a connection was not started by who waits
// for them.
func TestConnectionIsNoFamily(t *testing.T) {
	for i, g := range familyOf(t, []kin{{11, 3, map[byte]float64{'a': .5, 'b': .5}}, {11, 3, map[byte]float64{'a': .5, 'c': .5}}}) {
		if _, p := likeliestOf(g); p != .5 || g.kin != 0 {
			t.Errorf("call %d: %.3f, by %d others", i, p, g.kin)
		}
	}
}

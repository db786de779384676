package link_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/racetest"
)

// Made-up loads: what must hold whatever the load is that few links at the limit
// are wrong and that confidence is not more than rightness. (It may be less: the
// gaps here are independent of each other, which the linker does not count on.)
func TestLoads(t *testing.T) {
	f := func(name string, tr traffic, best, recall float64) {
		tr.requests = racetest.Size(tr.requests, tr.requests/3)
		t.Run(name, func(t *testing.T) {
			for seed := range racetest.Size(3, 1) {
				l := tr.generate(uint64(seed))
				got := l.score(l.link(link.Config{}), 0.95)
				t.Logf("seed %d: %+v", seed, got)
				if got.best < best || got.recall < recall || got.mislinked > 0.005 || got.overconfidence > 0.01 {
					t.Errorf("want at least %v right, %v at the limit, next to nothing wrong at it", best, recall)
				}
			}
		})
	}
	f("one at a time", traffic{requests: 2000, concurrent: 0.02}, 0.998, 0.99)
	f("two at a time", traffic{requests: 3000, concurrent: 2}, 0.95, 0.7)
	f("eight at a time", traffic{requests: 1500, concurrent: 8}, 0.5, 0)
	f("milliseconds", traffic{requests: 3000, concurrent: 2, cut: time.Millisecond}, 0.93, 0.6)
	f("strays", traffic{requests: 3000, concurrent: 1, strays: 0.3}, 0.95, 0.8)
}

// Equal items give equal matches in whatever order they come, simultaneous ones
// among them: clocks are cut so that there are many.
func TestOrderOfArrival(t *testing.T) {
	l := traffic{requests: racetest.Size(3000, 500), concurrent: 6, cut: time.Millisecond}.generate(1)
	want := l.link(link.Config{})
	for seed := range racetest.Size(3, 2) {
		if diff := cmp.Diff(want, l.shuffled(uint64(seed)).link(link.Config{})); diff != "" {
			t.Fatalf("order %d (-as generated +shuffled):\n%s", seed, diff)
		}
	}
}

// What is decided early is what would be decided late, once, and in order.
func TestAdvance(t *testing.T) {
	// For more than two epochs, whatever its size is.
	l := traffic{requests: racetest.Size(20000, 7000), concurrent: float64(racetest.Size(3, 1))}.generate(2)
	want := l.link(link.Config{})
	k := link.New(link.Config{})
	var got []link.Match
	calls := l.calls
	rounds := 0
	for len(l.owners) > 0 || len(calls) > 0 {
		// Items come when they have ended, in no other order.
		mark := begin.Add(time.Duration(rounds) * 10 * time.Second)
		owners := l.owners
		l.owners = nil
		for _, o := range owners {
			if o.End < mark {
				k.Owner(o)
			} else {
				l.owners = append(l.owners, o)
			}
		}
		rest := calls
		calls = nil
		for _, c := range rest {
			if c.End < mark {
				k.Call(c)
			} else {
				calls = append(calls, c)
			}
		}
		if k.Next() <= mark {
			got = append(got, k.Advance(mark)...)
		}
		rounds++
	}
	if early := len(got); early == 0 {
		t.Error("nothing was decided before everything had come")
	}
	got = append(got, k.Advance(event.Never)...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-at once +as it came):\n%s", diff)
	}
	if k.Next() != event.Never {
		t.Errorf("Next() = %v after everything was decided", k.Next())
	}
	seen := map[uint64]bool{}
	for _, m := range got {
		if seen[m.Call] {
			t.Errorf("call %d was decided twice", m.Call)
		}
		seen[m.Call] = true
	}
	if len(seen) != len(l.truth) {
		t.Errorf("%d of %d calls were decided", len(seen), len(l.truth))
	}
}

// Linkers that share a workspace do not see each other.
func TestWorkspace(t *testing.T) {
	a := traffic{requests: racetest.Size(5000, 1000), concurrent: 4}.generate(3)
	b := traffic{requests: racetest.Size(5000, 1000), concurrent: 2, cut: time.Millisecond, strays: 0.1}.generate(4)
	want := a.link(link.Config{})
	shared := link.Config{Workspace: &link.Workspace{}}
	b.link(shared)
	if diff := cmp.Diff(want, a.link(shared)); diff != "" {
		t.Errorf("(-alone +after another workload):\n%s", diff)
	}
}

// A pair that is known is kept against all that its gaps say, its call goes to
// nobody else, and a span about one call takes no second one.
func TestKnownPair(t *testing.T) {
	l := traffic{requests: 2000, concurrent: 3}.generate(5)
	known := map[uint64]uint64{}
	for i := range l.calls {
		// Of every fifth call it is known that an unlikely owner made it.
		if c := &l.calls[i]; i%5 == 0 {
			for j := range l.owners {
				if o := &l.owners[j]; o.Start <= c.Start && o.End >= c.End && o.ID != l.truth[c.ID] {
					c.Owner = o.ID
					known[c.ID] = o.ID
					o.Single = true
					break
				}
			}
		}
	}
	if len(known) < 100 {
		t.Fatalf("only %d pairs are known", len(known))
	}
	taken := map[uint64]bool{}
	for _, owner := range known {
		taken[owner] = true
	}
	for _, m := range l.link(link.Config{}) {
		if owner, ok := known[m.Call]; ok {
			t.Errorf("call %d was decided, but known to be of %d", m.Call, owner)
		}
		for _, c := range m.Candidates {
			if taken[c.Owner] && c.Confidence >= 0.05 {
				t.Errorf("call %d may be of %d at %v, which has its only call", m.Call, c.Owner, c.Confidence)
			}
		}
	}
}

// Two calls at once by two spans at once differ in nothing but their sizes, and
// how bytes and tokens go together is learnt from the others.
func TestSizes(t *testing.T) {
	l := &load{truth: map[uint64]uint64{}}
	at := begin
	for i := range uint64(600) {
		at = at.Add(50 * time.Millisecond)
		id := 2*i + 1
		for k := range uint64(2) {
			tokens := [2]uint64{100 << k << (i % 3), 20 << k}
			bytes := [2]uint64{1500 + 4*tokens[0], 300 + 5*tokens[1]}
			start, end := at, at.Add(20*time.Millisecond)
			l.owners = append(l.owners, link.Owner{ID: id + k, Start: start, End: end, Sizes: tokens, Single: true})
			l.calls = append(l.calls, link.Call{ID: id + k, Start: start.Add(time.Millisecond), End: end.Add(-time.Millisecond), Sizes: bytes})
			l.truth[id+k] = id + k
		}
	}
	got := l.score(l.link(link.Config{}), 0.95)
	t.Logf("%+v", got)
	if got.best < 0.99 || got.mislinked > 0.001 {
		t.Errorf("with sizes %.3f are right, %.4f mislinked at the limit", got.best, got.mislinked)
	}
	for i := range l.owners {
		l.owners[i].Sizes = [2]uint64{}
	}
	blind := l.score(l.link(link.Config{}), 0.95)
	if blind.recall > 0 || blind.mislinked > 0 {
		t.Errorf("without sizes nothing tells the two apart, but %+v", blind)
	}
}

// A label that contradicts rules a pair out; one that is missing does not.
func TestLabels(t *testing.T) {
	f := func(owner, call uint32, want uint64) {
		t.Helper()
		l := load{
			owners: []link.Owner{{ID: 1, Start: begin, End: begin.Add(time.Second), Labels: [link.Labels]uint32{0, owner}}},
			calls:  []link.Call{{ID: 1, Start: begin.Add(time.Millisecond), End: begin.Add(time.Millisecond * 9), Labels: [link.Labels]uint32{0, call}}},
		}
		ms := l.link(link.Config{})
		if len(ms) != 1 || ms[0].Owner != want {
			t.Errorf("labels %d and %d: %+v, want owner %d", owner, call, ms, want)
		}
	}
	f(1, 1, 1)
	f(1, 0, 1)
	f(0, 1, 1)
	f(1, 2, 0)
}

// The candidates of a call add up to no more than one, the likeliest first.
func TestCandidates(t *testing.T) {
	for _, m := range (traffic{requests: racetest.Size(2000, 500), concurrent: 8}).generate(6).link(link.Config{}) {
		sum := 0.0
		for i, c := range m.Candidates {
			sum += c.Confidence
			if c.Confidence < 0 || c.Confidence > 1 || i == 0 && (c.Owner != m.Owner || c.Confidence != m.Confidence) {
				t.Fatalf("call %d: %+v", m.Call, m)
			}
		}
		if sum > 1+0.0005*float64(len(m.Candidates)) {
			t.Errorf("the candidates of call %d add up to %.3f", m.Call, sum)
		}
	}
}

// BenchmarkLink shows that n exchanges cost n, at constant concurrency.
func BenchmarkLink(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("exchanges=%d", n), func(b *testing.B) {
			l := traffic{requests: n * 2 / 7, concurrent: 2}.generate(8)
			b.ResetTimer()
			for b.Loop() {
				l.link(link.Config{})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(l.owners)+len(l.calls)), "ns/exchange")
		})
	}
}

package link_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/schemas/event"
)

// begin is an arbitrary time, not at the beginning of an epoch.
const begin = event.Time(1_700_000_012_345_678_000)

// load is what a workload did, and which request made which call.
type load struct {
	owners []link.Owner
	calls  []link.Call
	truth  map[uint64]uint64 // call → owner
}

// traffic says what a workload does: requests arrive at random, so many under
// way at a time, and each makes calls one after the other or at once.
type traffic struct {
	requests   int
	concurrent float64
	cut        time.Duration // of all clocks
	strays     float64       // share of calls that no request made
}

// generate makes up a load, the same one for the same seed.
func (t traffic) generate(seed uint64) *load {
	rnd := rand.New(rand.NewPCG(seed, seed))
	around := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * math.Exp(0.4*rnd.NormFloat64()))
	}
	cut := func(at event.Time) event.Time {
		if t.cut == 0 {
			return at
		}
		return at - at%event.Time(t.cut)
	}
	l := &load{truth: map[uint64]uint64{}}
	call := func(peer uint32, start, end event.Time, owner uint64) {
		id := uint64(len(l.calls) + 1)
		l.calls = append(l.calls, link.Call{ID: id, Peer: peer, Start: cut(start), End: cut(end)})
		if owner != 0 {
			l.truth[id] = owner
		}
	}
	const typical = 22 * time.Millisecond
	at := begin
	for i := range t.requests {
		at = at.Add(time.Duration(rnd.ExpFloat64() * float64(typical) / t.concurrent))
		id := uint64(i + 1)
		now := at.Add(around(2 * time.Millisecond))
		class := uint32(rnd.IntN(2))
		switch class {
		case 0: // one after the other, the last one twice as often as not
			for peer := range uint32(3) {
				end := now.Add(around(5 * time.Millisecond))
				call(peer, now, end, id)
				now = end.Add(around(time.Millisecond))
			}
		case 1: // two at once
			first, second := now.Add(around(9*time.Millisecond)), now.Add(around(12*time.Millisecond))
			call(1, now, first, id)
			call(3, now.Add(around(200*time.Microsecond)), second, id)
			now = max(first, second).Add(around(time.Millisecond))
		}
		l.owners = append(l.owners, link.Owner{ID: id, Class: class, Start: cut(at), End: cut(now.Add(around(3 * time.Millisecond)))})
		if rnd.Float64() < t.strays {
			stray := at.Add(time.Duration(rnd.ExpFloat64() * float64(time.Second)))
			call(uint32(1+rnd.IntN(4)), stray, stray.Add(around(4*time.Millisecond)), 0)
		}
	}
	return l
}

// link gives everything to a Linker, in the order given, and decides.
func (l *load) link(cfg link.Config) []link.Match {
	k := link.New(cfg)
	for _, o := range l.owners {
		k.Owner(o)
	}
	for _, c := range l.calls {
		k.Call(c)
	}
	return k.Advance(event.Never)
}

// shuffled returns the same load in another order.
func (l *load) shuffled(seed uint64) *load {
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := &load{owners: slices.Clone(l.owners), calls: slices.Clone(l.calls), truth: l.truth}
	rnd.Shuffle(len(s.owners), func(i, j int) { s.owners[i], s.owners[j] = s.owners[j], s.owners[i] })
	rnd.Shuffle(len(s.calls), func(i, j int) { s.calls[i], s.calls[j] = s.calls[j], s.calls[i] })
	return s
}

// figures are how right matches are.
type figures struct {
	recall    float64 // right and at the limit or above, of all calls of a request
	mislinked float64 // wrong and at the limit or above, of the same
	best      float64 // right at whatever confidence, of the same
	// overconfidence is by how much confidence exceeds rightness, on average over
	// tenths of confidence.
	overconfidence float64
}

func (l *load) score(ms []link.Match, limit float64) (f figures) {
	var sum, right, n [10]float64
	for _, m := range ms {
		if m.Owner == 0 {
			continue
		}
		bin := min(int(m.Confidence*10), 9)
		sum[bin] += m.Confidence
		n[bin]++
		ok := l.truth[m.Call] == m.Owner
		if ok {
			right[bin]++
			f.best++
		}
		switch {
		case m.Confidence < limit:
		case ok:
			f.recall++
		default:
			f.mislinked++
		}
	}
	all := 0.0
	for i := range n {
		f.overconfidence += max(sum[i]-right[i], 0)
		all += n[i]
	}
	calls := float64(len(l.truth))
	f.recall, f.mislinked, f.best = f.recall/calls, f.mislinked/calls, f.best/calls
	f.overconfidence /= all
	return f
}

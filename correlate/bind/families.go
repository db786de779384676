package bind

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/link"
)

// guess is what the times say of a call: the requests that may have made it.
type guess struct {
	call *call
	list []request
	kin  int // calls of its family that say more than its times do, 0 for none
}

// guesses puts what a linker found into the words of requests; sure is how sure a join
// must be.
func (p *pairing) guesses(matches []link.Match, sure float64) []guess {
	p.learn(matches, sure)
	list := make([]guess, len(matches))
	for i := range matches {
		m := &matches[i]
		list[i].call = p.callBy(m.Call)
		if p.weigh(list[i].call, m.Candidates, sure) {
			list[i].list = p.requests(m)
		}
	}
	return list
}

// family is the calls whose goroutines one goroutine started, in order: HTTP/2
// in Go starts one for each call. Where calls share a goroutine it belongs to the
// connection, and says nothing of who waits for them.
type family struct {
	calls   []*call
	guesses []*guess // nil for a call that is known
	keys    []correlate.Key
	// What the times say of each call and each key, and of none at the end; what
	// the family says.
	alone, together [][]float64
	open            []float64 // keys in question for each call, and none
}

// A goroutine works on one request, and perhaps later on another. How often calls
// that come one after the other are of one request is what the families of the
// same minute show, beginning with even odds, so that what fits by chance does not
// decide it; 49 of 50 must be outweighed.
func (p *pairing) families(guesses []guess) {
	list := p.kinship(guesses)
	if len(list) == 0 {
		return
	}
	stay := 0.5
	for range 4 {
		stays, all := float64(priorRight), float64(priorAll)
		for _, f := range list {
			stays += f.weigh(stay)
			all += float64(len(f.calls) - 1)
		}
		stay = stays / all
	}
	for _, f := range list {
		f.weigh(stay)
		f.tell()
	}
}

// kinship finds the families of calls in question.
func (p *pairing) kinship(guesses []guess) []*family {
	by := make(map[*call]*guess, len(guesses))
	for i := range guesses {
		if g := &guesses[i]; g.call != nil && len(g.list) > 0 {
			by[g.call] = g
		}
	}
	alone := map[routine]int{} // calls of each goroutine
	for _, c := range p.calls {
		if c.x != nil && c.x.p.ParentGo != 0 {
			alone[routine{c.x.p.Process, c.x.p.Goroutine}]++
		}
	}
	index := map[routine]*family{}
	var list []*family
	for _, c := range p.calls {
		if c.x == nil || c.x.p.ParentGo == 0 || alone[routine{c.x.p.Process, c.x.p.Goroutine}] > 1 {
			continue
		}
		g := by[c]
		switch settled := c.x.settled() && !c.x.key.IsZero(); {
		case settled:
			g = nil
		case g == nil:
			continue // not yet, or never
		}
		key := routine{c.x.p.Process, c.x.p.ParentGo}
		f := index[key]
		if f == nil {
			f = &family{}
			index[key] = f
			list = append(list, f)
		}
		f.calls = append(f.calls, c)
		f.guesses = append(f.guesses, g)
	}
	list = slices.DeleteFunc(list, func(f *family) bool {
		return len(f.calls) < 2 || !slices.ContainsFunc(f.guesses, func(g *guess) bool { return g != nil })
	})
	for _, f := range list {
		f.compare()
	}
	return list
}

// compare puts what is known of each call side by side.
func (f *family) compare() {
	order := make([]int, len(f.calls))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(f.calls[a].start, f.calls[b].start), cmp.Compare(f.calls[a].id, f.calls[b].id))
	})
	calls, guesses := make([]*call, len(order)), make([]*guess, len(order))
	for i, j := range order {
		calls[i], guesses[i] = f.calls[j], f.guesses[j]
	}
	f.calls, f.guesses = calls, guesses
	at := func(k correlate.Key) int {
		i := slices.Index(f.keys, k)
		if i < 0 {
			i = len(f.keys)
			f.keys = append(f.keys, k)
		}
		return i
	}
	for i, g := range f.guesses {
		if g == nil {
			at(f.calls[i].x.key)
			continue
		}
		for _, r := range g.list {
			at(r.key)
		}
	}
	n := len(f.keys)
	f.alone, f.together, f.open = make([][]float64, len(f.calls)), make([][]float64, len(f.calls)), make([]float64, len(f.calls))
	for i, g := range f.guesses {
		row := make([]float64, n+1)
		f.open[i] = 2
		if g != nil {
			f.open[i] = float64(len(g.list) + 1)
			row[n] = 1
			for _, r := range g.list {
				row[at(r.key)] = r.confidence
				row[n] -= r.confidence
			}
		} else {
			row[at(f.calls[i].x.key)] = 1
			if sure := f.calls[i].x.inferred; sure != nil {
				row[at(f.calls[i].x.key)], row[n] = sure.Confidence, 1-sure.Confidence
			}
		}
		for k := range row {
			row[k] = max(row[k], leastLikely)
		}
		f.alone[i], f.together[i] = row, make([]float64, n+1)
	}
}

// leastLikely is what is left of a request that is out of the question: less than
// confidences show.
const leastLikely = 1e-4

// weigh says how likely each key is for each call if the next call of a family is
// of the same request with a probability, else of any: a forward-backward pass. It
// returns how many calls are expected to be of the request of the one before.
func (f *family) weigh(stay float64) (stays float64) {
	n := len(f.keys) + 1
	ahead := f.together
	for i, row := range f.alone {
		sum := 0.0
		for k := range row {
			before := 1.0
			if i > 0 {
				before = stay*ahead[i-1][k] + (1-stay)/f.open[i]
			}
			ahead[i][k] = before * row[k]
			sum += ahead[i][k]
		}
		scale(ahead[i], sum)
	}
	// What the calls behind say of each.
	after, next := make([]float64, n), make([]float64, n)
	for k := range after {
		after[k] = 1
	}
	for i := len(f.alone) - 2; i >= 0; i-- {
		jump := (1 - stay) / f.open[i+1]
		any, all, same := 0.0, 0.0, 0.0
		for k := range after {
			next[k] = f.alone[i+1][k] * after[k]
			any += next[k]
		}
		for k := range after {
			after[k] = (stay*next[k] + jump*any) / any
			same += ahead[i][k] * stay * next[k] / any
			ahead[i][k] *= after[k]
			all += ahead[i][k]
		}
		stays += same / all
		scale(ahead[i], all)
	}
	return stays
}

func scale(row []float64, sum float64) {
	for k := range row {
		row[k] /= sum
	}
}

// tell puts what the family says in place of what the times say of each call.
func (f *family) tell() {
	for i, g := range f.guesses {
		if g == nil {
			continue
		}
		for j := range g.list {
			r := &g.list[j]
			r.confidence = math.Round(f.together[i][slices.Index(f.keys, r.key)]*1000) / 1000
		}
		slices.SortStableFunc(g.list, likeliest)
		g.kin = len(f.calls) - 1
	}
}

// byKin is the reason of a decision that the family made.
func byKin(n int) string {
	if n == 1 {
		return "its goroutine was started by the one that made another call of the request"
	}
	return "its goroutine was started by the one that made " + strconv.Itoa(n) + " other calls of the request"
}

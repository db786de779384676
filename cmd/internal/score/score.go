package score

import (
	"cmp"
	"io"
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// place is something numbered on a node: a socket cookie or a pid.
type place struct {
	node int32
	n    uint64
}

type verdict uint8

const (
	orphan verdict = iota
	ambiguous
	right
	fragment
	misStitched
	apart // background in a timeline of its own
)

type scorer struct {
	report    Report
	facts     []fact
	steps     []step
	timelines []tl
	names     numbering // nodes
	requests  numbering
	byEvent   map[event.ID][]int32
	byCookie  map[place][]int32
	byPID     map[place][]int32
	ambiguous map[event.ID]struct{}
	home      []int32 // of each request, -1 for none
}

// Run reads the truth and the timelines, one JSON object a line each (the
// second as `replay -o json` writes them), and compares them. Of a timeline
// that comes several times the highest revision counts; superseded ones do not.
// Errors name the file and line.
func Run(truth, timelines io.Reader) (*Report, error) {
	s := &scorer{
		byEvent: map[event.ID][]int32{}, byCookie: map[place][]int32{}, byPID: map[place][]int32{},
		ambiguous: map[event.ID]struct{}{},
	}
	if err := s.readTruth(truth); err != nil {
		return nil, err
	}
	if err := s.readTimelines(timelines); err != nil {
		return nil, err
	}
	for i := range s.facts {
		s.meet(&s.facts[i])
	}
	s.findHomes()
	s.judge()
	s.count()
	return &s.report, nil
}

// meet finds the steps that report a fact.
func (s *scorer) meet(f *fact) {
	live := func(i int32) bool { return !s.timelines[s.steps[i].timeline].dead }
	if !f.event.IsZero() {
		for _, i := range s.byEvent[f.event] {
			if live(i) && !slices.Contains(f.met, i) {
				f.met = append(f.met, i)
			}
		}
		if len(f.met) > 0 {
			return
		}
	}
	switch f.kind {
	case kindExchange, kindIngress, kindEgress:
		s.meetExchange(f, live)
	case kindProcess:
		best, gap := int32(-1), int64(0)
		for _, i := range s.byPID[place{f.node, uint64(f.pid)}] {
			st := &s.steps[i]
			// A process start is converted from the boot clock more than once.
			if st.layer != timeline.LayerProcess || !live(i) || st.start < f.start-slack || st.start > f.end {
				continue
			}
			if d := abs(st.start - f.start); best < 0 || d < gap {
				best, gap = i, d
			}
		}
		if best >= 0 {
			f.met = append(f.met, best)
		}
	case kindSyscall:
		for _, i := range s.byPID[place{f.node, uint64(f.pid)}] {
			if st := &s.steps[i]; live(i) && st.start == f.start && st.layer != timeline.LayerProcess {
				f.met = append(f.met, i)
			}
		}
	case kindEdge:
		for i := range s.steps {
			if st := &s.steps[i]; f.event.IsZero() && st.layer == timeline.LayerEdge && st.start == f.start && live(int32(i)) {
				f.met = append(f.met, int32(i))
			}
		}
	}
}

// slack is how far two conversions of one boot time may differ.
const slack = int64(1e6)

func (s *scorer) meetExchange(f *fact, live func(int32) bool) {
	contained := int32(-1)
	for _, i := range s.byCookie[place{f.node, f.cookie}] {
		st := &s.steps[i]
		switch st.layer {
		case timeline.LayerNetwork, timeline.LayerPolicy, timeline.LayerDNS, timeline.LayerProcess, timeline.LayerFile, timeline.LayerSyscall:
			continue
		}
		if !live(i) {
			continue
		}
		switch {
		case f.stream != 0:
			if st.stream == f.stream {
				f.met = append(f.met, i)
			}
		case st.observed == f.start || st.observed == 0 && st.start == f.start:
			f.met = append(f.met, i)
		case contained < 0 && f.contains(st.seen()):
			contained = i
		}
	}
	if len(f.met) == 0 && contained >= 0 {
		f.met = append(f.met, contained)
	}
}

func (f *fact) contains(t int64) bool { return f.start <= t && t <= f.end }

func abs(v int64) int64 { return max(v, -v) }

// findHomes finds each request's timeline and each timeline's owner.
func (s *scorer) findHomes() {
	type share struct {
		timeline, request int32
		n                 int
		entry             bool
	}
	at := map[[2]int32]*share{}
	for i := range s.facts {
		f := &s.facts[i]
		for k, m := range f.met {
			t := s.steps[m].timeline
			key := [2]int32{t, f.request}
			sh := at[key]
			if sh == nil {
				sh = &share{timeline: t, request: f.request}
				at[key] = sh
			}
			sh.n++
			if f.entry && k == 0 {
				sh.entry = true
			}
		}
	}
	shares := make([]*share, 0, len(at))
	for _, sh := range at {
		shares = append(shares, sh)
	}
	// Entries first, then most facts, then the first timeline.
	slices.SortFunc(shares, func(a, b *share) int {
		switch {
		case a.entry != b.entry && a.entry:
			return -1
		case a.entry != b.entry:
			return 1
		}
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.timeline, b.timeline), cmp.Compare(a.request, b.request))
	})
	s.home = make([]int32, len(s.requests.names))
	for i := range s.home {
		s.home[i] = -1
	}
	for _, sh := range shares {
		if sh.request >= 0 && s.home[sh.request] < 0 {
			s.home[sh.request] = sh.timeline
		}
	}
	// The owner of a home is the one of its requests with most facts in it; of
	// any other timeline whoever has most.
	best := make([]*share, len(s.timelines))
	for _, sh := range shares {
		home := sh.request >= 0 && s.home[sh.request] == sh.timeline
		b := best[sh.timeline]
		bHome := b != nil && b.request >= 0 && s.home[b.request] == b.timeline
		if b == nil || home && !bHome || home == bHome && sh.n > b.n {
			best[sh.timeline] = sh
		}
	}
	for i, b := range best {
		if b != nil {
			s.timelines[i].owner = b.request
		}
	}
}

// judge gives every fact its verdict.
func (s *scorer) judge() {
	for i := range s.facts {
		f := &s.facts[i]
		if len(f.met) == 0 {
			if _, ok := s.ambiguous[f.event]; ok && !f.event.IsZero() {
				f.verdict = ambiguous
			}
			continue
		}
		f.verdict = fragment
		if f.request < 0 {
			f.verdict = apart
		}
		for _, m := range f.met {
			t := s.steps[m].timeline
			if s.timelines[t].owner != f.request {
				f.verdict = misStitched
				break
			}
			if f.request >= 0 && s.home[f.request] == t {
				f.verdict = right
			}
		}
	}
}

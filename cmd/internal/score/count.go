package score

import (
	"cmp"
	"slices"
)

// count turns the verdicts into figures.
func (s *scorer) count() {
	r := &s.report
	r.Timelines, r.Steps = 0, 0
	for i := range s.timelines {
		if !s.timelines[i].dead {
			r.Timelines++
		}
	}
	for i := range s.steps {
		if !s.timelines[s.steps[i].timeline].dead {
			r.Steps++
		}
	}
	r.Requests = len(s.requests.names)
	perMethod, perKind := make([]Class, len(methodNames)), make([]Class, len(kinds))
	s.countFacts(perMethod, perKind)
	judged := s.countSteps(perMethod, perKind)
	s.countFragments()
	r.Exact.finish()
	r.Inferred.finish()
	r.ByMethod = map[string]Class{}
	for i := range perMethod {
		c := &perMethod[i]
		if c.finish(); c.N > 0 || c.Possible > 0 {
			r.ByMethod[methodNames[i]] = *c
		}
	}
	r.ByKind = map[string]Class{}
	for i := range perKind {
		c := &perKind[i]
		if c.finish(); c.N > 0 || c.Possible > 0 {
			r.ByKind[kinds[i]] = *c
		}
	}
	r.MisStitch = rate(r.MisStitched, r.Facts)
	r.Orphan = rate(r.Orphans, r.Joinable)
	r.Ambiguous = rate(r.Ambiguities, r.Joinable)
	r.calibrate(judged)
}

func (s *scorer) countFacts(perMethod, perKind []Class) {
	r := &s.report
	for i := range s.facts {
		f := &s.facts[i]
		if f.verdict == misStitched {
			r.MisStitched++
		}
		if f.request < 0 {
			r.Background++
			continue
		}
		r.Facts++
		switch f.verdict {
		case right:
			r.Right++
		case fragment:
			r.Fragments++
		}
		if f.possible == 0 {
			continue
		}
		r.Joinable++
		switch f.verdict {
		case orphan:
			r.Orphans++
		case ambiguous:
			r.Ambiguities++
		}
		class := &r.Inferred
		if f.possible&exactBits != 0 {
			class = &r.Exact
		}
		for _, c := range []*Class{class, &perKind[f.kind]} {
			c.Possible++
			if f.verdict == right {
				c.Found++
			}
		}
		for m := range perMethod {
			if f.possible&(1<<m) != 0 {
				perMethod[m].Possible++
				if f.verdict == right {
					perMethod[m].Found++
				}
			}
		}
	}
}

// judgement is one inferred step with its confidence.
type judgement struct {
	confidence float64
	right      bool
}

// countSteps judges each step that meets a fact: right if all the facts it
// meets belong to the owner of its timeline and no step before it met one of
// them there.
func (s *scorer) countSteps(perMethod, perKind []Class) []judgement {
	type seen struct {
		met, wrong, repeated bool
		kinds                uint16 // bit set
	}
	state := make([]seen, len(s.steps))
	for i := range s.facts {
		f := &s.facts[i]
		var before []int32 // timelines
		for _, m := range f.met {
			t := s.steps[m].timeline
			st := &state[m]
			st.met = true
			st.kinds |= 1 << f.kind
			if s.timelines[t].owner != f.request {
				st.wrong = true
			}
			if slices.Contains(before, t) {
				st.repeated = true
			}
			before = append(before, t)
		}
	}
	var judged []judgement
	for i, st := range state {
		if !st.met {
			continue
		}
		step := &s.steps[i]
		if s.timelines[step.timeline].owner < 0 && !st.wrong {
			continue // the background by itself
		}
		if st.repeated {
			s.report.DuplicateSteps++
		}
		ok := !st.wrong && !st.repeated
		classes := []*Class{&s.report.Inferred}
		if step.exact {
			classes[0] = &s.report.Exact
		} else {
			judged = append(judged, judgement{step.confidence, ok})
		}
		if step.method >= 0 {
			classes = append(classes, &perMethod[step.method])
		}
		for k := range perKind {
			if st.kinds&(1<<k) != 0 {
				classes = append(classes, &perKind[k])
			}
		}
		for _, c := range classes {
			c.N++
			if ok {
				c.Right++
			}
		}
	}
	return judged
}

// countFragments counts the requests whose facts lie in several timelines of
// their own.
func (s *scorer) countFragments() {
	torn := make([]bool, len(s.requests.names))
	for i := range s.facts {
		f := &s.facts[i]
		if f.request < 0 || torn[f.request] {
			continue
		}
		for _, m := range f.met {
			t := s.steps[m].timeline
			if s.timelines[t].owner == f.request && s.home[f.request] != t {
				torn[f.request] = true
				s.report.Fragmented++
				break
			}
		}
	}
}

// calibrate fills the ten bins and the expected calibration error.
func (r *Report) calibrate(judged []judgement) {
	const bins = 10
	slices.SortStableFunc(judged, func(a, b judgement) int { return cmp.Compare(a.confidence, b.confidence) })
	r.Calibration = []Bin{}
	for b := range bins {
		part := judged[b*len(judged)/bins : (b+1)*len(judged)/bins]
		if len(part) == 0 {
			continue
		}
		bin := Bin{N: len(part)}
		good := 0
		for _, j := range part {
			bin.Confidence += j.confidence
			if j.right {
				good++
			}
		}
		bin.Confidence /= float64(len(part))
		bin.Accuracy = float64(good) / float64(len(part))
		r.ECE += max(bin.Confidence-bin.Accuracy, bin.Accuracy-bin.Confidence) * float64(len(part)) / float64(len(judged))
		bin.Confidence, bin.Accuracy = round(bin.Confidence), round(bin.Accuracy)
		r.Calibration = append(r.Calibration, bin)
	}
	r.ECE = round(r.ECE)
}

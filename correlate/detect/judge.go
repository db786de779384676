package detect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// judge finds what the rules about steps, sequences and requests say of a timeline,
// at most one finding a rule. Of a rule that cannot be judged the error says which it
// is; the others were judged.
func (w *Watch) judge(t *timeline.Timeline, want func(rule int) bool) ([]finding, error) {
	s, v := w.set, &view{t: t, w: w}
	w.open = 0
	var errs []error
	broken := map[int]bool{}
	fail := func(n int, err error) {
		broken[n] = true
		errs = append(errs, fmt.Errorf("judge rule %s on %s: %w", s.Rules[n].ID, t.ID, err))
	}
	var on subject
	steps := make(map[int][]int)
	for i := range t.Steps {
		rules, layer, status := s.index.stepRules(&t.Steps[i])
		for _, n := range rules {
			r := s.Rules[n]
			c := r.conditions[0]
			if r.Sequence != nil {
				// The steps are in order of their starts: the first that fits is as
				// good as any.
				if len(steps[n]) == len(r.conditions) {
					continue
				}
				c = r.conditions[len(steps[n])]
			}
			if !c.gate.step(layer, status) || broken[n] || !want(n) {
				continue
			}
			on = subject{step: v.step(i)}
			if r.uses&useRequest != 0 {
				on.request = v.request(r.uses&useSteps != 0)
			}
			ok, err := c.holds(&on)
			if err != nil {
				fail(n, err)
			} else if ok {
				steps[n] = append(steps[n], i)
			} else if c.execs && on.step.Execs > 0 && c.holdsWithout(on) {
				w.open = max(w.open, t.Steps[i].Start)
			}
		}
	}
	var found []finding
	for n, list := range steps {
		if r := s.Rules[n]; broken[n] || r.Sequence != nil && len(list) < len(r.conditions) {
			continue
		}
		found = append(found, finding{rule: n, steps: list})
	}
	for _, n := range s.index.whole {
		if !want(n) {
			continue
		}
		on = subject{request: v.request(s.Rules[n].uses&useSteps != 0)}
		ok, err := s.Rules[n].conditions[0].holds(&on)
		if err != nil {
			fail(n, err)
		} else if ok {
			found = append(found, finding{rule: n})
		}
	}
	slices.SortFunc(found, func(a, b finding) int { return cmp.Compare(a.rule, b.rule) })
	return found, errors.Join(errs...)
}

// holdsWithout reports whether a condition holds if the programs that may be below the
// step turn out to be others'.
func (c *condition) holdsWithout(on subject) bool {
	s := *on.step
	s.Execs = 0
	on.step = &s
	ok, err := c.holds(&on)
	return ok && err == nil
}

// events returns the rules that may hold for an event, as far as it alone tells: what
// a rule asks of its request is left open. An event that no rule asks of costs a look
// into a table.
func (s *Set) events(e *event.Event) (rules []int, f *fact, err error) {
	candidates := s.index.kinds[e.Kind]
	if len(candidates) == 0 {
		return nil, nil, nil
	}
	f = factOf(e)
	var on subject
	var errs []error
	for _, n := range candidates {
		r := s.Rules[n]
		if !r.conditions[0].gate.event(f) {
			continue
		}
		if r.uses&useRequest == 0 { // it asks for no id of the event before it holds
			on = subject{event: f}
			ok, broken := r.conditions[0].holds(&on)
			if broken != nil {
				errs = append(errs, fmt.Errorf("judge rule %s on event %s: %w", r.ID, e.ID, broken))
			}
			if !ok {
				continue
			}
		}
		rules = append(rules, n)
	}
	if len(rules) == 0 {
		return nil, nil, errors.Join(errs...)
	}
	f.finish(e)
	return rules, f, errors.Join(errs...)
}

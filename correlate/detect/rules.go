package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Rule says what to find.
type Rule struct {
	ID       string         `yaml:"id"`
	Title    string         `yaml:"title"`
	Severity alert.Severity `yaml:"severity"`
	Tags     []string       `yaml:"tags"`
	Why      string         `yaml:"why"` // why it matters, and what to do
	// One of these: Step holds for a step, Request for the request as a whole,
	// Sequence for steps that follow one another, each beginning no earlier than
	// the one before.
	Step     string   `yaml:"step"`
	Request  string   `yaml:"request"`
	Sequence []string `yaml:"sequence"`

	conditions []*condition
}

// Set is the rules of some files.
type Set struct {
	Rules []*Rule
}

// maxSteps bounds the steps that an alert names.
const maxSteps = 100

// Judge returns the alerts of a timeline at its revision, at most one a rule, in
// the order of the rules, not yet told (Changes). The error names the rules that could not be judged; the
// others were.
func (s *Set) Judge(t *timeline.Timeline) ([]alert.Alert, error) {
	if s == nil || len(s.Rules) == 0 || t.SupersededBy != "" {
		return nil, nil
	}
	view := viewOf(t)
	var found []alert.Alert
	var errs []error
	for _, r := range s.Rules {
		steps, ok, err := r.find(view)
		if err != nil {
			errs = append(errs, fmt.Errorf("judge rule %s on %s: %w", r.ID, t.ID, err))
			continue
		}
		if ok {
			found = append(found, r.alert(t, steps))
		}
	}
	return found, errors.Join(errs...)
}

// find returns the numbers of the steps that a rule holds for.
func (r *Rule) find(view *request) (steps []int, ok bool, err error) {
	switch {
	case r.Request != "":
		ok, err := r.conditions[0].holds(view, nil)
		return nil, ok, err
	case r.Step != "":
		for i, s := range view.Steps {
			ok, err := r.conditions[0].holds(view, s)
			if err != nil {
				return nil, false, err
			}
			if ok {
				steps = append(steps, i)
			}
		}
		return steps, len(steps) > 0, nil
	}
	// The steps are in order of their starts: the first that fits is as good as any.
	for i, s := range view.Steps {
		ok, err := r.conditions[len(steps)].holds(view, s)
		if err != nil {
			return nil, false, err
		}
		if ok {
			if steps = append(steps, i); len(steps) == len(r.conditions) {
				return steps, true, nil
			}
		}
	}
	return nil, false, nil
}

func (r *Rule) alert(t *timeline.Timeline, steps []int) alert.Alert {
	a := alert.Alert{
		RuleID: r.ID, Severity: r.Severity, Title: r.Title, State: alert.Open, Time: t.Start,
		TimelineID: t.ID, StepIDs: []string{}, EventIDs: []string{}, Exact: true, Confidence: 1, Gaps: []string{}, Tags: r.Tags,
	}
	if len(steps) == 0 && len(t.Steps) > 0 {
		steps = []int{0} // the root stands for the request
	}
	for i, n := range steps {
		s := &t.Steps[n]
		if i == 0 {
			a.Time = s.Start
		}
		a.Exact = a.Exact && s.Join.Exact
		a.Confidence = min(a.Confidence, s.Join.Confidence)
		if i < maxSteps {
			a.StepIDs = append(a.StepIDs, s.ID)
			a.EventIDs = append(a.EventIDs, s.EventIDs...)
		}
	}
	for i := range t.Completeness.Gaps {
		if g := t.Completeness.Gaps[i].Source; !slices.Contains(a.Gaps, g) {
			a.Gaps = append(a.Gaps, g)
		}
	}
	first := ""
	if len(a.EventIDs) > 0 {
		first = a.EventIDs[0]
	}
	a.ID = idOf(r.ID, first, t.ID)
	return a
}

// idOf is the hash of the rule and of the first event that it rests on.
func idOf(rule, event, timeline string) string {
	if event == "" {
		event = timeline
	}
	sum := sha256.Sum256([]byte(rule + "\x00" + event))
	return hex.EncodeToString(sum[:16])
}

// Refs are the alerts as their timeline lists them.
func Refs(list []alert.Alert) []timeline.AlertRef {
	refs := make([]timeline.AlertRef, 0, len(list))
	for i := range list {
		a := &list[i]
		refs = append(refs, timeline.AlertRef{
			AlertID: a.ID, RuleID: a.RuleID, Severity: string(a.Severity), Title: a.Title, State: string(a.State), StepIDs: a.StepIDs,
		})
	}
	return refs
}

// Rank orders severities; one that is none is -1.
func Rank(s alert.Severity) int { return s.Rank() }

// SeverityNames lists the severities for messages.
func SeverityNames() string {
	var names []string
	for _, s := range alert.Severities {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

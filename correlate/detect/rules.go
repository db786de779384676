package detect

import (
	"crypto/sha256"
	"encoding/hex"
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
	// One of these: Event holds for one event, of a request or of none, Step for a
	// step, Request for the request as a whole, Sequence for steps that follow one
	// another, each beginning no earlier than the one before.
	Event    string   `yaml:"event"`
	Step     string   `yaml:"step"`
	Request  string   `yaml:"request"`
	Sequence []string `yaml:"sequence"`

	conditions []*condition
	uses       variables
}

// Class says whether later evidence can refute what the rule found, and, of a
// Refutable one, why: with line and column within its condition.
func (r *Rule) Class() (class Class, why string) {
	for _, c := range r.conditions {
		if c.class == Refutable {
			return Refutable, c.why
		}
	}
	return Monotone, ""
}

// Set is the rules of some files. It does not change.
type Set struct {
	Rules []*Rule
	// Hash names what the set says: sets of equal text have the same.
	Hash string

	index    *index
	monotone []bool // by rule
}

// Early reports whether some rule can fire on what is known of a request while it is
// open.
func (s *Set) Early() bool {
	if s == nil {
		return false
	}
	for i, r := range s.Rules {
		if s.monotone[i] && r.Event == "" {
			return true
		}
	}
	return false
}

// maxSteps bounds the steps that an alert names.
const maxSteps = 100

// finding is what a rule holds for.
type finding struct {
	rule   int
	steps  []int    // of the timeline; none stands for the request
	events []string // the ids of the events that triggered it, nil for all of the steps
}

// alert makes the alert of a finding, not yet told (Changes).
func (s *Set) alert(t *timeline.Timeline, f *finding) alert.Alert {
	r := s.Rules[f.rule]
	a := alert.Alert{
		RuleID: r.ID, Severity: r.Severity, Title: r.Title, State: alert.Open, Time: t.Start,
		TimelineID: t.ID, StepIDs: []string{}, EventIDs: []string{}, Exact: true, Confidence: 1, Gaps: []string{}, Tags: r.Tags,
	}
	steps := f.steps
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
			if f.events == nil {
				a.EventIDs = append(a.EventIDs, s.EventIDs...)
			}
		}
	}
	a.EventIDs = append(a.EventIDs, f.events[:min(maxSteps, len(f.events))]...)
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

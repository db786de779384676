// Package explain says how a step came to its timeline: the evidence, the rungs
// of the ladder that were tried before it, and the requests that were rejected.
package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Step is the account of one step.
type Step struct {
	TimelineID string          `json:"timeline_id"`
	Revision   uint32          `json:"revision"`
	StepID     string          `json:"step_id"`
	Layer      timeline.Layer  `json:"layer"`
	Name       string          `json:"name"`
	Start      event.Time      `json:"start"`
	End        event.Time      `json:"end"`
	Status     timeline.Status `json:"status"`
	Source     string          `json:"source"`
	Node       string          `json:"node"`
	Join       timeline.Join   `json:"join"`
	Tried      []Rung          `json:"tried"`
	// Above are the steps it hangs below, the nearest first.
	Above    []Link   `json:"above"`
	EventIDs []string `json:"event_ids"`
}

// Link is a step on the way to the root.
type Link struct {
	StepID     string         `json:"step_id"`
	Layer      timeline.Layer `json:"layer"`
	Name       string         `json:"name"`
	Method     string         `json:"method"`
	Exact      bool           `json:"exact"`
	Confidence float64        `json:"confidence"`
}

// Event is the account of an event that belongs to one of several requests.
type Event struct {
	TimelineID string               `json:"timeline_id"`
	EventID    string               `json:"event_id"`
	Candidates []timeline.Candidate `json:"candidates"`
}

// Timeline is the account of a whole timeline.
type Timeline struct {
	TimelineID string               `json:"timeline_id"`
	Revision   uint32               `json:"revision"`
	Steps      int                  `json:"steps"`
	Methods    []Method             `json:"methods"`
	Inferred   []Link               `json:"inferred"` // the least sure first
	Ambiguous  []timeline.Ambiguous `json:"ambiguous"`
	Missing    []string             `json:"missing"`
	Gaps       []timeline.Gap       `json:"gaps"`
}

// Method is how many steps rest on one rung, and how sure the least sure is.
type Method struct {
	Method string  `json:"method"`
	Exact  bool    `json:"exact"`
	Steps  int     `json:"steps"`
	Least  float64 `json:"least_confidence"`
}

// ErrNoStep says that a timeline has no such step, or several.
var ErrNoStep = errors.New("no such step")

// Of accounts for a step, or for an ambiguous event, that typed begins: by step,
// span or event id. It returns a *Step or an *Event.
func Of(t *timeline.Timeline, typed string) (any, error) {
	var found []*timeline.Step
	for i := range t.Steps {
		s := &t.Steps[i]
		if strings.HasPrefix(s.ID, typed) || strings.HasPrefix(s.SpanID, typed) ||
			slices.ContainsFunc(s.EventIDs, func(id string) bool { return strings.HasPrefix(id, typed) }) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 1:
		return step(t, found[0]), nil
	case 0:
		for i := range t.Ambiguous {
			if a := &t.Ambiguous[i]; strings.HasPrefix(a.EventID, typed) {
				return &Event{TimelineID: t.ID, EventID: a.EventID, Candidates: notNil(a.Candidates)}, nil
			}
		}
		return nil, fmt.Errorf("%w: no step and no ambiguous event of %s begins with %q; 'sennit get -o json' lists the step_ids", ErrNoStep, t.ID, typed)
	}
	ids := make([]string, 0, len(found))
	for _, s := range found[:min(len(found), 5)] {
		ids = append(ids, s.ID)
	}
	return nil, fmt.Errorf("%w: %q is the beginning of %d steps: %s", ErrNoStep, typed, len(found), strings.Join(ids, ", "))
}

func step(t *timeline.Timeline, s *timeline.Step) *Step {
	out := &Step{
		TimelineID: t.ID, Revision: t.Revision, StepID: s.ID, Layer: s.Layer, Name: s.Name, Start: s.Start, End: s.End,
		Status: s.Status, Source: s.Source, Node: s.Node, Join: s.Join, Tried: rungs(s), Above: []Link{}, EventIDs: notNil(s.EventIDs),
	}
	out.Join.Evidence, out.Join.Rejected = notNil(s.Join.Evidence), notNil(s.Join.Rejected)
	byID := make(map[string]*timeline.Step, len(t.Steps))
	for i := range t.Steps {
		byID[t.Steps[i].ID] = &t.Steps[i]
	}
	for p := byID[s.ParentID]; p != nil && len(out.Above) < len(t.Steps); p = byID[p.ParentID] {
		out.Above = append(out.Above, linkOf(p))
	}
	return out
}

func linkOf(s *timeline.Step) Link {
	return Link{StepID: s.ID, Layer: s.Layer, Name: s.Name, Method: s.Join.Method, Exact: s.Join.Exact, Confidence: s.Join.Confidence}
}

// All accounts for a timeline.
func All(t *timeline.Timeline) *Timeline {
	out := &Timeline{
		TimelineID: t.ID, Revision: t.Revision, Steps: len(t.Steps), Methods: []Method{}, Inferred: []Link{},
		Ambiguous: notNil(t.Ambiguous), Missing: notNil(t.Completeness.Missing), Gaps: notNil(t.Completeness.Gaps),
	}
	for _, name := range slices.Concat(timeline.ExactMethods, timeline.InferredMethods) {
		m := Method{Method: name, Exact: isExact(name), Least: 1}
		for i := range t.Steps {
			if j := &t.Steps[i].Join; j.Method == name {
				m.Steps++
				m.Least = min(m.Least, j.Confidence)
			}
		}
		if m.Steps > 0 {
			out.Methods = append(out.Methods, m)
		}
	}
	for i := range t.Steps {
		if !t.Steps[i].Join.Exact {
			out.Inferred = append(out.Inferred, linkOf(&t.Steps[i]))
		}
	}
	slices.SortStableFunc(out.Inferred, func(a, b Link) int {
		switch {
		case a.Confidence < b.Confidence:
			return -1
		case a.Confidence > b.Confidence:
			return 1
		}
		return 0
	})
	return out
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

package enginetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Check says what is wrong with a timeline: what must hold of each, whatever
// the events.
func Check(t *timeline.Timeline) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(t.ID+": "+format, args...)) }
	if t.SupersededBy != "" {
		if t.SupersededBy == t.ID || t.Revision < 2 || len(t.Steps) != 0 {
			fail("superseded by %q at revision %d with %d steps", t.SupersededBy, t.Revision, len(t.Steps))
		}
		return errors.Join(errs...)
	}
	if (t.State == timeline.Open) != (t.Revision == 0) {
		fail("state %s at revision %d", t.State, t.Revision)
	}
	if t.Start > t.End {
		fail("starts at %v, after its end %v", t.Start, t.End)
	}
	parents := make(map[string]string)
	for i := range t.Steps {
		if _, twice := parents[t.Steps[i].ID]; twice {
			fail("two steps are %s", t.Steps[i].ID)
		}
		parents[t.Steps[i].ID] = t.Steps[i].ParentID
	}
	roots, seen := 0, make(map[string]string)
	for i := range t.Steps {
		s := &t.Steps[i]
		if i > 0 && t.Steps[i-1].Start > s.Start {
			fail("step %s is not in order", s.ID)
		}
		if s.Start > s.End {
			fail("step %s starts after its end", s.ID)
		}
		if s.ParentID == "" {
			roots++
		} else if _, ok := parents[s.ParentID]; !ok {
			fail("the parent %s of step %s is not there", s.ParentID, s.ID)
		}
		for p, n := s.ParentID, 0; p != ""; p, n = parents[p], n+1 {
			if n > len(t.Steps) {
				fail("step %s is in a ring", s.ID)
				break
			}
		}
		for _, id := range s.EventIDs {
			if other, twice := seen[id]; twice {
				fail("event %s is in steps %s and %s", id, other, s.ID)
			}
			seen[id] = s.ID
		}
		if len(s.EventIDs) == 0 {
			fail("step %s rests on no event", s.ID)
		}
		if err := checkJoin(&s.Join); err != nil {
			fail("step %s: %w", s.ID, err)
		}
		if s.Name == "" || s.Layer == "" || s.Status == "" || s.Source == "" {
			fail("step %s has no name, layer, status or source: %+v", s.ID, s)
		}
	}
	if roots != 1 {
		fail("%d of %d steps have no parent", roots, len(t.Steps))
	}
	for _, a := range t.Ambiguous {
		if s, ok := seen[a.EventID]; ok {
			fail("event %s is ambiguous and in step %s", a.EventID, s)
		}
	}
	return errors.Join(errs...)
}

// checkJoin holds a join to what it claims: an exact one is certain, an inferred
// one is likely enough, and its alternatives are less so.
func checkJoin(j *timeline.Join) error {
	methods, least := timeline.ExactMethods, 1.0
	if !j.Exact {
		methods, least = timeline.InferredMethods, window.Default().Confidence
	}
	sum := j.Confidence
	for _, r := range j.Rejected {
		sum += r.Confidence
	}
	if !slices.Contains(methods, j.Method) || j.Confidence < least || sum > 1.002 || len(j.Evidence) == 0 || j.Candidates == 0 {
		return fmt.Errorf("join %+v", *j)
	}
	return nil
}

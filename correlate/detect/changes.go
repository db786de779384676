package detect

import (
	"slices"

	"github.com/sennit-io/sennit/schemas/alert"
)

// Changes returns what is to be told of a verdict: the alerts that are new, or not as
// they were told before, and those that were refuted, as withdrawn. Each has the next
// revision of its own: 1 for what is told for the first time.
//
// had are the ids of the alerts of the timeline's revision before; told gives back
// what was last told of an alert, nil for nothing. An alert that went over to another
// timeline, as when two turn out to be one request, is not withdrawn.
func Changes(v Verdict, had []string, told func(id string) (*alert.Alert, error)) (changes []alert.Alert, err error) {
	for _, a := range v.Found {
		last, err := told(a.ID)
		if err != nil {
			return nil, err
		}
		if last != nil {
			if a.Revision = last.Revision; same(&a, last) {
				continue
			}
		}
		a.Revision++
		changes = append(changes, a)
	}
	for i, id := range append(slices.Clone(had), v.Early...) {
		if slices.ContainsFunc(v.Found, func(a alert.Alert) bool { return a.ID == id }) ||
			slices.ContainsFunc(changes, func(a alert.Alert) bool { return a.ID == id }) {
			continue
		}
		last, err := told(id)
		if err != nil {
			return nil, err
		}
		if last == nil || last.State == alert.Withdrawn || i < len(had) && last.TimelineID != v.Timeline {
			continue
		}
		gone := *last
		gone.State = alert.Withdrawn
		gone.Revision++
		changes = append(changes, gone)
	}
	return changes, nil
}

// same compares what receivers see.
func same(a, b *alert.Alert) bool {
	return string(a.AppendJSON(nil)) == string(b.AppendJSON(nil))
}

package wire

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// ErrAlerts is what Options.ExitOn makes of alerts that are severe enough.
var ErrAlerts = errors.New("--exit-on")

// alerts judges events and timelines as they come; those of the last revision count.
// Nothing fires early here: what a service tells before a request has closed is, at
// the end, what is told of it when it has.
type alerts struct {
	watch *detect.Watch
	told  map[string]*alert.Alert // by id, as a service would have told it
	had   map[string][]string     // ids, by timeline
	err   error                   // the first, of a rule that could not be judged
	fails int
}

func newAlerts(rules *detect.Set) *alerts {
	if rules == nil {
		return nil
	}
	w := window.Default()
	return &alerts{watch: detect.NewWatch(rules, detect.Options{Claim: w.AgentHorizon, Keep: w.Longest + w.Retention}), told: map[string]*alert.Alert{}, had: map[string][]string{}}
}

// observe takes in events before the engine does, and returns what is to be told of
// those that are of no request.
func (a *alerts) observe(b *event.Batch, now event.Time) (changes []alert.Alert) {
	if a == nil {
		return nil
	}
	for i := range b.Events {
		v, err := a.watch.Event(&b.Events[i], max(now, b.Events[i].Time))
		a.failed(err)
		changes = append(changes, a.changes(v, nil)...)
	}
	return changes
}

func (a *alerts) failed(err error) {
	if err != nil {
		a.fails++
		a.err = cmp.Or(a.err, err)
	}
}

// judge adds the alerts of a revision to it, and returns what is to be told of them.
func (a *alerts) judge(t *timeline.Timeline, watermark event.Time) []alert.Alert {
	if a == nil {
		return nil
	}
	v, err := a.watch.Closed(t, watermark)
	a.failed(err)
	t.Alerts = append(t.Alerts, detect.Refs(v.Found)...)
	had := a.had[t.ID]
	if err != nil {
		had = nil // what it would say is not known, so nothing is withdrawn
	}
	return a.changes(v, had)
}

func (a *alerts) changes(v detect.Verdict, had []string) []alert.Alert {
	// What was told is in memory: there is no error.
	changes, _ := detect.Changes(v, had, func(id string) (*alert.Alert, error) { return a.told[id], nil })
	for _, one := range changes {
		a.told[one.ID] = &one
	}
	if v.Timeline != "" {
		delete(a.had, v.Timeline)
		for i := range v.Found {
			a.had[v.Timeline] = append(a.had[v.Timeline], v.Found[i].ID)
		}
	}
	return changes
}

// unmatched judges an event of no request.
func (a *alerts) unmatched(e *event.Event) []alert.Alert {
	if a == nil {
		return nil
	}
	v, err := a.watch.Unmatched(e)
	a.failed(err)
	return a.changes(v, nil)
}

// advance tells what was held back until now.
func (a *alerts) advance(watermark, now event.Time) (changes []alert.Alert) {
	if a == nil {
		return nil
	}
	list, err := a.watch.Advance(watermark, now)
	a.failed(err)
	for _, v := range list {
		changes = append(changes, a.changes(v, a.had[v.Timeline])...)
	}
	return changes
}

// all returns the alerts that are open, by time, then id.
func (a *alerts) all() []alert.Alert {
	if a == nil {
		return nil
	}
	var list []alert.Alert
	for _, one := range a.told {
		if one.State == alert.Open {
			list = append(list, *one)
		}
	}
	slices.SortFunc(list, func(x, y alert.Alert) int { return cmp.Or(cmp.Compare(x.Time, y.Time), cmp.Compare(x.ID, y.ID)) })
	return list
}

// write writes the alerts, one JSON object a line.
func (a *alerts) write(f *os.File) error {
	w := bufio.NewWriter(f)
	for _, one := range a.all() {
		if _, err := w.Write(append(one.AppendJSON(nil), '\n')); err != nil {
			return fmt.Errorf("write alerts: %w", err)
		}
	}
	return errFirst(w.Flush(), f.Close())
}

// summary says how many alerts there are, by rule, the worst first.
func (a *alerts) summary(w io.Writer) {
	if a == nil {
		return
	}
	type count struct {
		rule     string
		severity alert.Severity
		n        int
	}
	var counts []count
	for _, one := range a.all() {
		i := slices.IndexFunc(counts, func(c count) bool { return c.rule == one.RuleID })
		if i < 0 {
			i = len(counts)
			counts = append(counts, count{rule: one.RuleID, severity: one.Severity})
		}
		counts[i].n++
	}
	slices.SortFunc(counts, func(x, y count) int {
		return cmp.Or(cmp.Compare(detect.Rank(y.severity), detect.Rank(x.severity)), strings.Compare(x.rule, y.rule))
	})
	parts := []string{"none"}
	if len(counts) > 0 {
		parts = parts[:0]
	}
	for _, c := range counts {
		parts = append(parts, fmt.Sprintf("%s %s %d", c.severity, c.rule, c.n))
	}
	fmt.Fprintf(w, "alerts      %s\n", strings.Join(parts, "  "))
	if n := a.watch.Lost(); n > 0 {
		fmt.Fprintf(w, "warning     %d events that a rule may hold for were forgotten before it was known whose they are: there were more than memory is kept for\n", n)
	}
	if a.err != nil {
		fmt.Fprintf(w, "warning     %d timelines could not be judged by every rule: %v\n", a.fails, a.err)
	}
}

// exitOn returns ErrAlerts if there is an alert of a severity, or a worse one.
func (a *alerts) exitOn(least alert.Severity) error {
	n := 0
	for _, one := range a.all() {
		if detect.Rank(one.Severity) >= detect.Rank(least) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%w %s: there are %d such alerts", ErrAlerts, least, n)
}

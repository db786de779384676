package live

import (
	"errors"
	"slices"
	"strings"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// push gives events to the rules and to the engine. What comes of it is a function of
// the stream: now is its time, never this machine's.
func (d *decider) push(b *event.Batch, now event.Time) {
	for i := range b.Events {
		d.verdict(d.watch.Event(&b.Events[i], now))
	}
	d.engine.Push(b, now)
	d.current.now = now
	list, err := d.watch.Advance(d.engine.Watermark(), now)
	d.unjudged(err)
	for _, v := range list {
		had, err := d.had(v.Timeline)
		d.failure = errors.Join(d.failure, err)
		d.tell(v, had)
	}
}

// Timeline takes what the engine decides, and, as revision 0, what it knows of an open
// request.
func (d *decider) Timeline(t *timeline.Timeline) {
	if d.opts.Watch != nil && (t.Revision > 0 || d.opts.Leads()) {
		defer d.opts.Watch(t)
	}
	if t.Revision == 0 { // it is open: nothing was decided
		d.preview(t)
		return
	}
	d.judge(t)
	if !d.muted {
		d.current.decided = append(d.current.decided, t)
	}
}

// preview judges an open request by the rules that nothing later can refute.
func (d *decider) preview(t *timeline.Timeline) { d.verdict(d.watch.Live(t)) }

// Unmatched takes an event of no timeline; it is in the engine's counters.
func (d *decider) Unmatched(u *shard.Unmatched) { d.verdict(d.watch.Unmatched(u.Event)) }

func (d *decider) verdict(v detect.Verdict, err error) {
	d.unjudged(err)
	d.tell(v, nil)
}

func (d *decider) unjudged(err error) {
	if err != nil && !d.muted {
		d.opts.Log.Error("a rule could not be judged", "error", err)
	}
}

// judge adds the alerts of a revision to it, and notes what is to be told of them.
func (d *decider) judge(t *timeline.Timeline) {
	v, err := d.watch.Closed(t, d.engine.Watermark())
	if d.muted {
		return
	}
	var had []string
	if t.Revision > 1 {
		var failed error
		had, failed = d.had(t.ID)
		d.failure = errors.Join(d.failure, failed)
	}
	d.unjudged(err)
	if err != nil {
		had, v.Early = nil, nil // what the rule would say is not known, so nothing is withdrawn
	}
	t.Alerts = append(t.Alerts, detect.Refs(v.Found)...)
	d.tell(v, had)
}

// tell notes what a verdict changes. What recovery finds again was told before.
func (d *decider) tell(v detect.Verdict, had []string) {
	if d.muted || len(v.Found)+len(v.Early)+len(had) == 0 {
		return
	}
	changes, err := detect.Changes(v, had, d.lastTold)
	d.failure = errors.Join(d.failure, err)
	for i := range changes {
		a := &changes[i]
		switch {
		case a.State == alert.Withdrawn:
			d.opts.Log.Info("alert withdrawn", "rule", a.RuleID, "timeline", a.TimelineID, "alert", a.ID)
		case a.Revision == 1:
			d.metrics.alert(a)
			d.opts.Log.Warn("alert", "rule", a.RuleID, "severity", a.Severity, "title", a.Title, "timeline", a.TimelineID, "alert", a.ID)
		}
	}
	d.current.told = append(d.current.told, changes...)
}

// had are the ids of the alerts of the last revision of a timeline.
func (d *decider) had(id string) (ids []string, err error) {
	if d.muted || id == "" {
		return nil, nil
	}
	var before *timeline.Timeline
	d.uncommitted(func(o *outcome) bool {
		for _, t := range slices.Backward(o.decided) {
			if t.ID == id {
				before = t
				break
			}
		}
		return before != nil
	})
	if before == nil {
		note, err := d.store.Note(disk.KindTimeline, id)
		if note == "" || err != nil {
			return nil, err
		}
		return strings.Split(note, "\n"), nil
	}
	for _, a := range before.Alerts {
		ids = append(ids, a.AlertID)
	}
	return ids, nil
}

// lastTold is what was last told of an alert, nil for nothing.
func (d *decider) lastTold(id string) (last *alert.Alert, err error) {
	d.uncommitted(func(o *outcome) bool {
		for i := len(o.told) - 1; i >= 0 && last == nil; i-- {
			if o.told[i].ID == id {
				last = &o.told[i]
			}
		}
		return last != nil
	})
	if last != nil {
		return last, nil
	}
	return d.store.Alert(id)
}

package live

import (
	"errors"
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
func (p *Processor) push(b *event.Batch, now event.Time) {
	for i := range b.Events {
		p.verdict(p.watch.Event(&b.Events[i], now))
	}
	p.engine.Push(b, now)
	list, err := p.watch.Advance(p.engine.Watermark(), now)
	p.unjudged(err)
	for _, v := range list {
		had, err := p.had(v.Timeline)
		p.failure = errors.Join(p.failure, err)
		p.tell(v, had)
	}
}

// preview judges an open request by the rules that nothing later can refute.
func (p *Processor) preview(t *timeline.Timeline) { p.verdict(p.watch.Live(t)) }

// Unmatched takes an event of no timeline; it is in the engine's counters.
func (p *Processor) Unmatched(u *shard.Unmatched) { p.verdict(p.watch.Unmatched(u.Event)) }

func (p *Processor) verdict(v detect.Verdict, err error) {
	p.unjudged(err)
	p.tell(v, nil)
}

func (p *Processor) unjudged(err error) {
	if err != nil && !p.muted {
		p.opts.Log.Error("a rule could not be judged", "error", err)
	}
}

// judge adds the alerts of a revision to it, and notes what is to be told of them.
func (p *Processor) judge(t *timeline.Timeline) {
	v, err := p.watch.Closed(t, p.engine.Watermark())
	if p.muted {
		return
	}
	var had []string
	if t.Revision > 1 {
		var failed error
		had, failed = p.had(t.ID)
		p.failure = errors.Join(p.failure, failed)
	}
	p.unjudged(err)
	if err != nil {
		had, v.Early = nil, nil // what the rule would say is not known, so nothing is withdrawn
	}
	t.Alerts = append(t.Alerts, detect.Refs(v.Found)...)
	p.tell(v, had)
}

// tell notes what a verdict changes. What recovery finds again was told before.
func (p *Processor) tell(v detect.Verdict, had []string) {
	if p.muted || len(v.Found)+len(v.Early)+len(had) == 0 {
		return
	}
	changes, err := detect.Changes(v, had, p.lastTold)
	p.failure = errors.Join(p.failure, err)
	for i := range changes {
		a := &changes[i]
		switch {
		case a.State == alert.Withdrawn:
			p.opts.Log.Info("alert withdrawn", "rule", a.RuleID, "timeline", a.TimelineID, "alert", a.ID)
		case a.Revision == 1:
			p.metrics.alert(a)
			p.opts.Log.Warn("alert", "rule", a.RuleID, "severity", a.Severity, "title", a.Title, "timeline", a.TimelineID, "alert", a.ID)
		}
	}
	p.told = append(p.told, changes...)
}

// had are the ids of the alerts of the last revision of a timeline.
func (p *Processor) had(id string) (ids []string, err error) {
	if p.muted || id == "" {
		return nil, nil
	}
	var before *timeline.Timeline
	for _, d := range p.decided { // in this turn
		if d.ID == id {
			before = d
		}
	}
	if before == nil {
		note, err := p.store.Note(disk.KindTimeline, id)
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
func (p *Processor) lastTold(id string) (*alert.Alert, error) {
	for i := len(p.told) - 1; i >= 0; i-- {
		if p.told[i].ID == id {
			return &p.told[i], nil
		}
	}
	return p.store.Alert(id)
}

package shard

import "github.com/sennit-io/sennit/schemas/event"

// believe takes back a time that a tenant wrote and that lies beyond the time at which
// it was observed: else a request of the year 2100 would be held until then. Trusted
// sources keep theirs: a node's clock may be wrong, and the watermark knows.
func (e *Engine) believe(ev *event.Event) {
	if ev.Source != event.SourceOTLP || ev.Observed == 0 || ev.Time <= ev.Observed.Add(e.cfg.Window.Ahead) {
		return
	}
	e.stats.Redated++
	ev.Time = ev.Observed
	if s, ok := ev.Payload.(*event.Span); ok {
		s.Start = min(s.Start, ev.Time)
	}
}

package wire

import (
	"runtime"
	"slices"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// newEngine returns an engine that gives what it makes to out. inOrder says that
// the events come sorted.
func newEngine(shards int, inOrder bool, out *output) *shard.Engine {
	cfg := shard.DefaultConfig()
	cfg.Window.InOrder = inOrder
	if cfg.Shards = shards; shards == 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	return shard.New(cfg, out)
}

// Timeline takes one revision of a timeline.
func (out *output) Timeline(t *timeline.Timeline) {
	if out.before != nil { // it must not see what the others find
		as := *t
		as.Alerts = slices.Clone(t.Alerts)
		out.before.judge(&as, out.watermark())
	}
	told := out.alerts.judge(t, out.watermark())
	out.results.timeline(t)
	out.feed.timeline(t, told)
}

// Unmatched takes an event that is in no timeline. What came too late or was
// dropped at a limit is counted, and not written: nobody looked for its request.
func (out *output) Unmatched(u *shard.Unmatched) {
	out.feed.alerts(out.alerts.unmatched(u.Event))
	out.before.unmatched(u.Event)
	if u.Fate == correlate.Ambient || u.Fate == correlate.Ambiguous {
		out.unmatched.add(u.Event, u.Fate.String(), u.Candidates)
	}
}

// count adds what the engine counted.
func count(s *Stats, c shard.Stats) {
	e := c.Events
	dropped := s.Events.Dropped
	for reason, n := range e.Dropped {
		dropped[reason] = n
	}
	s.Events = EventStats{
		In: e.In, Derived: e.Derived, Joined: e.Joined, Ambiguous: e.Ambiguous, Ambient: e.Ambient, Control: e.Control,
		Duplicate: e.Duplicate, Late: e.Late, Held: e.Held, Dropped: dropped,
	}
	s.Timelines = TimelineStats(c.Timelines)
	for method, n := range c.Joins {
		s.Joins[method] = n
	}
}

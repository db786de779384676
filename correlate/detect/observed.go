package detect

import (
	"time"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// observed is what rules may ask of the cluster around a request: whether anybody
// watches, and who tells of itself. A rule that finds something because it is absent
// must know that it would have been seen.
type observed struct {
	nodes map[string]event.Time    // node → its first exec
	pods  map[[2]string]event.Time // namespace and pod → start of its first span of an agent
	execs [2]map[event.ID]struct{} // execs of late, and of before
	since event.Time               // when execs were turned over
	full  bool                     // there were too many: any event may be one
}

// maxExecs bounds what is remembered of processes, twice.
const maxExecs = 1 << 20

func newObserved() observed {
	return observed{nodes: map[string]event.Time{}, pods: map[[2]string]event.Time{}, execs: [2]map[event.ID]struct{}{{}, {}}}
}

func (o *observed) observe(e *event.Event, now event.Time, keep time.Duration) {
	switch p := e.Payload.(type) {
	case *event.Process:
		if e.Kind != event.KindProcessExec {
			return
		}
		if first, ok := o.nodes[e.Node]; !ok || e.Time < first {
			o.nodes[e.Node] = e.Time
		}
		if now.Sub(o.since) > keep {
			o.execs[0], o.execs[1], o.since, o.full = map[event.ID]struct{}{}, o.execs[0], now, false
		}
		if o.full = o.full || len(o.execs[0]) >= maxExecs; !o.full {
			o.execs[0][e.ID] = struct{}{}
		}
	case *event.Span:
		if p.Workload.Pod == "" || p.Stage != event.StageAgent && p.Stage != event.StageModel && p.Stage != event.StageTool {
			return
		}
		key := [2]string{p.Workload.Namespace, p.Workload.Pod}
		if first, ok := o.pods[key]; !ok || p.Start < first {
			o.pods[key] = p.Start
		}
	}
}

// ofAgent reports whether agents in the event's pod told of themselves before it.
func (o *observed) ofAgent(f *fact) bool {
	first, ok := o.pods[[2]string{f.Namespace, f.Pod}]
	return ok && first <= f.at
}

// doubtful counts the processes among the events that may be of a request.
func (o *observed) doubtful(t *timeline.Timeline) (n int64) {
	for i := range t.Ambiguous {
		var id event.ID
		if o.full || id.UnmarshalText([]byte(t.Ambiguous[i].EventID)) != nil {
			n++
			continue
		}
		_, late := o.execs[0][id]
		_, before := o.execs[1][id]
		if late || before {
			n++
		}
	}
	return n
}

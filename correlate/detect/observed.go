package detect

import (
	"cmp"
	"slices"
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
	execs map[[2]string][]program  // node and pod → programs that name no trace, in order
	since event.Time               // when old ones were forgotten
}

// program is one that began.
type program struct {
	at event.Time
	id event.ID
}

func before(p program, t event.Time) int { return cmp.Compare(p.at, t) }

// maxExecs bounds what is remembered of a pod's programs.
const maxExecs = 1 << 16

func newObserved() observed {
	return observed{nodes: map[string]event.Time{}, pods: map[[2]string]event.Time{}, execs: map[[2]string][]program{}}
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
		if !p.Trace.TraceID.IsZero() {
			return // it says itself whose it is
		}
		key := [2]string{e.Node, p.Workload.Pod}
		list := o.execs[key]
		at, _ := slices.BinarySearchFunc(list, e.Time, before)
		if list = slices.Insert(list, at, program{e.Time, e.ID}); len(list) > maxExecs {
			list = list[maxExecs/2:]
		}
		o.execs[key] = list
		if now.Sub(o.since) > keep/8 {
			o.since = now
			for key, list := range o.execs {
				old, _ := slices.BinarySearchFunc(list, now.Add(-keep), before)
				if o.execs[key] = slices.Delete(list, 0, old); len(list) == old {
					delete(o.execs, key)
				}
			}
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

// near is how far the clocks of a kernel and of a program on its node may be apart.
const near = event.Time(5 * time.Millisecond)

// started counts the programs that may be a step's: that began in its pod while it ran
// and name no trace themselves. Programs whose pod is not known may be anybody's; those
// of which it turned out which tool ran them are nobody else's.
func (o *observed) started(s *timeline.Step, pod string) (n int64) {
	for i, key := range [2][2]string{{s.Node, pod}, {s.Node, ""}} {
		if i == 1 && pod == "" {
			break
		}
		list := o.execs[key]
		from, _ := slices.BinarySearchFunc(list, s.Start-near, before)
		to, _ := slices.BinarySearchFunc(list, s.End+near, before)
		n += int64(to - from)
	}
	return n
}

// explain takes note of the programs of a timeline whose command is a tool's. Joins by
// time alone say less: the program may be another's.
func (o *observed) explain(t *timeline.Timeline) {
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Layer != timeline.LayerProcess || s.Join.Method != timeline.ToolCommand {
			continue
		}
		for key, list := range o.execs {
			if key[0] != s.Node {
				continue
			}
			at, _ := slices.BinarySearchFunc(list, s.Start, before)
			for ; at < len(list) && list[at].at == s.Start; at++ {
				if slices.Contains(s.EventIDs, list[at].id.String()) {
					o.execs[key] = slices.Delete(list, at, at+1)
					break
				}
			}
		}
	}
}

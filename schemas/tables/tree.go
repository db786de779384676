package tables

import (
	"cmp"
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// isCall tells the steps that call one another from what the network and the
// kernel saw of them, which takes no time away from a call.
func isCall(s *timeline.Step) bool {
	switch s.Layer {
	case timeline.LayerHTTP:
		return s.Source != "hubble" // which saw the call of another step
	case timeline.LayerEdge, timeline.LayerServer, timeline.LayerAgent, timeline.LayerModel, timeline.LayerTool, timeline.LayerProcess:
		return true
	}
	return false
}

// tree is the steps of a timeline by their parents.
type tree struct {
	steps    []timeline.Step
	parent   []int // -1 for none
	children [][]int
}

func treeOf(steps []timeline.Step) *tree {
	at := make(map[string]int, len(steps))
	for i := range steps {
		at[steps[i].ID] = i
	}
	t := &tree{steps, make([]int, len(steps)), make([][]int, len(steps))}
	for i := range steps {
		p, ok := at[steps[i].ParentID]
		if !ok {
			t.parent[i] = -1
			continue
		}
		t.parent[i] = p
		t.children[p] = append(t.children[p], i)
	}
	return t
}

// inherit gives each step its own attribute of a name, or that of the nearest
// step above that has one.
func (t *tree) inherit(key string) []string {
	out := make([]string, len(t.steps))
	done := make([]bool, len(t.steps))
	var path []int
	for i := range t.steps {
		path = path[:0]
		value := ""
		// A step that is on the path already is marked, so a cycle ends.
		for at := i; at >= 0; at = t.parent[at] {
			if done[at] {
				value = out[at]
				break
			}
			done[at] = true
			path = append(path, at)
			if a, ok := t.steps[at].Attributes.Get(key); ok && a.Str != "" {
				value = a.Str
				break
			}
		}
		for _, at := range path {
			out[at] = value
		}
	}
	return out
}

// self is the time of a step in which no step below it was called.
func (t *tree) self(i int) Value {
	s := &t.steps[i]
	if s.Start.IsZero() || s.End < s.Start {
		return Value{}
	}
	type interval struct{ start, end event.Time }
	var below []interval
	for _, c := range t.children[i] {
		if child := &t.steps[c]; isCall(child) && !child.Start.IsZero() {
			below = append(below, interval{max(child.Start, s.Start), min(child.End, s.End)})
		}
	}
	slices.SortFunc(below, func(a, b interval) int { return cmp.Compare(a.start, b.start) })
	self, until := s.End-s.Start, s.Start
	for _, b := range below {
		if b.start = max(b.start, until); b.end > b.start {
			self -= b.end - b.start
			until = b.end
		}
	}
	return Value{Set: true, Num: int64(self)}
}

// waited is how long it took from a step's start until its first byte was seen.
// A model call or a call over HTTP waits there for a connection; elsewhere the
// difference is that of two observers.
func waited(s *timeline.Step) Value {
	if s.Layer != timeline.LayerModel && s.Layer != timeline.LayerHTTP {
		return Value{}
	}
	a, _ := s.Attributes.Get("observed.start")
	var seen event.Time
	if a.Str == "" || seen.UnmarshalText([]byte(a.Str)) != nil || seen < s.Start || seen > s.End {
		return Value{}
	}
	return Value{Set: true, Num: int64(seen - s.Start)}
}

package detect

import (
	"slices"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// gate turns away, without asking CEL, what a condition cannot hold for: it is made of
// the comparisons with constants that all of the condition rests on.
type gate struct {
	layers   uint16 // bit by place in layers
	statuses uint8
	kinds    uint32 // bit by kind of event
	guards   []guard
}

// guard is a field that must have one of some values, or another field that must.
type guard []oneOf

type oneOf struct {
	of     func(*fact) string
	values []string
}

// kinds is the number of kinds of events.
const kinds = int(event.KindAlias) + 1

var (
	layers   = []timeline.Layer{"edge", "network", "policy", "server", "agent", "model", "tool", "http", "dns", "process", "file", "syscall", ""}
	statuses = []timeline.Status{timeline.OK, timeline.Error, timeline.Denied, timeline.Killed, timeline.Unclaimed, ""}
)

// guarded are the fields of events that gates look at.
var guarded = map[string]func(*fact) string{
	"source": func(f *fact) string { return f.Source }, "binary": func(f *fact) string { return f.Binary },
	"signal": func(f *fact) string { return f.Signal }, "function": func(f *fact) string { return f.Function },
	"action": func(f *fact) string { return f.Action }, "policy": func(f *fact) string { return f.Policy },
	"host": func(f *fact) string { return f.Host }, "address": func(f *fact) string { return f.Address }, "verdict": func(f *fact) string { return f.Verdict },
	"method": func(f *fact) string { return f.Method }, "path": func(f *fact) string { return f.Path },
	"stage": func(f *fact) string { return f.Stage }, "name": func(f *fact) string { return f.Name },
	"model": func(f *fact) string { return f.Model }, "tool": func(f *fact) string { return f.Tool },
	"reason": func(f *fact) string { return f.Reason }, "namespace": func(f *fact) string { return f.Namespace },
}

func (c *classifier) gateOf(e celast.Expr, subject variables) (g gate) {
	c.pinned, c.loose = nil, map[string]bool{}
	g.layers, g.statuses, g.kinds = 1<<len(layers)-1, 1<<len(statuses)-1, 1<<32-1
	switch subject {
	case useStep:
		if values, ok := c.values(e, "step", "layer"); ok {
			g.layers = 0
			for i, l := range layers {
				if slices.Contains(values, string(l)) {
					g.layers |= 1 << i
				}
			}
		}
		if values, ok := c.values(e, "step", "status"); ok {
			g.statuses = 0
			for i, s := range statuses {
				if slices.Contains(values, string(s)) {
					g.statuses |= 1 << i
				}
			}
		}
	case useEvent:
		if values, ok := c.values(e, "event", "kind"); ok {
			g.kinds = 0
			for k := range kinds {
				if slices.Contains(values, event.Kind(k).String()) {
					g.kinds |= 1 << k
				}
			}
		}
		for _, clause := range flat(e, operators.LogicalAnd) {
			if one := c.guardOf(clause); one != nil {
				g.guards = append(g.guards, one)
			}
		}
	}
	return g
}

// guardOf makes a guard of a clause whose every alternative is about a guarded field.
func (c *classifier) guardOf(clause celast.Expr) (g guard) {
	for _, alternative := range flat(clause, operators.LogicalOr) {
		before := len(g)
		for name, of := range guarded {
			if values, ok := c.values(alternative, "event", name); ok {
				g = append(g, oneOf{of, values})
				break
			}
		}
		if len(g) == before {
			return nil
		}
	}
	return g
}

// flat lists what an operator joins.
func flat(e celast.Expr, operator string) []celast.Expr {
	if e.Kind() != celast.CallKind || e.AsCall().FunctionName() != operator {
		return []celast.Expr{e}
	}
	return append(flat(e.AsCall().Args()[0], operator), flat(e.AsCall().Args()[1], operator)...)
}

func (g *gate) step(layer, status int) bool {
	return g.layers&(1<<layer) != 0 && g.statuses&(1<<status) != 0
}

func (g *gate) event(f *fact) bool {
next:
	for _, guard := range g.guards {
		for i := range guard {
			if slices.Contains(guard[i].values, guard[i].of(f)) {
				continue next
			}
		}
		return false
	}
	return true
}

// index finds the rules that can have something to do with a step or an event.
type index struct {
	steps [][][]int // layer → status → rules
	kinds [][]int   // kind of event → rules
	whole []int     // rules about requests
}

func newIndex(rules []*Rule) *index {
	x := &index{steps: make([][][]int, len(layers)), kinds: make([][]int, kinds)}
	for l := range layers {
		x.steps[l] = make([][]int, len(statuses))
	}
	for n, r := range rules {
		switch {
		case r.Request != "":
			x.whole = append(x.whole, n)
		case r.Event != "":
			for k := range x.kinds {
				if r.conditions[0].gate.kinds&(1<<k) != 0 && k != int(event.KindNone) {
					x.kinds[k] = append(x.kinds[k], n)
				}
			}
		default:
			for l := range layers {
				for s := range statuses {
					if slices.ContainsFunc(r.conditions, func(c *condition) bool { return c.gate.step(l, s) }) {
						x.steps[l][s] = append(x.steps[l][s], n)
					}
				}
			}
		}
	}
	return x
}

// stepRules are those that may hold for a step, and where it stands in gates.
func (x *index) stepRules(s *timeline.Step) (rules []int, layer, status int) {
	layer, status = slices.Index(layers, s.Layer), slices.Index(statuses, s.Status)
	if layer < 0 || status < 0 {
		return nil, 0, 0
	}
	return x.steps[layer][status], layer, status
}

package detect

import (
	"fmt"
	"slices"
	"strings"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// Class says whether later evidence can refute what a rule found.
type Class string

// Classes. What a Monotone rule found stays true whatever comes: it fires as soon as
// it holds. What a Refutable one found may turn out otherwise: it fires when nothing
// can refute it any more.
const (
	Monotone  Class = "monotone"
	Refutable Class = "refutable"
)

// motion is how a value moves while evidence comes in.
type motion uint8

const (
	fixed  motion = iota // not at all
	rises                // from false to true, to a greater number, to a longer list
	falls                // the other way
	either               // nobody knows
)

func (m motion) turned() motion {
	switch m {
	case rises:
		return falls
	case falls:
		return rises
	}
	return m
}

// with is how a value moves that follows two others.
func (m motion) with(o motion) motion {
	switch {
	case m == fixed:
		return o
	case o == fixed || m == o:
		return m
	}
	return either
}

// variables are those that a condition speaks of.
type variables uint8

const (
	useStep variables = 1 << iota
	useEvent
	useRequest
	useSteps // request.steps
)

func (v variables) String() string {
	var names []string
	for i, name := range []string{"step", "event", "request", "request.steps"} {
		if v&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

func usedBy(e celast.Expr) (v variables) {
	bound := map[string]int{}
	var walk func(e celast.Expr)
	walk = func(e celast.Expr) {
		switch e.Kind() {
		case celast.IdentKind:
			if bound[e.AsIdent()] > 0 {
				return
			}
			switch e.AsIdent() {
			case "step":
				v |= useStep
			case "event":
				v |= useEvent
			case "request":
				v |= useRequest
			}
		case celast.SelectKind:
			if isField(e, "event", "of_agent") {
				v |= useRequest // it is not known when the event comes
			}
			if of := e.AsSelect().Operand(); e.AsSelect().FieldName() == "steps" && of.Kind() == celast.IdentKind && of.AsIdent() == "request" {
				v |= useSteps
			}
			walk(e.AsSelect().Operand())
		case celast.CallKind:
			c := e.AsCall()
			if c.IsMemberFunction() {
				walk(c.Target())
			}
			for _, a := range c.Args() {
				walk(a)
			}
		case celast.ListKind:
			for _, a := range e.AsList().Elements() {
				walk(a)
			}
		case celast.ComprehensionKind:
			c := e.AsComprehension()
			walk(c.IterRange())
			walk(c.AccuInit())
			names := []string{c.IterVar(), c.IterVar2(), c.AccuVar()}
			for _, n := range names {
				bound[n]++
			}
			walk(c.LoopCondition())
			walk(c.LoopStep())
			walk(c.Result())
			for _, n := range names {
				bound[n]--
			}
		case celast.MapKind:
			for _, entry := range e.AsMap().Entries() {
				walk(entry.AsMapEntry().Key())
				walk(entry.AsMapEntry().Value())
			}
		case celast.StructKind:
			for _, field := range e.AsStruct().Fields() {
				walk(field.AsStructField().Value())
			}
		}
	}
	walk(e)
	return v
}

// What a step of these layers says of itself never changes: it is made of one record,
// or of records that agree in this. A step of another layer may still become part of
// another step, as a call on the wire becomes part of the model span that made it.
var settledFields = map[string][]string{
	"edge":    {"layer", "name", "source", "node", "host", "start", "duration", "status", "attr"},
	"policy":  {"layer", "name", "source", "node", "host", "start", "duration", "status", "attr"},
	"file":    {"layer", "name", "source", "node", "host", "start", "duration", "status", "attr"},
	"syscall": {"layer", "name", "source", "node", "host", "start", "duration", "status", "attr"},
	"process": {"layer", "name", "node", "pid"},
	"tool":    {"layer", "name", "claimed"},
}

// classifier walks a checked condition. What it cannot prove to be monotone is
// refutable.
type classifier struct {
	lists  map[string][]string
	source *celast.SourceInfo
	why    string
	// pinned are the layers that a step variable can have where the walk is, nil
	// for any; a variable that is not in it is no step.
	pinned map[string][]string
	loose  map[string]bool // bound to something that is fixed
}

// classify classifies a condition and says why a refutable one is so.
func (c *classifier) classify(e celast.Expr) (Class, string) {
	c.pinned, c.loose, c.why = map[string][]string{"step": nil}, map[string]bool{}, ""
	m := c.conjunct(e)
	if usedBy(e)&useStep != 0 && m <= rises && !settled(c.layers(e, "step")) {
		m = c.unknown(e, "a step of these layers may still become part of another step")
	}
	if m <= rises {
		return Monotone, ""
	}
	if c.why == "" {
		c.unknown(e, "it holds where something is absent, and that may still come")
	}
	return Refutable, c.why
}

func settled(layers []string) bool {
	return len(layers) > 0 && !slices.ContainsFunc(layers, func(l string) bool { return settledFields[l] == nil })
}

// unknown notes why a condition is refutable, the first reason counts.
func (c *classifier) unknown(e celast.Expr, why string) motion {
	if c.why == "" {
		if at, ok := c.source.GetOffsetRange(e.ID()); ok {
			l := c.source.GetLocationByOffset(at.Start)
			why = fmt.Sprintf("%d:%d: %s", l.Line(), l.Column()+1, why)
		}
		c.why = why
	}
	return either
}

// conjunct is the motion of a part that is looked at only where all of it holds: what
// it says of layers holds for its parts.
func (c *classifier) conjunct(e celast.Expr) motion {
	before := map[string][]string{}
	for name, layers := range c.pinned {
		before[name] = layers
		if own := c.layers(e, name); own != nil && layers == nil {
			c.pinned[name] = own
		} else if own != nil {
			c.pinned[name] = both(layers, own)
		}
	}
	m := c.motion(e)
	for name, layers := range before {
		c.pinned[name] = layers
	}
	return m
}

func (c *classifier) motion(e celast.Expr) motion {
	switch e.Kind() {
	case celast.LiteralKind:
		return fixed
	case celast.IdentKind:
		return c.ident(e)
	case celast.SelectKind:
		return c.field(e)
	case celast.ListKind:
		m := fixed
		for _, a := range e.AsList().Elements() {
			m = m.with(c.motion(a))
		}
		if m != fixed {
			return c.unknown(e, "a list of what may change")
		}
		return fixed
	case celast.CallKind:
		return c.call(e)
	case celast.ComprehensionKind:
		return c.comprehension(e)
	}
	return c.unknown(e, "nobody can tell how it changes")
}

func (c *classifier) ident(e celast.Expr) motion {
	name := e.AsIdent()
	if _, ok := c.lists[name]; ok || name == "event" || c.loose[name] {
		return fixed
	}
	return c.unknown(e, name+" changes while evidence comes in")
}

// field is the motion of step.x, request.x and event.x.
func (c *classifier) field(e celast.Expr) motion {
	of, name := e.AsSelect().Operand(), e.AsSelect().FieldName()
	if of.Kind() != celast.IdentKind {
		return c.motion(of)
	}
	variable := of.AsIdent()
	layers, isStep := c.pinned[variable]
	switch {
	case isStep:
		return c.ofStep(e, name, layers)
	case variable == "event" && name == "of_agent":
		return c.unknown(e, "spans that tell of an agent in its pod may still come")
	case variable == "request" && (name == "tool_calls" || name == "tools"):
		return rises // the span of a tool call never becomes part of another step
	case variable == "request":
		return c.unknown(e, "request."+name+" is known when the request has closed")
	}
	return c.ident(of)
}

func (c *classifier) ofStep(e celast.Expr, name string, layers []string) motion {
	for _, l := range layers {
		if !slices.Contains(settledFields[l], name) {
			layers = nil
			break
		}
	}
	switch {
	case len(layers) > 0:
		return fixed
	case name == "status":
		return c.unknown(e, "what a step came to is known when the request has closed: a span may still claim it, its process may still be killed")
	case slices.Contains([]string{"within", "tool", "agent", "process"}, name):
		return c.unknown(e, "what stands above a step changes as spans arrive: children come before their parents")
	case slices.Contains([]string{"exact", "method", "confidence"}, name):
		return c.unknown(e, "a better join may still be found")
	case name == "below" || name == "execs" || name == "watched":
		return c.unknown(e, "what hangs below a step may still come")
	case name == "claimed" || name == "observed" || name == "unclaimed":
		return c.unknown(e, "the claim or the observation may still come")
	}
	return c.unknown(e, "a step may still become part of another, unless its layer is edge, policy, file or syscall (or process or tool, for the name)")
}

func (c *classifier) call(e celast.Expr) motion {
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalAnd:
		return c.conjunct(args[0]).with(c.conjunct(args[1]))
	case operators.LogicalOr:
		return c.conjunct(args[0]).with(c.conjunct(args[1]))
	case operators.LogicalNot:
		return c.plain(args[0]).turned()
	case operators.Conditional:
		if c.motion(args[0]) != fixed {
			return c.unknown(e, "which of the two counts may change")
		}
		return c.motion(args[1]).with(c.motion(args[2]))
	case operators.Greater, operators.GreaterEquals, operators.Add:
		m := c.motion(args[0])
		if call.FunctionName() == operators.Add {
			return m.with(c.motion(args[1]))
		}
		return m.with(c.motion(args[1]).turned())
	case operators.Less, operators.LessEquals:
		return c.motion(args[0]).turned().with(c.motion(args[1]))
	case operators.Subtract:
		return c.motion(args[0]).with(c.motion(args[1]).turned())
	case operators.Equals, operators.In:
		if m, ok := c.ofPresence(e); ok {
			return m
		}
		if call.FunctionName() == operators.In && c.motion(args[0]) == fixed {
			return c.motion(args[1])
		}
	case "size":
		if !call.IsMemberFunction() {
			return c.motion(args[0])
		}
		return c.motion(call.Target())
	case "attr":
		if t := call.Target(); call.IsMemberFunction() && t.Kind() == celast.IdentKind {
			if layers, ok := c.pinned[t.AsIdent()]; ok && c.motion(args[0]) == fixed {
				return c.ofStep(e, "attr", layers)
			}
		}
	}
	m := fixed
	if call.IsMemberFunction() {
		m = c.motion(call.Target())
	}
	for _, a := range args {
		m = m.with(c.motion(a))
	}
	if m != fixed {
		return c.unknown(e, "it compares what may change")
	}
	return fixed
}

// plain is a motion under a negation: what is said there of layers says nothing of
// where it holds.
func (c *classifier) plain(e celast.Expr) motion {
	if e.Kind() == celast.CallKind && (e.AsCall().FunctionName() == operators.LogicalAnd || e.AsCall().FunctionName() == operators.LogicalOr) {
		return c.plain(e.AsCall().Args()[0]).with(c.plain(e.AsCall().Args()[1]))
	}
	return c.motion(e)
}

// ofPresence knows tests that only ever become true: that a step is of a layer that
// it keeps, that a process was killed.
func (c *classifier) ofPresence(e celast.Expr) (motion, bool) {
	for name, layers := range c.pinned {
		if values, ok := c.values(e, name, "layer"); ok {
			if settled(values) {
				return rises, true
			}
			return c.unknown(e, "a step of such a layer may still become part of another step"), true
		}
		if values, ok := c.values(e, name, "status"); ok && len(values) == 1 && values[0] == "killed" && settled(layers) && !slices.Contains(layers, "tool") {
			return rises, true
		}
	}
	return 0, false
}

func (c *classifier) comprehension(e celast.Expr) motion {
	x := e.AsComprehension()
	over := x.IterRange()
	pred, exists := predicate(x)
	if pred == nil || x.HasIterVar2() {
		return c.unknown(e, "nobody can tell how it changes")
	}
	if over.Kind() == celast.SelectKind && over.AsSelect().FieldName() == "steps" {
		if !exists {
			return c.unknown(e, "it holds for all steps only until another one comes")
		}
		hidden, was := c.pinned[x.IterVar()]
		c.pinned[x.IterVar()] = nil
		m := c.conjunct(pred)
		if m <= rises && !settled(c.layers(pred, x.IterVar())) {
			m = c.unknown(e, "a step of these layers may still become part of another step")
		}
		if delete(c.pinned, x.IterVar()); was {
			c.pinned[x.IterVar()] = hidden
		}
		if m <= rises {
			return rises
		}
		return either
	}
	if c.motion(over) != fixed {
		return c.unknown(e, "the list may change")
	}
	hidden, was := c.pinned[x.IterVar()]
	delete(c.pinned, x.IterVar())
	before := c.loose[x.IterVar()]
	c.loose[x.IterVar()] = true
	m := c.conjunct(pred)
	if c.loose[x.IterVar()] = before; was {
		c.pinned[x.IterVar()] = hidden
	}
	return m
}

// predicate is what exists() and all() ask of each element, nil for others.
func predicate(x celast.ComprehensionExpr) (pred celast.Expr, exists bool) {
	s := x.LoopStep()
	if s.Kind() != celast.CallKind || len(s.AsCall().Args()) != 2 || x.Result().Kind() != celast.IdentKind {
		return nil, false
	}
	f, accu := s.AsCall().FunctionName(), s.AsCall().Args()[0]
	if accu.Kind() != celast.IdentKind || accu.AsIdent() != x.AccuVar() || f != operators.LogicalOr && f != operators.LogicalAnd {
		return nil, false
	}
	return s.AsCall().Args()[1], f == operators.LogicalOr
}

// layers are those that a step variable can have where a condition holds, nil for any.
func (c *classifier) layers(e celast.Expr, variable string) []string {
	values, ok := c.values(e, variable, "layer")
	if !ok {
		return nil
	}
	return values
}

// values are those that a field can have where a condition holds; not ok for any.
func (c *classifier) values(e celast.Expr, variable, field string) (values []string, ok bool) {
	if e.Kind() != celast.CallKind {
		return nil, false
	}
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalAnd:
		a, inA := c.values(args[0], variable, field)
		b, inB := c.values(args[1], variable, field)
		switch {
		case inA && inB:
			return both(a, b), true
		case inA:
			return a, true
		}
		return b, inB
	case operators.LogicalOr:
		a, inA := c.values(args[0], variable, field)
		b, inB := c.values(args[1], variable, field)
		return append(slices.Clone(a), b...), inA && inB
	case operators.Equals:
		for i := range args {
			if isField(args[i], variable, field) && args[1-i].Kind() == celast.LiteralKind {
				s, ok := args[1-i].AsLiteral().Value().(string)
				return []string{s}, ok
			}
		}
	case operators.In:
		if !isField(args[0], variable, field) {
			return nil, false
		}
		if args[1].Kind() == celast.IdentKind {
			values, ok = c.lists[args[1].AsIdent()]
			return values, ok && !c.loose[args[1].AsIdent()]
		}
		if args[1].Kind() != celast.ListKind {
			return nil, false
		}
		for _, el := range args[1].AsList().Elements() {
			s, ok := "", el.Kind() == celast.LiteralKind
			if ok {
				s, ok = el.AsLiteral().Value().(string)
			}
			if !ok {
				return nil, false
			}
			values = append(values, s)
		}
		return values, true
	}
	return nil, false
}

func isField(e celast.Expr, variable, field string) bool {
	if e.Kind() != celast.SelectKind || e.AsSelect().IsTestOnly() || e.AsSelect().FieldName() != field {
		return false
	}
	of := e.AsSelect().Operand()
	return of.Kind() == celast.IdentKind && of.AsIdent() == variable
}

func both(a, b []string) []string {
	out := []string{}
	for _, v := range a {
		if slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
}

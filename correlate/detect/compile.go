package detect

import (
	"errors"
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/parser"
)

// Bounds of what one judgement of a condition may cost, in CEL's units (about one a
// step of evaluation). What a condition costs at most, with declaredSteps steps and
// strings of maxString bytes, is estimated when it is loaded, and one that may cost
// more than it should is refused; what judging costs in fact is bounded as well.
const (
	declaredSteps = 10_000
	maxOne        = 1_000_000   // about one step or event
	maxWhole      = 100_000_000 // about a request with all its steps
	maxCost       = 10_000_000  // when it is judged
)

// language is what conditions may use: event, step and request, the rules' lists and
// macros, CEL's standard functions, those of strings and of sets.
type language struct {
	env    *cel.Env
	lists  map[string][]string
	macros map[string]*macro
}

// macro is a condition with a name, NAME() in others.
type macro struct {
	text string
	expr celast.Expr // nil until it was parsed
	busy bool        // it is being parsed
	err  error
}

func newLanguage(lists map[string][]string, macros map[string]string) (*language, error) {
	l := &language{lists: lists, macros: map[string]*macro{}}
	opts := []cel.EnvOption{
		ext.NativeTypes(ext.ParseStructTags(true), reflect.TypeFor[step](), reflect.TypeFor[request](), reflect.TypeFor[fact]()),
		cel.Variable("step", cel.ObjectType("detect.step")),
		cel.Variable("request", cel.ObjectType("detect.request")),
		cel.Variable("event", cel.ObjectType("detect.fact")),
		ext.Strings(), ext.Sets(),
		cel.Function("attr", cel.MemberOverload("step_attr_string", []*cel.Type{cel.ObjectType("detect.step"), cel.StringType}, cel.StringType,
			cel.BinaryBinding(attr))),
	}
	for name := range lists {
		opts = append(opts, cel.Variable(name, cel.ListType(cel.StringType)))
	}
	for name, text := range macros {
		m := &macro{text: text}
		l.macros[name] = m
		opts = append(opts, cel.Macros(cel.GlobalMacro(name, 0, func(h parser.ExprHelper, _ celast.Expr, _ []celast.Expr) (celast.Expr, *common.Error) {
			if err := l.parse(m); err != nil {
				return nil, h.NewError(0, fmt.Sprintf("macro %s: %v", name, err))
			}
			return h.Copy(m.expr), nil
		})))
	}
	var err error
	l.env, err = cel.NewEnv(opts...)
	return l, err
}

// parse parses a macro once; those that it uses are parsed on the way.
func (l *language) parse(m *macro) error {
	switch {
	case m.expr != nil || m.err != nil:
		return m.err
	case m.busy:
		return errors.New("it leads back to itself")
	}
	m.busy = true
	ast, issues := l.env.Parse(m.text)
	if m.busy = false; issues.Err() != nil {
		m.err = at(issues)
		return m.err
	}
	m.expr = ast.NativeRep().Expr()
	return nil
}

func at(issues *cel.Issues) error {
	e := issues.Errors()[0]
	return &positionError{e.Location.Line(), e.Location.Column(), errors.New(e.Message)}
}

// attr is step.attr(NAME): an attribute's value, empty where there is none.
func attr(of, name ref.Val) ref.Val {
	key, ok := name.Value().(string)
	if !ok {
		return types.MaybeNoSuchOverloadErr(name)
	}
	switch s := of.Value().(type) {
	case *step:
		return types.String(s.attr(key))
	case step:
		return types.String(s.attr(key))
	}
	return types.MaybeNoSuchOverloadErr(of)
}

// condition is a compiled condition.
type condition struct {
	program cel.Program
	lists   map[string][]string
	expr    celast.Expr // checked
	class   Class
	why     string    // of a refutable one
	uses    variables // what it speaks of
	execs   bool      // of the programs that may be below a step, too
	gate    gate
}

// compile compiles a condition. An error names line and column within it.
func (l *language) compile(text string, subject variables) (*condition, error) {
	ast, issues := l.env.Compile(text)
	if issues.Err() != nil {
		return nil, at(issues)
	}
	if ast.OutputType() != types.BoolType {
		return nil, &positionError{1, 0, fmt.Errorf("it gives a %s, want true or false", ast.OutputType())}
	}
	c := &condition{lists: l.lists, expr: ast.NativeRep().Expr()}
	c.uses = usedBy(c.expr)
	celast.PostOrderVisit(c.expr, celast.NewExprVisitor(func(e celast.Expr) {
		c.execs = c.execs || e.Kind() == celast.SelectKind && e.AsSelect().FieldName() == "execs"
	}))
	if other := c.uses &^ (subject | useRequest | useSteps); other != 0 {
		return nil, &positionError{1, 0, fmt.Errorf("it speaks of %s, which this kind of rule does not have", other)}
	}
	most := uint64(maxOne)
	if subject == 0 {
		most = maxWhole
	}
	if estimate, err := l.env.EstimateCost(ast, sizes{l.lists}); err != nil {
		return nil, &positionError{1, 0, err}
	} else if estimate.Max > most {
		return nil, &positionError{1, 0, fmt.Errorf(
			"judging it may cost %d (with %d steps and strings of %d bytes), at most %d are allowed: ask for less, or less often", estimate.Max, declaredSteps, maxString, most)}
	}
	var err error
	if c.program, err = l.env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize)); err != nil {
		return nil, &positionError{1, 0, err}
	}
	k := classifier{lists: l.lists, source: ast.NativeRep().SourceInfo()}
	c.class, c.why = k.classify(c.expr)
	c.gate = k.gateOf(c.expr, subject)
	return c, nil
}

// sizes tells CEL how much there may be of what it cannot know.
type sizes struct{ lists map[string][]string }

// EstimateSize implements cost.Estimator.
func (s sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	path := n.Path()
	if len(path) == 0 {
		if n.Type() != nil && n.Type().Kind() == types.StringKind {
			return &cost.SizeEstimate{Max: maxString}
		}
		return nil
	}
	if list, ok := s.lists[path[0]]; ok {
		most := len(list)
		if len(path) > 1 {
			most = 0
			for _, v := range list {
				most = max(most, len(v))
			}
		}
		return &cost.SizeEstimate{Max: uint64(most)}
	}
	switch n.Type().Kind() {
	case types.StringKind:
		return &cost.SizeEstimate{Max: maxString}
	case types.ListKind:
		switch path[len(path)-1] {
		case "steps":
			return &cost.SizeEstimate{Max: declaredSteps}
		case "within", "below": // as deep as requests are
			return &cost.SizeEstimate{Max: 64}
		}
		return &cost.SizeEstimate{Max: 256}
	}
	return nil
}

// EstimateCallCost implements cost.Estimator: CEL knows its functions.
func (sizes) EstimateCallCost(function, overload string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	if overload == "step_attr_string" {
		return &cost.CallEstimate{CostEstimate: cost.FixedCostEstimate(10), ResultSize: &cost.SizeEstimate{Max: maxString}}
	}
	return nil
}

// positionError is an error at a line and column of a condition, from 1 and 0.
type positionError struct {
	line, column int
	err          error
}

func (e *positionError) Error() string { return e.err.Error() }
func (e *positionError) Unwrap() error { return e.err }

// subject is what a condition is judged on: a step or an event, or neither, and the
// request around it.
type subject struct {
	request *request
	step    *step
	event   *fact
	lists   map[string][]string
}

// ResolveName implements cel.Activation.
func (s *subject) ResolveName(name string) (any, bool) {
	switch name {
	case "request":
		return s.request, true
	case "step":
		return s.step, true
	case "event":
		return s.event, true
	}
	list, ok := s.lists[name]
	return list, ok
}

// Parent implements cel.Activation.
func (*subject) Parent() cel.Activation { return nil }

// holds judges the condition.
func (c *condition) holds(s *subject) (bool, error) {
	s.lists = c.lists
	v, _, err := c.program.Eval(s)
	if err != nil {
		return false, err
	}
	b, ok := v.Value().(bool)
	return ok && b, nil
}

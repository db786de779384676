package detect

import (
	"errors"
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// Bounds of what one judgement of a condition may cost, in CEL's units (about one
// a step of evaluation). A rule that may cost more is refused, one that does is
// stopped.
const maxCost = 1_000_000

// newEnv makes what a condition may use: step and request, the rules' lists,
// CEL's standard functions, those of strings and of sets.
func newEnv(lists map[string][]string) (*cel.Env, error) {
	opts := []cel.EnvOption{
		ext.NativeTypes(ext.ParseStructTags(true), reflect.TypeFor[step](), reflect.TypeFor[request]()),
		cel.Variable("step", cel.ObjectType("detect.step")),
		cel.Variable("request", cel.ObjectType("detect.request")),
		ext.Strings(), ext.Sets(),
		cel.Function("attr", cel.MemberOverload("step_attr_string", []*cel.Type{cel.ObjectType("detect.step"), cel.StringType}, cel.StringType,
			cel.BinaryBinding(attr))),
	}
	for name := range lists {
		opts = append(opts, cel.Variable(name, cel.ListType(cel.StringType)))
	}
	return cel.NewEnv(opts...)
}

// attr is step.attr(NAME): an attribute's value, empty where there is none.
func attr(of, name ref.Val) ref.Val {
	key, ok := name.Value().(string)
	if !ok {
		return types.MaybeNoSuchOverloadErr(name)
	}
	switch s := of.Value().(type) {
	case *step:
		return types.String(s.attrs[key])
	case step:
		return types.String(s.attrs[key])
	}
	return types.MaybeNoSuchOverloadErr(of)
}

// condition is a compiled condition.
type condition struct {
	program cel.Program
	lists   map[string][]string
}

// compile compiles a condition. An error names line and column within it.
func compile(env *cel.Env, text string, lists map[string][]string) (*condition, error) {
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		e := issues.Errors()[0]
		return nil, &positionError{e.Location.Line(), e.Location.Column(), errors.New(e.Message)}
	}
	if ast.OutputType() != types.BoolType {
		return nil, &positionError{1, 0, fmt.Errorf("it gives a %s, want true or false", ast.OutputType())}
	}
	p, err := env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, &positionError{1, 0, err}
	}
	return &condition{p, lists}, nil
}

// positionError is an error at a line and column of a condition, from 1 and 0.
type positionError struct {
	line, column int
	err          error
}

func (e *positionError) Error() string { return e.err.Error() }
func (e *positionError) Unwrap() error { return e.err }

// holds judges the condition. s is nil where it is about the request alone.
func (c *condition) holds(r *request, s *step) (bool, error) {
	vars := map[string]any{"request": r, "step": s}
	for name, list := range c.lists {
		vars[name] = list
	}
	v, _, err := c.program.Eval(vars)
	if err != nil {
		return false, err
	}
	b, ok := v.Value().(bool)
	return ok && b, nil
}

package detect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// file is one file of rules.
type file struct {
	// Lists are names of lists of strings that conditions may use: hosts, paths.
	Lists map[string][]string `yaml:"lists"`
	Rules []*Rule             `yaml:"rules"`
}

// Limits of rules.
const (
	maxRules     = 1000
	maxCondition = 4096 // bytes
)

var (
	ruleID   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	listName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// Load reads the rules of all .yaml and .yml files of a folder, in the order of
// their names. Lists are shared by all files. All errors are reported at once, each
// with file, line and column.
func Load(fsys fs.FS) (*Set, error) {
	var names []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := fs.Glob(fsys, pattern)
		if err != nil {
			return nil, fmt.Errorf("load rules: %w", err)
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return nil, errors.New("load rules: no .yaml file there")
	}
	l := loader{lists: map[string][]string{}, seen: map[string]string{}}
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("load rules: %w", err)
		}
		l.read(path.Base(name), data)
	}
	return l.finish()
}

// loader reads files.
type loader struct {
	lists map[string][]string
	files []source
	seen  map[string]string // rule → file
	errs  []error
}

type source struct {
	name string
	file file
	tree *ast.File
}

func (l *loader) fail(name string, line, column int, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("%s:%d:%d: %w", name, line, column, fmt.Errorf(format, args...)))
}

func (l *loader) read(name string, data []byte) {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := dec.Decode(&f); err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			at := syntax.GetToken().Position
			l.fail(name, at.Line, at.Column, "%s", syntax.GetMessage())
		} else {
			l.fail(name, 1, 1, "%w", err)
		}
		return
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		l.fail(name, 1, 1, "%w", err)
		return
	}
	for key, list := range f.Lists {
		if _, twice := l.lists[key]; twice || !listName.MatchString(key) || key == "step" || key == "request" {
			line, column := position(tree, "$.lists."+key)
			l.fail(name, line, column, "list %q: there is one of that name, or it is none (small letters, digits, _)", key)
		}
		l.lists[key] = list
	}
	l.files = append(l.files, source{name, f, tree})
}

// position finds where a node is, 1:1 if it is not there.
func position(tree *ast.File, at string) (line, column int) {
	p, err := yaml.PathString(at)
	if err == nil {
		if n, err := p.FilterFile(tree); err == nil && n.GetToken() != nil {
			pos := n.GetToken().Position
			return pos.Line, pos.Column
		}
	}
	return 1, 1
}

// finish compiles the rules, once all lists are known.
func (l *loader) finish() (*Set, error) {
	env, err := newEnv(l.lists)
	if err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	set := &Set{}
	for _, f := range l.files {
		for i, r := range f.file.Rules {
			at := fmt.Sprintf("$.rules[%d]", i)
			if r == nil {
				r = &Rule{}
			}
			l.check(f, at, r)
			l.compile(env, f, at, r)
			set.Rules = append(set.Rules, r)
		}
	}
	if len(set.Rules) > maxRules {
		l.errs = append(l.errs, fmt.Errorf("%d rules, at most %d are taken", len(set.Rules), maxRules))
	}
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	return set, nil
}

func (l *loader) check(f source, at string, r *Rule) {
	fail := func(member, format string, args ...any) {
		line, column := position(f.tree, at+member)
		l.fail(f.name, line, column, format, args...)
	}
	if !ruleID.MatchString(r.ID) {
		fail(".id", "id %q: want small letters, digits and _, beginning with a letter", r.ID)
	}
	if other, twice := l.seen[r.ID]; twice {
		fail(".id", "rule %s is in %s too", r.ID, other)
	}
	l.seen[r.ID] = f.name
	if r.Title == "" || r.Why == "" {
		fail("", "rule %s needs a title, and a why: what it means and what to do", r.ID)
	}
	if Rank(r.Severity) < 0 {
		fail(".severity", "rule %s: severity %q, want one of %s", r.ID, r.Severity, SeverityNames())
	}
	if r.Tags == nil {
		r.Tags = []string{}
	}
}

func (l *loader) compile(env *cel.Env, f source, at string, r *Rule) {
	texts := map[string]string{}
	var order []string
	add := func(member, text string) {
		order = append(order, member)
		texts[member] = text
	}
	kinds := 0
	if r.Step != "" {
		kinds++
		add(".step", r.Step)
	}
	if r.Request != "" {
		kinds++
		add(".request", r.Request)
	}
	if r.Sequence != nil {
		kinds++
		for i, text := range r.Sequence {
			add(fmt.Sprintf(".sequence[%d]", i), text)
		}
	}
	if kinds != 1 || len(order) == 0 {
		line, column := position(f.tree, at)
		l.fail(f.name, line, column, "rule %s needs one of step, request and sequence", r.ID)
		return
	}
	for _, member := range order {
		line, column := position(f.tree, at+member)
		if len(texts[member]) > maxCondition {
			l.fail(f.name, line, column, "rule %s: a condition of %d bytes, at most %d are taken", r.ID, len(texts[member]), maxCondition)
			continue
		}
		c, err := compile(env, texts[member], l.lists)
		var where *positionError
		if errors.As(err, &where) {
			if strings.Contains(texts[member], "\n") || where.line > 1 { // a block: it begins on the next line
				line, column = line+where.line, where.column+1
			} else {
				column += where.column
			}
			l.fail(f.name, line, column, "rule %s: %w", r.ID, err)
			continue
		} else if err != nil {
			l.fail(f.name, line, column, "rule %s: %w", r.ID, err)
			continue
		}
		r.conditions = append(r.conditions, c)
	}
}

package detect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// file is one file of rules.
type file struct {
	// Lists are names of lists of strings that conditions may use: hosts, paths.
	Lists map[string][]string `yaml:"lists"`
	// Macros are conditions with names: NAME() in another one stands for it.
	Macros map[string]string `yaml:"macros"`
	Rules  []*Rule           `yaml:"rules"`
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
// their names. Lists and macros are shared by all files. All errors are reported at once, each
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
	l := loader{lists: map[string][]string{}, macros: map[string]string{}, seen: map[string]string{}}
	text := sha256.New()
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("load rules: %w", err)
		}
		l.read(path.Base(name), data)
		fmt.Fprintf(text, "%s %d\n%s", path.Base(name), len(data), data)
	}
	set, err := l.finish()
	if err != nil {
		return nil, err
	}
	set.Hash = hex.EncodeToString(text.Sum(nil)[:8])
	return set, nil
}

// loader reads files.
type loader struct {
	lists  map[string][]string
	macros map[string]string
	files  []source
	seen   map[string]string // rule → file
	errs   []error
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
		if l.taken(key) {
			line, column := position(tree, "$.lists."+key)
			l.fail(name, line, column, "list %q: there is one of that name, or it is none (small letters, digits, _)", key)
		}
		l.lists[key] = list
	}
	for key, text := range f.Macros {
		line, column := position(tree, "$.macros."+key)
		if l.taken(key) {
			l.fail(name, line, column, "macro %q: there is one of that name, or it is none (small letters, digits, _)", key)
		}
		if len(text) > maxCondition {
			l.fail(name, line, column, "macro %s: a condition of %d bytes, at most %d are taken", key, len(text), maxCondition)
		}
		l.macros[key] = text
	}
	l.files = append(l.files, source{name, f, tree})
}

func (l *loader) taken(name string) bool {
	_, list := l.lists[name]
	_, other := l.macros[name]
	return list || other || !listName.MatchString(name) || slices.Contains([]string{"step", "request", "event", "size", "has"}, name)
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
	if len(l.errs) > 0 { // what a condition may use is not known
		return nil, errors.Join(l.errs...)
	}
	lang, err := newLanguage(l.lists, l.macros)
	if err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	set := &Set{}
	for _, f := range l.files {
		for _, key := range slices.Sorted(maps.Keys(f.file.Macros)) {
			if err := lang.parse(lang.macros[key]); err != nil {
				l.failIn(f, "$.macros."+key, f.file.Macros[key], "macro "+key, err)
			}
		}
	}
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	for _, f := range l.files {
		for i, r := range f.file.Rules {
			at := fmt.Sprintf("$.rules[%d]", i)
			if r == nil {
				r = &Rule{}
			}
			l.check(f, at, r)
			l.compile(lang, f, at, r)
			set.Rules = append(set.Rules, r)
		}
	}
	if len(set.Rules) > maxRules {
		l.errs = append(l.errs, fmt.Errorf("%d rules, at most %d are taken", len(set.Rules), maxRules))
	}
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	set.index = newIndex(set.Rules)
	for _, r := range set.Rules {
		class, _ := r.Class()
		set.monotone = append(set.monotone, class == Monotone)
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

func (l *loader) compile(lang *language, f source, at string, r *Rule) {
	texts := map[string]string{}
	var order []string
	add := func(member, text string) {
		order = append(order, member)
		texts[member] = text
	}
	kinds, subject := 0, useStep
	if r.Event != "" {
		kinds++
		subject = useEvent
		add(".event", r.Event)
	}
	if r.Step != "" {
		kinds++
		add(".step", r.Step)
	}
	if r.Request != "" {
		kinds++
		subject = 0
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
		l.fail(f.name, line, column, "rule %s needs one of event, step, request and sequence", r.ID)
		return
	}
	for _, member := range order {
		if len(texts[member]) > maxCondition {
			line, column := position(f.tree, at+member)
			l.fail(f.name, line, column, "rule %s: a condition of %d bytes, at most %d are taken", r.ID, len(texts[member]), maxCondition)
			continue
		}
		c, err := lang.compile(texts[member], subject)
		if err != nil {
			l.failIn(f, at+member, texts[member], "rule "+r.ID, err)
			continue
		}
		r.conditions = append(r.conditions, c)
		r.uses |= c.uses
	}
}

// failIn notes an error within a condition.
func (l *loader) failIn(f source, at, text, what string, err error) {
	line, column := position(f.tree, at)
	var where *positionError
	if errors.As(err, &where) {
		if strings.Contains(text, "\n") || where.line > 1 { // a block: it begins on the next line
			line, column = line+where.line, where.column+1
		} else {
			column += where.column
		}
	}
	l.fail(f.name, line, column, "%s: %w", what, err)
}

package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/spf13/pflag"
)

// File is what a file of YAML says.
type File struct {
	path     string
	settings []setting
}

type setting struct {
	key    string
	values []string
	line   int
}

// Read reads a file and holds it to a schema, whose flags it sets for it. Errors
// about what the file says show the place.
func Read(path string, s Schema) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	f := &File{path: path}
	if err := f.parse(data, s); err != nil {
		return nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	return f, nil
}

// at is an error with an excerpt of the file.
func at(t *token.Token, format string, args ...any) error {
	return errors.New(strings.TrimRight(yaml.FormatErrorWithToken(fmt.Sprintf(format, args...), t, false, true), "\n"))
}

func (f *File) parse(data []byte, s Schema) error {
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return errors.New(strings.TrimRight(err.Error(), "\n"))
	}
	for i, doc := range tree.Docs {
		var pairs []*ast.MappingValueNode
		switch body := doc.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
			continue
		case *ast.MappingNode:
			pairs = body.Values
		case *ast.MappingValueNode:
			pairs = []*ast.MappingValueNode{body}
		default:
			return at(body.GetToken(), "want lines of the form 'key: value'")
		}
		if i > 0 {
			return at(doc.Body.GetToken(), "want one document, this is the second")
		}
		for _, p := range pairs {
			if err := f.pair(p, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *File) pair(p *ast.MappingValueNode, s Schema) error {
	t := p.Key.GetToken()
	key := t.Value
	flags := s.find(key)
	if len(flags) == 0 {
		if near := nearest(key, s.keys()); near != "" {
			return at(t, "unknown key %q, did you mean %q?", key, near)
		}
		return at(t, "unknown key %q; 'sennit config init -' shows all that there are", key)
	}
	var values []string
	for _, flag := range flags {
		var err error
		if values, err = textOf(flag, p.Value); err != nil {
			return err
		}
		if err := set(flag, values); err != nil {
			return at(p.Value.GetToken(), "%s: %v", key, err)
		}
	}
	f.settings = append(f.settings, setting{key, values, t.Position.Line})
	return nil
}

// textOf is the value of a node as the flag would have it on the command line. The
// node must be of the flag's type: a port without quotes where text is wanted may
// be a slip, and 0123 is another number than the one that was written.
func textOf(f *pflag.Flag, n ast.Node) ([]string, error) {
	if _, ok := f.Value.(pflag.SliceValue); ok {
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			return nil, at(n.GetToken(), "%s: want a list, as [a, b]", f.Name)
		}
		values := []string{}
		for _, v := range list.Values {
			text, ok := text(v)
			if !ok {
				return nil, at(v.GetToken(), "%s: want text (put it in quotes)", f.Name)
			}
			values = append(values, text)
		}
		return values, nil
	}
	value, ok := n.GetToken().Value, false
	want := "text (put it in quotes)"
	switch typ := f.Value.Type(); typ {
	case "bool":
		_, ok = n.(*ast.BoolNode)
		want = "true or false"
	case "int":
		_, ok = n.(*ast.IntegerNode)
		want = "a whole number"
	case "duration":
		value, ok = text(n)
		want = "a duration, as 30s or 5m"
	default:
		value, ok = text(n)
		if _, null := n.(*ast.NullNode); null {
			want = `a value ("" for none)`
		}
	}
	if !ok {
		return nil, at(n.GetToken(), "%s: want %s", f.Name, want)
	}
	return []string{value}, nil
}

func text(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// model is package event as the emitters need it.
type model struct {
	kinds    []kind
	payloads []*object // in the order of their first kind
	parts    []*object // the structs inside, each before whoever holds it
	event    *object
}

// kind is one Kind constant with the payload its comment names.
type kind struct {
	name    string // "KindSpan"
	payload string // "Span"
	derived bool   // made by the processor only
}

// object is one struct type.
type object struct {
	name   string
	fields []field
}

// field is one member of a struct's JSON form.
type field struct {
	goName, key        string
	omitZero, asString bool
	typ                shape
}

// shape says how a value is written and read.
type shape struct {
	form form
	name string // of a type of package event, else empty
	// elem is what a list holds.
	elem *shape
}

type form int

const (
	formString form = iota
	formBool
	formUint16
	formUint32
	formUint64
	formInt64
	formHex    // byte array with a text form
	formCookie // uint64 with a text form
	formEnum   // uint8 with a text form
	formTime
	formHashes
	formAddr
	formAddrPort
	formStruct
	formList
	formPayload // the interface
)

func load(dir string) (*model, error) {
	fset := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") || strings.HasSuffix(p, "_gen.go") {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, fmt.Errorf("read source: %w", err)
		}
		f, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("parse source: %w", err)
		}
		files = append(files, f)
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil), IgnoreFuncBodies: true, DisableUnusedImportCheck: true}
	pkg, err := conf.Check("event", fset, files, nil)
	if err != nil {
		return nil, fmt.Errorf("check source: %w", err)
	}
	m := &model{}
	if m.kinds, err = kinds(files); err != nil {
		return nil, err
	}
	b := builder{pkg: pkg, seen: map[string]*object{}, m: m}
	for _, k := range m.kinds {
		if b.seen[k.payload] == nil {
			o, err := b.object(k.payload)
			if err != nil {
				return nil, err
			}
			m.payloads = append(m.payloads, o)
		}
	}
	m.event, err = b.object("Event")
	return m, err
}

// kinds reads the const block of Kind; the comment of each names its payload,
// "*Flow: ...", or begins with "derived:" where the payload has the kind's name.
func kinds(files []*ast.File) ([]kind, error) {
	var out []kind
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				name := v.Names[0].Name
				if !strings.HasPrefix(name, "Kind") || name == "KindNone" {
					continue
				}
				text := strings.TrimSpace(v.Comment.Text())
				k := kind{name: name, payload: strings.TrimPrefix(name, "Kind"), derived: strings.HasPrefix(text, "derived:")}
				if !k.derived {
					p, _, _ := strings.Cut(text, ":")
					if !strings.HasPrefix(p, "*") {
						return nil, fmt.Errorf("read kinds: the comment of %s does not begin with its payload's type", name)
					}
					k.payload = p[1:]
				}
				out = append(out, k)
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("read kinds: no constant of Kind found")
	}
	return out, nil
}

type builder struct {
	pkg  *types.Package
	seen map[string]*object
	m    *model
}

func (b *builder) object(name string) (*object, error) {
	if o := b.seen[name]; o != nil {
		return o, nil
	}
	obj := b.pkg.Scope().Lookup(name)
	if obj == nil {
		return nil, fmt.Errorf("read types: no type %s", name)
	}
	st, ok := obj.Type().Underlying().(*types.Struct)
	if !ok {
		return nil, fmt.Errorf("read types: %s is no struct", name)
	}
	o := &object{name: name}
	b.seen[name] = o
	for i := range st.NumFields() {
		v := st.Field(i)
		tag, opts, _ := strings.Cut(reflect.StructTag(st.Tag(i)).Get("json"), ",")
		if tag == "" || tag == "-" || v.Embedded() {
			return nil, fmt.Errorf("read types: %s.%s needs a name in its json tag", name, v.Name())
		}
		f := field{goName: v.Name(), key: tag}
		for opt := range strings.SplitSeq(opts, ",") {
			switch opt {
			case "":
			case "omitzero":
				f.omitZero = true
			case "string":
				f.asString = true
			default:
				return nil, fmt.Errorf("read types: %s.%s: json option %q is not supported", name, v.Name(), opt)
			}
		}
		var err error
		if f.typ, err = b.shape(v.Type()); err != nil {
			return nil, fmt.Errorf("read types: %s.%s: %w", name, v.Name(), err)
		}
		o.fields = append(o.fields, f)
	}
	return o, nil
}

func (b *builder) shape(t types.Type) (shape, error) {
	named, _ := t.(*types.Named)
	name := ""
	if named != nil {
		obj := named.Obj()
		switch {
		case obj.Pkg() == b.pkg:
			name = obj.Name()
		case obj.Pkg().Path() == "net/netip" && obj.Name() == "Addr":
			return shape{form: formAddr}, nil
		case obj.Pkg().Path() == "net/netip" && obj.Name() == "AddrPort":
			return shape{form: formAddrPort}, nil
		default:
			return shape{}, fmt.Errorf("type %s is not supported", t)
		}
	}
	text := types.NewMethodSet(t).Lookup(b.pkg, "MarshalText") != nil
	switch u := t.Underlying().(type) {
	case *types.Interface:
		if name == "Payload" {
			return shape{form: formPayload, name: name}, nil
		}
	case *types.Struct:
		if named == nil || text {
			break
		}
		if b.seen[name] == nil {
			o, err := b.object(name)
			if err != nil {
				return shape{}, err
			}
			b.m.parts = append(b.m.parts, o)
		}
		return shape{form: formStruct, name: name}, nil
	case *types.Slice:
		if named != nil {
			break
		}
		elem, err := b.shape(u.Elem())
		return shape{form: formList, elem: &elem}, err
	case *types.Array:
		switch {
		case name == "Hashes" && text:
			return shape{form: formHashes, name: name}, nil
		case text && types.Identical(u.Elem(), types.Typ[types.Uint8]):
			return shape{form: formHex, name: name}, nil
		}
	case *types.Basic:
		switch {
		case u.Kind() == types.String && !text:
			return shape{form: formString, name: name}, nil
		case u.Kind() == types.Bool && name == "":
			return shape{form: formBool}, nil
		case u.Kind() == types.Uint8 && text:
			return shape{form: formEnum, name: name}, nil
		case u.Kind() == types.Uint64 && text:
			return shape{form: formCookie, name: name}, nil
		case name == "Time" && text:
			return shape{form: formTime, name: name}, nil
		case text || name != "":
		case u.Kind() == types.Uint16:
			return shape{form: formUint16}, nil
		case u.Kind() == types.Uint32:
			return shape{form: formUint32}, nil
		case u.Kind() == types.Uint64:
			return shape{form: formUint64}, nil
		case u.Kind() == types.Int64:
			return shape{form: formInt64}, nil
		}
	}
	return shape{}, fmt.Errorf("type %s is not supported", t)
}

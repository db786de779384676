package timelinetest

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

func TestExampleFits(t *testing.T) {
	line := Example().AppendJSON(nil)
	if n := Validate(t, append(append(line, "\n\n"...), (&timeline.Timeline{ID: "x", State: timeline.Open}).AppendJSON(nil)...)); n != 2 {
		t.Errorf("%d lines were checked, want 2", n)
	}
}

func TestExampleLeavesNothingUnset(t *testing.T) {
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if v.IsZero() {
			t.Errorf("%s is not set", path)
		}
		switch v.Kind() {
		case reflect.Pointer:
			walk(path, v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Slice:
			if v.Type() != reflect.TypeFor[timeline.Attributes]() {
				walk(path+"[0]", v.Index(0))
			}
		}
	}
	walk("timeline", reflect.ValueOf(Example()))
}

func TestMisfitsAreFound(t *testing.T) {
	line := string(Example().AppendJSON(nil))
	f := func(old, new string) {
		t.Helper()
		if !strings.Contains(line, old) {
			t.Fatalf("the example has no %s", old)
		}
		if err := Check([]byte(strings.Replace(line, old, new, 1))); err == nil {
			t.Errorf("%s in place of %s was let through", new, old)
		}
	}
	f(`"state":"closed"`, `"state":"done"`)
	f(`"update":3`, `"update":3,"surprise":1`)
	f(`"update":3,`, ``)
	f(`"pid":4711`, `"pid":"4711"`)
	f(`"pid":4711`, `"pid":4711,"uid":0`)
	f(`"http2.stream_id":17`, `"http2.stream_id":1.5`)
	f(`"http2.stream_id":17`, `"http2.stream_id":null`)
	f(`.000000001Z"`, `Z"`)
	f(`"confidence":1,`, `"confidence":1.001,`)
	f(`"confidence":0.125`, `"confidence":0.1251`)
	f(`"method":"trace_context"`, `"method":"guess"`)
	f(`"layer":"model"`, `"layer":"llm"`)
	f(`"event_ids":["`, `"event_ids":["x`)
	f(`"related":["4bf92f3577b34da6a3ce929d0e0e4736-2"]`, `"related":null`)
	f(`"socket_cookie":"81234"`, `"socket_cookie":"0x1"`)
}

// node is what the tests need of a schema.
type node struct {
	Ref        string          `json:"$ref"`
	Type       any             `json:"type"`
	Enum       []string        `json:"enum"`
	Items      *node           `json:"items"`
	Properties map[string]node `json:"properties"`
	Required   []string        `json:"required"`
	Additional any             `json:"additionalProperties"`
	Defs       map[string]node `json:"$defs"`
}

func read(t *testing.T) node {
	t.Helper()
	var root node
	if err := json.Unmarshal(timeline.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestSchemaAndStructHaveTheSameMembers(t *testing.T) {
	root := read(t)
	used := map[string]bool{}
	var walk func(path string, n node, typ reflect.Type)
	walk = func(path string, n node, typ reflect.Type) {
		if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
			used[name] = true
			n, ok = root.Defs[name]
			if !ok {
				t.Errorf("%s: the schema has no %s", path, name)
			}
		}
		for typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		switch {
		case typ == reflect.TypeFor[timeline.Attributes]():
			if n.Type != "object" {
				t.Errorf("%s: no object", path)
			}
		case typ.Kind() == reflect.Struct:
			if n.Additional != false {
				t.Errorf("%s: not closed", path)
			}
			members := map[string]bool{}
			for i := range typ.NumField() {
				tag, opts, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
				members[tag] = true
				p, ok := n.Properties[tag]
				if !ok {
					t.Errorf("%s: the schema lacks %q", path, tag)
					continue
				}
				if slices.Contains(n.Required, tag) == strings.Contains(opts, "omit") {
					t.Errorf("%s.%s: required in the schema and left out by the struct, or the other way round", path, tag)
				}
				walk(path+"."+tag, p, typ.Field(i).Type)
			}
			for name := range n.Properties {
				if !members[name] {
					t.Errorf("%s: the struct lacks %q", path, name)
				}
			}
		case typ.Kind() == reflect.Slice:
			if n.Type != "array" || n.Items == nil {
				t.Errorf("%s: no array", path)
				return
			}
			walk(path+"[]", *n.Items, typ.Elem())
		default:
			want := map[reflect.Kind]string{
				reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number",
				reflect.Uint16: "integer", reflect.Uint32: "integer", reflect.Uint64: "integer", reflect.Int64: "string",
			}[typ.Kind()] // the one int64 is a time
			if n.Type == nil && n.Enum != nil {
				n.Type = "string"
			}
			if n.Type != want {
				t.Errorf("%s: %v in the schema, %s in the struct", path, n.Type, typ)
			}
		}
	}
	walk("timeline", root, reflect.TypeFor[timeline.Timeline]())
	for name := range maps.Keys(root.Defs) {
		if !used[name] {
			t.Errorf("nothing uses %s", name)
		}
	}
}

func TestEnumsAreTheConstants(t *testing.T) {
	root := read(t)
	f := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: schema %v, constants %v", what, got, want)
		}
	}
	layers := func(ls ...timeline.Layer) (out []string) {
		for _, l := range ls {
			out = append(out, string(l))
		}
		return out
	}(timeline.LayerEdge, timeline.LayerNetwork, timeline.LayerPolicy, timeline.LayerServer, timeline.LayerAgent, timeline.LayerModel,
		timeline.LayerTool, timeline.LayerHTTP, timeline.LayerDNS, timeline.LayerProcess, timeline.LayerFile, timeline.LayerSyscall)
	step := root.Defs["step"].Properties
	f("method", root.Defs["method"].Enum, slices.Concat(timeline.ExactMethods, timeline.InferredMethods)...)
	f("layer", step["layer"].Enum, layers...)
	f("missing", root.Defs["completeness"].Properties["missing"].Items.Enum, append(layers, "root")...)
	f("status", step["status"].Enum,
		string(timeline.OK), string(timeline.Error), string(timeline.Denied), string(timeline.Killed), string(timeline.Unclaimed))
	var sources, verdicts []string
	for i := range event.Sources {
		sources = append(sources, event.Source(i).String())
	}
	for v := event.VerdictUnknown; v <= event.VerdictReset; v++ {
		verdicts = append(verdicts, v.String())
	}
	f("source", sorted(root.Defs["source"].Enum), sorted(sources)...)
	f("verdict", root.Defs["connection"].Properties["verdict"].Enum, verdicts...)
	f("state", root.Properties["state"].Enum, string(timeline.Open), string(timeline.Closed))
	f("alert state", root.Defs["alert"].Properties["state"].Enum, string(alert.Open), string(alert.Withdrawn))
	f("severity", root.Defs["alert"].Properties["severity"].Enum,
		string(alert.Info), string(alert.Low), string(alert.Medium), string(alert.High), string(alert.Critical))
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

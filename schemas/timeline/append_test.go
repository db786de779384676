package timeline

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sennit-io/sennit/schemas/event/eventtest"
)

// filled returns a timeline with fields set as eventtest.Fill does it.
func filled(seed uint64) *Timeline {
	var t Timeline
	if seed > 0 {
		eventtest.Value(&t, seed)
	}
	for i := range t.Steps {
		for j := range t.Steps[i].Attributes {
			a := &t.Steps[i].Attributes[j] // a number or a string, never both
			if a.IsNum = a.IsNum && j%2 == 0; a.IsNum {
				a.Str = ""
			} else {
				a.Num = 0
			}
		}
	}
	return &t
}

// standard is what encoding/json makes of the struct itself, with nil lists as
// empty ones.
func standard(t testing.TB, tl *Timeline) []byte {
	t.Helper()
	type plain Timeline // without MarshalJSON
	notNil(reflect.ValueOf(tl).Elem())
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode((*plain)(tl)); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

func notNil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			notNil(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			notNil(v.Elem())
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			notNil(v.Index(i))
		}
	}
}

func TestAppendJSONIsEncodingJSON(t *testing.T) {
	for seed := range uint64(50) {
		tl := filled(seed)
		got := tl.AppendJSON(nil)
		if want := standard(t, tl); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: AppendJSON and encoding/json differ:\n got %s\nwant %s", seed, got, want)
		}
		var back Timeline
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := cmp.Diff(tl, &back, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("seed %d: read back (-want +got):\n%s", seed, d)
		}
		if again := back.AppendJSON(nil); !bytes.Equal(again, got) {
			t.Fatalf("seed %d: written again:\n got %s\nwant %s", seed, again, got)
		}
	}
}

func FuzzReadBack(f *testing.F) {
	for seed := range uint64(3) {
		f.Add(filled(seed).AppendJSON(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var tl Timeline
		if json.Unmarshal(b, &tl) != nil {
			return
		}
		first := tl.AppendJSON(nil)
		var back Timeline
		if err := json.Unmarshal(first, &back); err != nil {
			t.Fatalf("written form is unreadable: %v\n%s", err, first)
		}
		if second := back.AppendJSON(nil); !bytes.Equal(first, second) {
			t.Fatalf("not canonical:\n%s\n%s", first, second)
		}
	})
}

func TestScoresHaveThreeDecimals(t *testing.T) {
	f := func(in float64, want string) {
		t.Helper()
		if got := string(score(nil, "", in)); got != want {
			t.Errorf("score(%v) = %s, want %s", in, got, want)
		}
	}
	f(0, "0")
	f(1, "1")
	f(0.95, "0.95")
	f(0.9494999, "0.949")
	f(0.9999, "1")
	f(1.0/3, "0.333")
	f(0.0001, "0")
	f(math.NaN(), "0")
	f(math.Inf(1), "0")
}

func TestAttributesAreStringsAndWholeNumbers(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var a Attributes
		err := json.Unmarshal([]byte(in), &a)
		if want == "" {
			if err == nil {
				t.Errorf("%s was read as %v", in, a)
			}
			return
		}
		if got := string(a.AppendJSON(nil)); err != nil || got != want {
			t.Errorf("%s came back as %s (%v), want %s", in, got, err, want)
		}
	}
	f(`{"z":1,"a":"x","n":-9223372036854775808}`, `{"z":1,"a":"x","n":-9223372036854775808}`)
	f(`{ }`, `{}`)
	f(`null`, `{}`)
	f(`{"a":1.5}`, "")
	f(`{"a":18446744073709551615}`, "")
	f(`{"a":true}`, "")
	f(`{"a":null}`, "")
	f(`{"a":{}}`, "")
	f(`["a"]`, "")
	f(`"a"`, "")
}

func TestAppendJSONDoesNotAllocate(t *testing.T) {
	tl := filled(1)
	buf := tl.AppendJSON(nil)
	if n := testing.AllocsPerRun(100, func() { buf = tl.AppendJSON(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

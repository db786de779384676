package timeline

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// canonical reads without the help of encoding/json.
func canonical(b []byte) (*Timeline, bool) {
	var t Timeline
	r := reader{s: string(b)}
	r.timeline(&t)
	return &t, !r.bad && r.i == len(b)
}

// All that AppendJSON writes is read in one pass, to what encoding/json reads.
func TestReadJSON(t *testing.T) {
	for seed := range uint64(50) {
		b := filled(seed).AppendJSON(nil)
		got, ok := canonical(b)
		if !ok {
			t.Fatalf("seed %d: the canonical form was not read in one pass:\n%s", seed, b)
		}
		var want Timeline
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d (-encoding/json +ReadJSON):\n%s", seed, diff)
		}
	}
}

func TestReadJSONOfOtherForms(t *testing.T) {
	b := filled(3).AppendJSON(nil)
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, b, "", " "); err != nil {
		t.Fatal(err)
	}
	var got Timeline
	if err := got.ReadJSON(pretty.Bytes()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(filled(3).AppendJSON(nil), got.AppendJSON(nil)); diff != "" {
		t.Errorf("pretty JSON was read as something else:\n%s", diff)
	}
	for _, bad := range []string{"", "[]", "{", string(b[:len(b)-1]), string(b) + "}", `{"timeline_id":7}`} {
		if err := got.ReadJSON([]byte(bad)); err == nil {
			t.Errorf("%.40s… was read", bad)
		}
	}
}

// What is read in one pass is what encoding/json reads, whatever it is.
func FuzzReadJSON(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(filled(seed).AppendJSON(nil))
	}
	f.Add([]byte(`{"timeline_id":"a\ud800\"","trace_id":"` + "\xff" + `"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := canonical(b)
		if !ok {
			return
		}
		var want Timeline
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatalf("encoding/json does not read it: %v\n%s", err, b)
		}
		if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-encoding/json +ReadJSON):\n%s", diff)
		}
	})
}

func BenchmarkReadJSON(b *testing.B) {
	tl := filled(1)
	for len(tl.Steps) < 32 {
		tl.Steps = append(tl.Steps, tl.Steps...)
	}
	buf := tl.AppendJSON(nil)
	f := func(name string, read func(*Timeline) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				var t Timeline
				if err := read(&t); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	f("ReadJSON", func(t *Timeline) error { return t.ReadJSON(buf) })
	f("encoding_json", func(t *Timeline) error { return json.Unmarshal(buf, t) })
}

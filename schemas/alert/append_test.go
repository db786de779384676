package alert

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sennit-io/sennit/schemas/event/eventtest"
)

func TestAppendJSONIsEncodingJSON(t *testing.T) {
	type plain Alert // without MarshalJSON
	for seed := range uint64(30) {
		var a Alert
		if seed > 0 {
			eventtest.Value(&a, seed)
		}
		v := reflect.ValueOf(&a).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Slice && f.IsNil() {
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
			}
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode((*plain)(&a)); err != nil {
			t.Fatal(err)
		}
		got := a.AppendJSON(nil)
		if w := bytes.TrimSuffix(want.Bytes(), []byte("\n")); !bytes.Equal(got, w) {
			t.Fatalf("seed %d: AppendJSON and encoding/json differ:\n got %s\nwant %s", seed, got, w)
		}
		var back Alert
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(a, back, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("seed %d: read back (-want +got):\n%s", seed, d)
		}
	}
}

func TestMemberNamesAreAContract(t *testing.T) {
	const want = `{"alert_id":"","rule_id":"","severity":"","title":"","state":"","revision":0,"time":"","timeline_id":"",` +
		`"step_ids":[],"event_ids":[],"exact":false,"confidence":0,"gaps":[],"tags":[]}`
	if got := string(new(Alert).AppendJSON(nil)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
)

// equal compares events; an empty list is as good as none.
var equal = cmp.Options{eventtest.Equal, cmpopts.EquateEmpty()}

func line(t testing.TB, e *event.Event) []byte {
	t.Helper()
	got := e.AppendJSON(nil)
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	if w := bytes.TrimSuffix(want.Bytes(), []byte("\n")); !bytes.Equal(got, w) {
		t.Fatalf("AppendJSON and encoding/json differ:\n got %s\nwant %s", got, w)
	}
	return got
}

func TestEveryFieldOfEveryKindComesBack(t *testing.T) {
	for _, k := range eventtest.Kinds() {
		for seed := range uint64(20) {
			e := eventtest.Fill(k, seed) // seed 0 leaves every payload zero
			rec := line(t, e)

			var std event.Event
			if err := json.Unmarshal(rec, &std); err != nil {
				t.Fatalf("%s: read back with encoding/json: %v\n%s", k, err, rec)
			}
			if d := cmp.Diff(e, &std, equal); d != "" {
				t.Fatalf("%s: encoding/json read something else (-want +got):\n%s", k, d)
			}

			var d Decoder
			var b event.Batch
			tally, err := d.Decode(rec, &b)
			if k == event.KindPeerTrace || k == event.KindAlias {
				if !errors.Is(err, ingest.ErrUnknownType) || tally != (ingest.Tally{In: 1, UnknownType: 1}) || len(b.Events) != 0 {
					t.Fatalf("%s is the processor's alone: %+v, %v, %d events", k, tally, err, len(b.Events))
				}
				continue
			}
			if err != nil || tally != (ingest.Tally{In: 1}) || len(b.Events) != 1 {
				t.Fatalf("%s: %+v, %v, %d events\n%s", k, tally, err, len(b.Events), rec)
			}
			if diff := cmp.Diff(e, &b.Events[0], equal); diff != "" {
				t.Fatalf("%s: round trip (-want +got):\n%s", k, diff)
			}
			if again := b.Events[0].AppendJSON(nil); !bytes.Equal(again, rec) {
				t.Fatalf("%s: written again\n got %s\nwant %s", k, again, rec)
			}
		}
	}
}

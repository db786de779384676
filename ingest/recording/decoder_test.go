package recording

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
)

const (
	ok = iota
	bad
	unknown
)

func TestDecodeCountsEveryLine(t *testing.T) {
	var d Decoder
	f := func(rec string, want int, words string) {
		t.Helper()
		var b event.Batch
		tally, err := d.Decode([]byte(rec), &b)
		if tally.In != 1 || tally.In != len(b.Events)+tally.Bad+tally.UnknownType {
			t.Errorf("%s: the law of counting is broken: %+v, %d events", rec, tally, len(b.Events))
		}
		if got := tally.Bad*bad + tally.UnknownType*unknown; got != want {
			t.Errorf("%s: %+v (%v)", rec, tally, err)
		}
		if (err == nil) != (want == ok) || errors.Is(err, ingest.ErrUnknownType) != (want == unknown) {
			t.Errorf("%s: error %v", rec, err)
		}
		if err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%s: error %q does not say %q", rec, err, words)
		}
	}
	const at = `"time":"2026-11-23T06:56:00.000000001Z"`
	f(`{"kind":"clock",`+at+`}`, ok, "")
	f(`{"kind":"clock",`+at+`,"payload":null}`, ok, "")
	f(`{"kind":"clock",`+at+`,"payload":{"of":"hubble"},"new_member":{"a":[1,2]}}`, ok, "")
	f(` { "payload" : {"of":"hubble","what":[]} , "kind" : "clock" , `+at+` } `, ok, "")
	f(`{"kind":"flow","source":"hubble",`+at+`,"payload":{"tuple":{"proto":"ip-41","src":"[::1]:1","dst":""}}}`, ok, "")
	f(`{"kind":"socket_open",`+at+`,"payload":{"socket_cookie":12,"bytes_in":18446744073709551615}}`, ok, "")

	f(`{"kind":"peer_trace",`+at+`,"payload":{"socket_cookie":"1"}}`, unknown, `"peer_trace"`)
	f(`{"kind":"alias",`+at+`,"payload":{}}`, unknown, `"alias"`)
	f(`{"kind":"novelty",`+at+`,"payload":[1]}`, unknown, `"novelty"`)
	f(`{"payload":{"x":1},"kind":"novelty"}`, unknown, `"novelty"`)
	f(`{"kind":"",`+at+`}`, unknown, "")
	f(`{`+at+`}`, unknown, "")
	f(`{}`, unknown, "")
	f(`[]`, unknown, "")
	f(`7`, unknown, "")
	f(`null`, unknown, "")

	f(``, bad, "not valid JSON")
	f(`nope`, bad, "not valid JSON")
	f(`{"kind":"clock",`+at, bad, "not valid JSON")
	f(`{"kind":"clock",`+at+`}{}`, bad, "not valid JSON")
	f(`{"kind":"novelty",`+at+`,"payload":{]}`, bad, "not valid JSON")
	f(`{"payload":{"of":7},"kind":"clock",`+at+`}`, bad, `member "of"`)
	f(`{"kind":"clock"}`, bad, "no time")
	f(`{"kind":"clock","time":""}`, bad, "no time")
	f(`{"kind":"clock","time":"yesterday"}`, bad, `member "time"`)
	f(`{"kind":"clock","time":"2026-02-30T00:00:00Z"}`, bad, "RFC 3339")
	f(`{"kind":"clock","time":"1066-10-14T09:00:00Z"}`, bad, "RFC 3339")
	f(`{"kind":"clock","time":12}`, bad, "wrong type")
	f(`{"kind":7,`+at+`}`, bad, "wrong type")
	f(`{"kind":"clock",`+at+`,"payload":7}`, bad, "wrong type")
	f(`{"kind":"clock",`+at+`,"id":"12"}`, bad, "32 hex digits")
	f(`{"kind":"clock",`+at+`,"source":"marsprobe"}`, bad, "marsprobe")
	f(`{"kind":"clock","kind":"clock",`+at+`}`, bad, "twice")
	f(`{"kind":"clock",`+at+`,"payload":{},"payload":{}}`, bad, "twice")
	f(`{"kind":"flow",`+at+`,"payload":{"tuple":{"src":"300.1.1.1:80"}}}`, bad, "IP address")
	f(`{"kind":"flow",`+at+`,"payload":{"tuple":{"src":"10.1.1.1:65536"}}}`, bad, "IP address")
	f(`{"kind":"dns",`+at+`,"payload":{"answers":["10.0.0.1","x"]}}`, bad, "IP address")
	f(`{"kind":"dns",`+at+`,"payload":{"rcode":65536}}`, bad, "over 65535")
	f(`{"kind":"flow",`+at+`,"payload":{"count":4294967296}}`, bad, "over 4294967295")
	f(`{"kind":"flow",`+at+`,"payload":{"verdict":"maybe"}}`, bad, "maybe")
	f(`{"kind":"socket_open",`+at+`,"payload":{"socket_cookie":-1}}`, bad, "wrong type")
	f(`{"kind":"process_exec",`+at+`,"payload":{"hashes":"12"}}`, bad, "64 hex digits")
	f(`{"kind":"clock",`+at+`,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`, bad, "nesting depth")
}

func TestMembersInAnyOrder(t *testing.T) {
	for _, k := range eventtest.Kinds() {
		if k == event.KindPeerTrace || k == event.KindAlias {
			continue
		}
		rec := eventtest.Fill(k, 1).AppendJSON(nil)
		turned := reverseMembers(t, rec)
		var d Decoder
		var a, b event.Batch
		if _, err := d.Decode(rec, &a); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decode(turned, &b); err != nil {
			t.Fatalf("%s: %v\n%s", k, err, turned)
		}
		if diff := cmp.Diff(a.Events, b.Events, equal); diff != "" {
			t.Errorf("%s: the order of members matters (-as written +turned):\n%s", k, diff)
		}
	}
}

func TestMissingID(t *testing.T) {
	f := func(recs ...string) []event.ID {
		t.Helper()
		var d Decoder
		var b event.Batch
		var ids []event.ID
		for _, r := range recs {
			if _, err := d.Decode([]byte(r), &b); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, b.Events[len(b.Events)-1].ID)
		}
		return ids
	}
	same := f(
		`{"kind":"loss","node":"n1","time":"2026-11-23T06:56:00Z","payload":{"of":"hubble","count":"3"}}`,
		`{"id":"","node":"n1","time":"2026-11-23T07:56:00.000+01:00","later":1,"payload":{"count":3,"of":"hubble"},"kind":"loss"}`,
		`{"id":"00000000000000000000000000000000","kind":"loss","node":"n1","time":"2026-11-23T06:56:00Z","payload":{"of":"hubble","count":"3"}}`,
	)
	for _, id := range same {
		if id.IsZero() || id != same[0] {
			t.Errorf("one record has the ids %v", same)
		}
	}
	other := f(
		`{"kind":"loss","node":"n1","time":"2026-11-23T06:56:00Z","payload":{"of":"hubble","count":"3"}}`,
		`{"kind":"loss","node":"n2","time":"2026-11-23T06:56:00Z","payload":{"of":"hubble","count":"3"}}`,
		`{"kind":"clock","node":"n1","time":"2026-11-23T06:56:00Z","payload":{"of":"hubble","count":"3"}}`,
		`{"kind":"loss","node":"n1","time":"2026-11-23T06:56:01Z","payload":{"of":"hubble","count":"3"}}`,
		`{"kind":"loss","node":"n1","time":"2026-11-23T06:56:00Z","payload":{"of":"hubble","count":"4"}}`,
	)
	seen := map[event.ID]bool{}
	for _, id := range other {
		if seen[id] {
			t.Errorf("two records have the id %v", id)
		}
		seen[id] = true
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	var recs [][]byte
	for _, e := range hot() {
		recs = append(recs, e.AppendJSON(nil))
	}
	for _, k := range eventtest.Kinds() {
		if k != event.KindPeerTrace && k != event.KindAlias {
			e := eventtest.Fill(k, 1)
			if k == event.KindLoss {
				e.ID = event.ID{} // the path that computes one
			}
			recs = append(recs, e.AppendJSON(nil))
		}
	}
	var d Decoder
	var b event.Batch
	var buf []byte
	run := func() {
		b.Reset()
		for _, r := range recs {
			if _, err := d.Decode(r, &b); err != nil {
				t.Fatal(err)
			}
		}
		for i := range b.Events {
			buf = b.Events[i].AppendJSON(buf[:0])
		}
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations for %d lines read and written, want 0", n, len(recs))
	}
}

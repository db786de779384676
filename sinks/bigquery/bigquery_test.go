package bigquery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/grpc/codes"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/bigquery/bigquerytest"
)

const start = event.Time(1795424400 * 1e9) // 2026-11-23T09:00:00Z

// server has the tables that Init makes.
func server(t testing.TB) *bigquerytest.Server {
	t.Helper()
	s, err := bigquerytest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := Init(t.Context(), Options{Project: "p", Dataset: "d", Endpoint: s.HTTP}, Layout{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t testing.TB, s *bigquerytest.Server, o Options) *Sink {
	t.Helper()
	o.Project, o.Dataset, o.Endpoint = "p", "d", s.GRPC
	sink, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

// record is a revision of a timeline of some steps.
func record(id string, revision uint32, steps int, change ...func(*timeline.Timeline)) sinks.Record {
	t := timeline.Timeline{ID: id, Revision: revision, State: timeline.Closed, Start: start, End: start.Add(time.Second)}
	for i := range steps {
		t.Steps = append(t.Steps, timeline.Step{
			ID: fmt.Sprintf("s%d", i), Layer: timeline.LayerModel, Start: start, End: start.Add(time.Millisecond),
			Attributes: timeline.Attributes{{Key: "gen_ai.request.model", Str: "m"}, {Key: "gen_ai.usage.input_tokens", Num: 7, IsNum: true}},
		})
	}
	for _, f := range change {
		f(&t)
	}
	return sinks.Record{Kind: sinks.Timeline, ID: id, Revision: revision, Data: t.AppendJSON(nil)}
}

func alertRecord(id string, revision uint32) sinks.Record {
	a := alert.Alert{ID: id, RuleID: "r", Revision: revision, Time: start, Tags: []string{"x", "y"}}
	return sinks.Record{Kind: sinks.Alert, ID: id, Revision: revision, Data: a.AppendJSON(nil)}
}

func write(t testing.TB, s *Sink, records ...sinks.Record) {
	t.Helper()
	if err := s.Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// names are the rows of a table as "id revision", sorted.
func names(s *bigquerytest.Server, table string, columns ...string) []string {
	list := []string{}
	for _, row := range s.Rows("p.d." + table) {
		var parts []string
		for _, c := range columns {
			parts = append(parts, fmt.Sprint(row[c]))
		}
		list = append(list, strings.Join(parts, " "))
	}
	slices.Sort(list)
	return list
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRows(t *testing.T) {
	srv := server(t)
	s := open(t, srv, Options{})
	write(t, s, record("a", 1, 1), alertRecord("x", 1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := bigquerytest.Row{
		"date": int32(20780), "timeline_id": "a", "revision": int64(1), "step_id": "s0", "layer": "model",
		"start_time": int64(1795424400 * 1e6), "end_time": int64(1795424400*1e6 + 1000), "duration_ns": int64(1e6), "self_ns": int64(1e6),
		"model": "m", "input_tokens": int64(7), "join_exact": false, "join_confidence": 0.0, "join_candidates": int64(0),
		"attributes": `{"gen_ai.request.model":"m","gen_ai.usage.input_tokens":7}`,
	}
	if diff := cmp.Diff([]bigquerytest.Row{want}, srv.Rows("p.d.steps")); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	same(t, "timelines", []string{"a 1 closed"}, names(srv, "timelines", "timeline_id", "revision", "state"))
	same(t, "alerts", []string{"x 1 [x y]"}, names(srv, "alerts", "alert_id", "revision", "tags"))
}

// Timelines are replaced in the order of their revisions, whatever order they came
// in; one that another took in goes. Steps stay with each revision.
func TestRevisions(t *testing.T) {
	srv := server(t)
	s := open(t, srv, Options{Epoch: 10})
	defer s.Close()
	gone := func(tl *timeline.Timeline) { tl.SupersededBy = "a" }
	write(t, s, record("a", 1, 1), record("b", 1, 1), record("c", 17, 0))
	write(t, s, record("a", 2, 2), record("b", 2, 0, gone))
	same(t, "timelines", []string{"a 2", "c 17"}, names(srv, "timelines", "timeline_id", "revision"))
	write(t, s, record("b", 1, 1), record("a", 1, 1), record("c", 9, 0)) // comes again, late
	same(t, "timelines after old ones came again", []string{"a 2", "c 17"}, names(srv, "timelines", "timeline_id", "revision"))
	same(t, "steps", []string{"a 1 s0", "a 1 s0", "a 2 s0", "a 2 s1", "b 1 s0", "b 1 s0"}, names(srv, "steps", "timeline_id", "revision", "step_id"))

	// While a timeline is open its row is that of the last view of who leads; once it is
	// closed no view counts, of whoever.
	view := func(id string, update uint32) sinks.Record {
		return record(id, 0, 1, func(tl *timeline.Timeline) { tl.State, tl.Update = timeline.Open, update })
	}
	before := open(t, srv, Options{Epoch: 9}) // a processor that was replaced and does not know yet
	defer before.Close()
	write(t, s, view("d", 2), view("e", 1), view("a", 7))
	write(t, before, view("d", 50), view("a", 60))
	write(t, s, view("e", 2))
	same(t, "open timelines", []string{"a 2 0", "c 17 0", "d 0 2", "e 0 2"}, names(srv, "timelines", "timeline_id", "revision", "update"))
	write(t, before, record("d", 1, 0))
	write(t, s, view("d", 3))
	same(t, "a timeline that is closed", []string{"a 2 0", "c 17 0", "d 1 0", "e 0 2"}, names(srv, "timelines", "timeline_id", "revision", "update"))
	same(t, "steps of open timelines", []string{"a 1 s0", "a 1 s0", "a 2 s0", "a 2 s1", "b 1 s0", "b 1 s0"}, names(srv, "steps", "timeline_id", "revision", "step_id"))

	// A view that is taken back has no row, whatever views of before come again; once its
	// request has closed it has one.
	back := func(tl *timeline.Timeline) { tl.State, tl.Update, tl.SupersededBy = timeline.Open, 3, "e" }
	write(t, s, record("e", 0, 0, back))
	write(t, s, view("e", 2))
	same(t, "a view that was taken back", []string{"a 2 0", "c 17 0", "d 1 0"}, names(srv, "timelines", "timeline_id", "revision", "update"))
	write(t, s, record("e", 1, 1))
	same(t, "its request", []string{"a 2 0", "c 17 0", "d 1 0", "e 1 0"}, names(srv, "timelines", "timeline_id", "revision", "update"))
}

// The rows that BigQuery refuses take only their own records with them.
func TestBadRecords(t *testing.T) {
	srv := server(t)
	s := open(t, srv, Options{})
	defer s.Close()
	bad := alertRecord("bad", 1)
	bad.Data = []byte(strings.Replace(string(bad.Data), `"rule_id":"r"`, `"rule_id":"`+strings.Repeat("x", maxRequest)+`"`, 1))
	err := s.Write(t.Context(), []sinks.Record{
		record("a", 1, 1), {Kind: sinks.Timeline, Data: []byte(`[]`)}, bad, {Kind: '?'}, alertRecord("good", 1),
	})
	var failed sinks.Failures
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want failures", err)
	}
	var got []string
	for _, f := range failed {
		got = append(got, fmt.Sprintf("%d %t %.18s", f.Index, f.Permanent, f.Err))
	}
	same(t, "failures", []string{"1 true read timeline: jso", "2 true a row of alerts ha", "3 true a record of kind '"}, got)
	same(t, "timelines", []string{"a 1"}, names(srv, "timelines", "timeline_id", "revision"))
	same(t, "alerts", []string{"good 1"}, names(srv, "alerts", "alert_id", "revision"))
}

func TestRowErrors(t *testing.T) {
	for _, backfill := range []bool{false, true} {
		srv := server(t)
		s := open(t, srv, Options{Backfill: backfill})
		srv.Refuse(func(row bigquerytest.Row) string {
			if row["step_id"] == "s1" && row["timeline_id"] == "b" || row["alert_id"] == "x" {
				return "not in this table"
			}
			return ""
		})
		err := s.Write(t.Context(), []sinks.Record{record("a", 1, 2), record("b", 1, 3), alertRecord("x", 1), record("c", 1, 1)})
		var failed sinks.Failures
		if !errors.As(err, &failed) || len(failed) != 2 || failed[0].Index != 1 || failed[1].Index != 2 ||
			!strings.Contains(failed[0].Err.Error(), "not in this table") {
			t.Errorf("backfill %t: got %v, want the failures of the second and third", backfill, err)
		}
		write(t, s, record("d", 1, 1))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		same(t, "steps", []string{"a s0", "a s1", "b s0", "b s2", "c s0", "d s0"}, names(srv, "steps", "timeline_id", "step_id"))
		same(t, "alerts", []string{}, names(srv, "alerts", "alert_id"))
	}
}

// What is too large for one request goes in several.
func TestRequestsAreCapped(t *testing.T) {
	for _, backfill := range []bool{false, true} {
		srv := server(t)
		s := open(t, srv, Options{Backfill: backfill})
		big := record("a", 1, 36, func(tl *timeline.Timeline) {
			for i := range tl.Steps {
				tl.Steps[i].Name = strings.Repeat("n", 1<<19)
			}
		})
		before := srv.Appends()
		write(t, s, big)
		if n := srv.Appends() - before; n != 4 { // 17 of half a mebibyte fit into 9 MiB, and one for the timeline
			t.Errorf("%d appends, want 4", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := len(srv.Rows("p.d.steps")); n != 36 {
			t.Errorf("%d steps, want 36", n)
		}
	}
}

// Faults that pass: the client tries again, and all rows are there; those of a
// backfill once, the others at least once.
func TestFaults(t *testing.T) {
	f := func(name string, fault bigquerytest.Fault, twice bool) {
		for _, backfill := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/backfill=%t", name, backfill), func(t *testing.T) {
				t.Parallel() // they wait for the client's pauses
				srv := server(t)
				s := open(t, srv, Options{Backfill: backfill})
				struck := map[string]bool{}
				srv.SetFault(func(stream string, _ int) bigquerytest.Fault {
					if struck[stream] {
						return bigquerytest.Fault{}
					}
					struck[stream] = true // the first of each stream
					return fault
				})
				write(t, s, record("a", 1, 2), alertRecord("x", 1))
				write(t, s, record("a", 2, 1))
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				want := []string{"a 1 s0", "a 1 s1", "a 2 s0"}
				if twice && !backfill { // and the views show each once
					want = []string{"a 1 s0", "a 1 s0", "a 1 s1", "a 1 s1", "a 2 s0"}
				}
				same(t, "steps", want, names(srv, "steps", "timeline_id", "revision", "step_id"))
				same(t, "timelines", []string{"a 2"}, names(srv, "timelines", "timeline_id", "revision"))
				if len(struck) != 3 {
					t.Errorf("%d streams were struck, want 3", len(struck))
				}
			})
		}
	}
	f("unavailable", bigquerytest.Fault{Code: codes.Unavailable}, false)
	f("aborted", bigquerytest.Fault{Code: codes.Aborted}, false)
	f("reset", bigquerytest.Fault{Reset: true}, false)
	f("reset with internal", bigquerytest.Fault{Code: codes.Internal, Reset: true}, false)
	f("no answer", bigquerytest.Fault{After: true}, true)
}

// Faults that last: Write says so, and when the batch comes again all is well.
func TestLastingFaults(t *testing.T) {
	f := func(name string, fault bigquerytest.Fault) {
		for _, backfill := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/backfill=%t", name, backfill), func(t *testing.T) {
				t.Parallel() // they wait for the client's pauses
				srv := server(t)
				s := open(t, srv, Options{Backfill: backfill})
				write(t, s, record("before", 1, 1))
				srv.SetFault(func(string, int) bigquerytest.Fault { return fault })
				batch := []sinks.Record{record("a", 1, 1), alertRecord("x", 1)}
				err := s.Write(t.Context(), batch)
				var failed sinks.Failures
				if err == nil || errors.As(err, &failed) {
					t.Fatalf("got %v, want an error of the whole batch", err)
				}
				srv.SetFault(nil)
				write(t, s, batch...)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				steps := slices.Compact(names(srv, "steps", "timeline_id", "step_id"))
				same(t, "steps", []string{"a s0", "before s0"}, steps)
				same(t, "alerts", []string{"x"}, slices.Compact(names(srv, "alerts", "alert_id")))
				same(t, "timelines", []string{"a", "before"}, names(srv, "timelines", "timeline_id"))
			})
		}
	}
	f("resource exhausted", bigquerytest.Fault{Code: codes.ResourceExhausted})
	f("permission denied on connecting", bigquerytest.Fault{Code: codes.PermissionDenied, Reset: true})
	if !testing.Short() {
		f("unavailable for long", bigquerytest.Fault{Code: codes.Unavailable})
		f("no answer for long", bigquerytest.Fault{After: true})
	}
}

// A backfill shows steps and alerts on Close, and not before.
func TestBackfill(t *testing.T) {
	srv := server(t)
	s := open(t, srv, Options{Backfill: true})
	write(t, s, record("a", 1, 2), alertRecord("x", 1))
	write(t, s, record("b", 1, 1))
	same(t, "steps before Close", []string{}, names(srv, "steps", "step_id"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, "steps", []string{"a s0", "a s1", "b s0"}, names(srv, "steps", "timeline_id", "step_id"))
	same(t, "alerts", []string{"x"}, names(srv, "alerts", "alert_id"))
	if err := open(t, srv, Options{Backfill: true}).Close(); err != nil {
		t.Errorf("a backfill of nothing: %v", err)
	}
}

func TestNoTables(t *testing.T) {
	srv, err := bigquerytest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = Open(ctx, Options{Project: "p", Dataset: "d", Endpoint: srv.GRPC})
	if err == nil || !strings.Contains(err.Error(), "sennit bigquery check p.d") {
		t.Errorf("got %v, want what to do about it", err)
	}
}

// A table that an older version made takes rows without the columns that it lacks,
// and once it gets them, while rows are written, rows have them.
func TestColumnsAreAdded(t *testing.T) {
	f := func(backfill bool) {
		t.Helper()
		srv := server(t)
		fields := srv.Table("p.d.steps").Schema.Fields
		lacking := slices.DeleteFunc(slices.Clone(fields), func(f *bq.TableFieldSchema) bool { return f.Name == "model" || f.Name == "input_tokens" })
		srv.Table("p.d.steps").Schema.Fields = lacking
		var log bytes.Buffer
		s := open(t, srv, Options{Backfill: backfill, Log: slog.New(slog.NewTextHandler(&log, nil))})
		write(t, s, record("before", 1, 1))
		if text := log.String(); !strings.Contains(text, "table=steps columns=model,input_tokens") || !strings.Contains(text, "bigquery init") {
			t.Errorf("it says %q", text)
		}
		if _, err := Init(t.Context(), Options{Project: "p", Dataset: "d", Endpoint: srv.HTTP}, Layout{}); err != nil {
			t.Fatal(err)
		}
		for i := range 2 { // the answer to the first says that there are columns
			write(t, s, record(fmt.Sprint("after", i), 1, 1))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		same(t, "steps", []string{"after0 <nil> <nil>", "after1 m 7", "before <nil> <nil>"}, names(srv, "steps", "timeline_id", "model", "input_tokens"))
	}
	f(false)
	f(true)
}

func TestEvents(t *testing.T) {
	srv := server(t)
	s := open(t, srv, Options{Events: true})
	defer s.Close()
	e := event.Event{ID: event.ID{7}, Kind: event.KindProcessExec, Time: start, Payload: &event.Process{Binary: "/bin/sh"}}
	write(t, s, sinks.Record{Kind: sinks.Event, ID: e.ID.String(), Data: e.AppendJSON(nil)}, record("a", 1, 1))
	same(t, "events", []string{"07000000000000000000000000000000 process_exec /bin/sh"}, names(srv, "events", "event_id", "kind", "name"))
	same(t, "timelines", []string{"a"}, names(srv, "timelines", "timeline_id"))
}

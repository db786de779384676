package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks/bigquery/bigquerytest"
)

// Tables are made, a recording is written to them twice, and they hold what
// `replay -o json` prints.
func TestBigQuery(t *testing.T) {
	srv, err := bigquerytest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	f := func(code int, want string, args ...string) {
		t.Helper()
		var out, errOut bytes.Buffer
		if got := run(t.Context(), args, strings.NewReader(""), &out, &errOut); got != code || !strings.Contains(out.String()+errOut.String(), want) {
			t.Fatalf("sennit %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), got, code, want, out.String(), errOut.String())
		}
	}
	sink := "bigquery:p.d?endpoint=" + srv.GRPC
	f(exitFailed, "sennit bigquery check p.d", "replay", "-o", "none", "--sink", sink, agents)
	f(exitFailed, "table steps is not there; 'sennit bigquery init' makes it", "bigquery", "check", "p.d", "--endpoint", srv.HTTP)
	f(exitOK, "created table steps\n", "bigquery", "init", "p.d", "--endpoint", srv.HTTP)
	f(exitOK, "as they should be", "bigquery", "check", "p.d", "--endpoint", srv.HTTP)
	for range 2 {
		f(exitOK, "", "replay", "-o", "none", "--rules", "../../deploy/rules", "--sink", sink, agents)
	}

	revisions, steps := map[string]int64{}, map[string]bool{} // what is wanted
	for line := range bytes.Lines(sennit(t, "replay", "-o", "json", agents)) {
		var tl timeline.Timeline
		if err := json.Unmarshal(line, &tl); err != nil {
			t.Fatal(err)
		}
		revisions[tl.ID] = int64(tl.Revision)
		for i := range tl.Steps {
			steps[tl.ID+"/"+tl.Steps[i].ID] = true
		}
	}
	got := map[string]int64{}
	for _, row := range srv.Rows("p.d.timelines") {
		got[row["timeline_id"].(string)] = row["revision"].(int64)
	}
	if diff := cmp.Diff(revisions, got); diff != "" {
		t.Errorf("revisions of timelines (-want +got):\n%s", diff)
	}
	current := map[string]bool{}
	for _, row := range srv.Rows("p.d.steps") {
		if id := fmt.Sprint(row["timeline_id"]); row["revision"] == revisions[id] {
			current[id+"/"+row["step_id"].(string)] = true
		}
	}
	if diff := cmp.Diff(steps, current); diff != "" {
		t.Errorf("steps at the last revisions (-want +got):\n%s", diff)
	}
	if n := len(srv.Rows("p.d.alerts")); n == 0 {
		t.Error("no alerts")
	}
}

package bigquery

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bq "google.golang.org/api/bigquery/v2"

	"github.com/sennit-io/sennit/schemas/tables"
	"github.com/sennit-io/sennit/sinks/bigquery/bigquerytest"
)

// What Init makes is what the committed SQL makes, and Check has nothing to say.
func TestInit(t *testing.T) {
	srv, err := bigquerytest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	o := Options{Project: "p", Dataset: "d", Endpoint: srv.HTTP}
	check := func(want ...string) {
		t.Helper()
		got, err := Check(t.Context(), o, Layout{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
	initial, err := Check(t.Context(), o, Layout{})
	if err != nil || len(initial) != len(tables.All)+len(tables.Views) {
		t.Errorf("before: %q (%v)", initial, err)
	}
	done, err := Init(t.Context(), o, Layout{Location: "EU"})
	if err != nil || len(done) != 1+len(tables.All)+len(tables.Views) || done[0] != "created dataset p.d" {
		t.Errorf("done: %q (%v)", done, err)
	}
	check()
	if done, err := Init(t.Context(), o, Layout{}); err != nil || len(done) > 0 {
		t.Errorf("done the second time: %q (%v)", done, err)
	}
	for _, table := range tables.All {
		m := srv.Table("p.d." + table.Name)
		sql := table.Create(tables.Options{Dataset: "p.d"})
		f := func(text string, is bool) {
			t.Helper()
			if strings.Contains(sql, text) != is {
				t.Errorf("%s: the table and its SQL do not agree about %q", table.Name, text)
			}
		}
		f("PARTITION BY "+m.TimePartitioning.Field+"\n", true)
		f("CLUSTER BY "+strings.Join(m.Clustering.Fields, ", ")+"\n", true)
		f("partition_expiration_days = 90", m.TimePartitioning.ExpirationMs == 90*24*3600*1000)
		f("require_partition_filter = TRUE", m.RequirePartitionFilter)
		f("max_staleness = INTERVAL 10 MINUTE", m.MaxStaleness == "0-0 0 0:10:0")
		f("PRIMARY KEY", m.TableConstraints != nil)
		for _, field := range m.Schema.Fields {
			f("\n  "+field.Name+" ", true)
		}
	}

	// An older version made the table, and somebody a view.
	steps := srv.Table("p.d.steps")
	cut := len(steps.Schema.Fields) - 1
	steps.Schema.Fields = steps.Schema.Fields[:cut]
	srv.Table("p.d.agent_latency").View.Query = "SELECT 1"
	check("table steps has no column event_ids; 'sennit bigquery init' adds it", "view agent_latency is another one; 'sennit bigquery init' replaces it")
	done, err = Init(t.Context(), o, Layout{})
	if diff := cmp.Diff([]string{"added column event_ids to table steps", "replaced view agent_latency"}, done); err != nil || diff != "" {
		t.Errorf("done (%v):\n%s", err, diff)
	}
	check()

	// What cannot be mended is named.
	timelines := srv.Table("p.d.timelines")
	timelines.TableConstraints = nil
	timelines.TimePartitioning = nil
	timelines.Schema.Fields[5].Mode = "REQUIRED"
	timelines.Schema.Fields[6].Type = "BYTES"
	timelines.Schema.Fields = append(timelines.Schema.Fields, &bq.TableFieldSchema{Name: "Team", Type: "STRING", Mode: "REQUIRED"}, &bq.TableFieldSchema{Name: "note", Type: "STRING"})
	check(
		"table timelines wants a value in column superseded_by, which may have none: ALTER COLUMN superseded_by DROP NOT NULL",
		"table timelines has the column trace_id as BYTES, not as STRING: move it away, or write to another dataset",
		"table timelines wants a value in column Team, which Sennit does not know: ALTER COLUMN Team DROP NOT NULL",
		"table timelines is not partitioned by date: queries read all of it",
		"table timelines has not the primary key (timeline_id), so rows cannot be replaced: ALTER TABLE ADD PRIMARY KEY (timeline_id) NOT ENFORCED",
	)
}

package tables

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"text/template"
)

// Engine is one that the SQL is for.
type Engine byte

// Engines.
const (
	BigQuery Engine = iota
	DuckDB
)

// Options of the SQL for BigQuery. The zero value of a number means its default.
type Options struct {
	Dataset    string // project.dataset
	ExpireDays int    // partitions are deleted after; DefaultExpireDays
	ViewDays   int    // how far back views look; DefaultViewDays
}

// Defaults of Options.
const (
	DefaultExpireDays = 90
	DefaultViewDays   = 30
)

// OpenHours is how long ago a request that is still open has begun at most: longer than
// any lasts, and than a sink may be behind. A row of one that is older is one that nobody
// replaces any more: its processor was killed, and the request closed under another id.
const OpenHours = 3

// StalenessMinutes is how far behind a query of a table with a key may be. Merging
// the changes that were not applied yet into each query's answer costs more.
const StalenessMinutes = 10

func (o *Options) days() (expire, view int) {
	if expire = o.ExpireDays; expire == 0 {
		expire = DefaultExpireDays
	}
	if view = o.ViewDays; view == 0 {
		view = min(DefaultViewDays, expire)
	}
	return expire, view
}

var bigQueryTypes = [...]string{
	String: "STRING", Integer: "INT64", Float: "FLOAT64", Bool: "BOOL", Timestamp: "TIMESTAMP", Date: "DATE", JSON: "JSON",
}

// Create is the statement that makes the table in BigQuery.
func (t *Table) Create(o Options) string {
	expire, _ := o.days()
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS `%s.%s` (\n", o.Dataset, t.Name)
	for i, c := range t.Columns {
		of := bigQueryTypes[c.Type]
		switch {
		case c.Repeated:
			of = "ARRAY<" + of + ">"
		case c.Required:
			of += " NOT NULL"
		}
		if c.Doc != "" {
			of += fmt.Sprintf(" OPTIONS (description = %q)", c.Doc)
		}
		end := ","
		if i == len(t.Columns)-1 && len(t.Key) == 0 {
			end = ""
		}
		fmt.Fprintf(&b, "  %s %s%s\n", c.Name, of, end)
	}
	if len(t.Key) > 0 {
		fmt.Fprintf(&b, "  PRIMARY KEY (%s) NOT ENFORCED\n", strings.Join(t.Key, ", "))
	}
	fmt.Fprintf(&b, ")\nPARTITION BY %s\nCLUSTER BY %s\nOPTIONS (\n  description = %q,\n", Day, strings.Join(t.Cluster, ", "), t.Doc)
	if len(t.Key) > 0 {
		fmt.Fprintf(&b, "  max_staleness = INTERVAL %d MINUTE,\n", StalenessMinutes)
	}
	fmt.Fprintf(&b, "  partition_expiration_days = %d,\n  require_partition_filter = TRUE\n);\n", expire)
	return b.String()
}

// View is a question that is asked often.
type View struct {
	Name, Doc, query string
}

//go:embed views
var viewFiles embed.FS

// viewNames is the order in which they can be made.
var viewNames = []string{
	"timelines_current", "steps_current", "alerts_current", "events_current",
	"agent_latency", "time_spent", "tokens_daily", "egress_destinations", "policy_denials",
	"processes_by_tool", "unexplained", "join_quality", "alert_funnel",
}

// Views are the views, those that others read first.
var Views = readViews()

func readViews() []View {
	var views []View
	for _, name := range viewNames {
		raw, err := fs.ReadFile(viewFiles, "views/"+name+".sql")
		if err != nil {
			panic(err) // it is embedded
		}
		var doc []string
		rest := string(raw)
		for strings.HasPrefix(rest, "-- ") {
			line, after, _ := strings.Cut(rest, "\n")
			doc, rest = append(doc, strings.TrimPrefix(line, "-- ")), after
		}
		views = append(views, View{name, strings.Join(doc, " "), strings.TrimSpace(rest)})
	}
	return views
}

// Create is the statement that makes the view.
func (v *View) Create(e Engine, o Options) string {
	if e == DuckDB {
		return fmt.Sprintf("CREATE OR REPLACE VIEW %s AS\n%s;\n", v.Name, v.Query(e, o))
	}
	return fmt.Sprintf("CREATE OR REPLACE VIEW `%s.%s`\nOPTIONS (description = %q) AS\n%s;\n", o.Dataset, v.Name, v.Doc, v.Query(e, o))
}

// Query is what the view asks. It is written once; these are the differences
// between the engines.
func (v *View) Query(e Engine, o Options) string {
	_, days := o.days()
	funcs := template.FuncMap{
		"from": func(name string) string {
			if e == BigQuery {
				return fmt.Sprintf("`%s.%s`", o.Dataset, name)
			}
			return name
		},
		// Tables of BigQuery want a filter on the partition.
		"recent": func(column string) string {
			if e == BigQuery {
				return fmt.Sprintf("%s >= DATE_SUB(CURRENT_DATE(), INTERVAL %d DAY)", column, days)
			}
			return "TRUE"
		},
		"open": func(column string) string { // begun so lately that it may be open
			if e == BigQuery {
				return fmt.Sprintf("%s >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL %d HOUR)", column, OpenHours)
			}
			return fmt.Sprintf("epoch_us(%s) >= epoch_us(get_current_timestamp()) - %d", column, OpenHours*3_600_000_000)
		},
		"percentile": func(p int, expr string) string {
			if e == BigQuery {
				return fmt.Sprintf("APPROX_QUANTILES(%s, 100)[OFFSET(%d)]", expr, p)
			}
			return fmt.Sprintf("QUANTILE_DISC(%s, %.2f)", expr, float64(p)/100)
		},
	}
	t := template.Must(template.New(v.Name).Funcs(funcs).Parse(v.query))
	var b strings.Builder
	if err := t.Execute(&b, nil); err != nil {
		panic(err) // a view names no data
	}
	return b.String()
}

// Placeholder is the dataset in the scripts of deploy/bigquery.
const Placeholder = "PROJECT.DATASET"

//go:generate go run ./gen ../../deploy/bigquery

// Scripts are the statements for BigQuery, by the name of their file.
func Scripts(o Options) map[string]string {
	var tables, views strings.Builder
	for _, t := range All {
		tables.WriteString(t.Create(o) + "\n")
	}
	for _, v := range Views {
		views.WriteString(v.Create(BigQuery, o) + "\n")
	}
	return map[string]string{
		"tables.sql": strings.TrimSuffix(tables.String(), "\n"),
		"views.sql":  strings.TrimSuffix(views.String(), "\n"),
	}
}

package bigquery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/bigquery"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/sennit-io/sennit/schemas/tables"
)

// Layout is how Init makes what is not there.
type Layout struct {
	Location   string // of the dataset; empty for BigQuery's default, US
	ExpireDays int    // partitions are deleted after; 0 for tables.DefaultExpireDays
	ViewDays   int    // how far back views look; 0 for tables.DefaultViewDays
}

func (l *Layout) sql(o *Options) tables.Options {
	return tables.Options{Dataset: o.dataset(), ExpireDays: l.ExpireDays, ViewDays: l.ViewDays}
}

// Init makes the dataset, tables and views that are not there, adds columns that
// tables of an older version do not have, and gives views their present query. It
// returns what it did. What it cannot mend it leaves, as Check tells.
func Init(ctx context.Context, o Options, l Layout) (done []string, err error) {
	a, err := connect(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer a.client.Close()
	if _, err := a.dataset.Metadata(ctx); missing(err) {
		if err := a.dataset.Create(ctx, &bigquery.DatasetMetadata{Location: l.Location}); err != nil {
			return nil, fmt.Errorf("create dataset %s: %w", o.dataset(), err)
		}
		done = append(done, "created dataset "+o.dataset())
	} else if err != nil {
		return nil, fmt.Errorf("read dataset %s: %w", o.dataset(), err)
	}
	for _, t := range tables.All {
		what, err := a.initTable(ctx, t, l)
		if err != nil {
			return done, err
		}
		done = append(done, what...)
	}
	for i := range tables.Views {
		what, err := a.initView(ctx, &tables.Views[i], l.sql(&o))
		if err != nil {
			return done, err
		}
		done = append(done, what...)
	}
	return done, nil
}

// Check returns what does not fit and what to do about it. It changes nothing.
func Check(ctx context.Context, o Options, l Layout) (problems []string, err error) {
	a, err := connect(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer a.client.Close()
	for _, t := range tables.All {
		m, err := a.dataset.Table(t.Name).Metadata(ctx)
		switch {
		case missing(err):
			problems = append(problems, fmt.Sprintf("table %s is not there; 'sennit bigquery init' makes it", t.Name))
			continue
		case err != nil:
			return nil, fmt.Errorf("read table %s: %w", t.Name, err)
		}
		lacks, wrong := compare(m, t)
		for _, f := range lacks {
			problems = append(problems, fmt.Sprintf("table %s has no column %s; 'sennit bigquery init' adds it", t.Name, f.Name))
		}
		problems = append(problems, wrong...)
	}
	for i := range tables.Views {
		v := &tables.Views[i]
		m, err := a.dataset.Table(v.Name).Metadata(ctx)
		switch {
		case missing(err):
			problems = append(problems, fmt.Sprintf("view %s is not there; 'sennit bigquery init' makes it", v.Name))
		case err != nil:
			return nil, fmt.Errorf("read view %s: %w", v.Name, err)
		case m.ViewQuery != v.Query(tables.BigQuery, l.sql(&o)):
			problems = append(problems, fmt.Sprintf("view %s is another one; 'sennit bigquery init' replaces it", v.Name))
		}
	}
	return problems, nil
}

// admin makes and reads tables.
type admin struct {
	client  *bigquery.Client
	dataset *bigquery.Dataset
}

func connect(ctx context.Context, o *Options) (*admin, error) {
	clientOptions := o.credentials()
	if o.Endpoint != "" {
		clientOptions = []option.ClientOption{option.WithEndpoint(o.Endpoint), option.WithoutAuthentication()}
	}
	client, err := bigquery.NewClient(ctx, o.Project, clientOptions...)
	if err != nil {
		return nil, fmt.Errorf("open BigQuery: %w", err)
	}
	return &admin{client, client.DatasetInProject(o.Project, o.Dataset)}, nil
}

func missing(err error) bool {
	var e *googleapi.Error
	return errors.As(err, &e) && e.Code == http.StatusNotFound
}

func (a *admin) initTable(ctx context.Context, t *tables.Table, l Layout) (done []string, err error) {
	table := a.dataset.Table(t.Name)
	m, err := table.Metadata(ctx)
	if missing(err) {
		if err := table.Create(ctx, metadata(t, l)); err != nil {
			return nil, fmt.Errorf("create table %s: %w", t.Name, err)
		}
		return []string{"created table " + t.Name}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", t.Name, err)
	}
	lacks, _ := compare(m, t)
	if len(lacks) == 0 {
		return nil, nil
	}
	for _, f := range lacks {
		f.Required = false // of a table with rows none can be
		done = append(done, fmt.Sprintf("added column %s to table %s", f.Name, t.Name))
	}
	if _, err := table.Update(ctx, bigquery.TableMetadataToUpdate{Schema: append(m.Schema, lacks...)}, m.ETag); err != nil {
		return nil, fmt.Errorf("add columns to table %s: %w", t.Name, err)
	}
	return done, nil
}

func (a *admin) initView(ctx context.Context, v *tables.View, o tables.Options) ([]string, error) {
	view, query := a.dataset.Table(v.Name), v.Query(tables.BigQuery, o)
	m, err := view.Metadata(ctx)
	switch {
	case missing(err):
		if err := view.Create(ctx, &bigquery.TableMetadata{Description: v.Doc, ViewQuery: query}); err != nil {
			return nil, fmt.Errorf("create view %s: %w", v.Name, err)
		}
		return []string{"created view " + v.Name}, nil
	case err != nil:
		return nil, fmt.Errorf("read view %s: %w", v.Name, err)
	case m.ViewQuery == query:
		return nil, nil
	}
	if _, err := view.Update(ctx, bigquery.TableMetadataToUpdate{Description: v.Doc, ViewQuery: query}, m.ETag); err != nil {
		return nil, fmt.Errorf("replace view %s: %w", v.Name, err)
	}
	return []string{"replaced view " + v.Name}, nil
}

var fieldTypes = [...]bigquery.FieldType{
	tables.String: bigquery.StringFieldType, tables.Integer: bigquery.IntegerFieldType, tables.Float: bigquery.FloatFieldType,
	tables.Bool: bigquery.BooleanFieldType, tables.Timestamp: bigquery.TimestampFieldType, tables.Date: bigquery.DateFieldType,
	tables.JSON: bigquery.JSONFieldType,
}

func fieldOf(c *tables.Column) *bigquery.FieldSchema {
	return &bigquery.FieldSchema{Name: c.Name, Description: c.Doc, Type: fieldTypes[c.Type], Repeated: c.Repeated, Required: c.Required}
}

// metadata is what tables.Table.Create says in SQL.
func metadata(t *tables.Table, l Layout) *bigquery.TableMetadata {
	expire := l.ExpireDays
	if expire == 0 {
		expire = tables.DefaultExpireDays
	}
	m := &bigquery.TableMetadata{
		Description:            t.Doc,
		TimePartitioning:       &bigquery.TimePartitioning{Type: bigquery.DayPartitioningType, Field: tables.Day, Expiration: time.Duration(expire) * 24 * time.Hour},
		RequirePartitionFilter: true,
		Clustering:             &bigquery.Clustering{Fields: t.Cluster},
	}
	for i := range t.Columns {
		m.Schema = append(m.Schema, fieldOf(&t.Columns[i]))
	}
	if len(t.Key) > 0 {
		m.TableConstraints = &bigquery.TableConstraints{PrimaryKey: &bigquery.PrimaryKey{Columns: t.Key}}
		m.MaxStaleness = &bigquery.IntervalValue{Minutes: tables.StalenessMinutes}
	}
	return m
}

// compare returns the columns that a table lacks, and what else is wrong with it.
// How long rows are kept, and what they are clustered by, is its owner's affair.
func compare(m *bigquery.TableMetadata, t *tables.Table) (lacks bigquery.Schema, wrong []string) {
	problem := func(format string, args ...any) {
		wrong = append(wrong, "table "+t.Name+" "+fmt.Sprintf(format, args...))
	}
	there := map[string]*bigquery.FieldSchema{}
	for _, f := range m.Schema {
		there[strings.ToLower(f.Name)] = f
	}
	for i := range t.Columns {
		want := fieldOf(&t.Columns[i])
		got := there[want.Name]
		switch {
		case got == nil:
			lacks = append(lacks, want)
		case got.Type != want.Type || got.Repeated != want.Repeated:
			problem("has the column %s as %s, not as %s: move it away, or write to another dataset", want.Name, kind(got), kind(want))
		case got.Required && !want.Required:
			problem("wants a value in column %s, which may have none: ALTER COLUMN %s DROP NOT NULL", want.Name, want.Name)
		}
		delete(there, want.Name)
	}
	for _, f := range m.Schema {
		if f.Required && there[strings.ToLower(f.Name)] != nil {
			problem("wants a value in column %s, which Sennit does not know: ALTER COLUMN %s DROP NOT NULL", f.Name, f.Name)
		}
	}
	if p := m.TimePartitioning; p == nil || p.Field != tables.Day {
		problem("is not partitioned by %s: queries read all of it", tables.Day)
	}
	if len(t.Key) > 0 {
		if c := m.TableConstraints; c == nil || c.PrimaryKey == nil || !slices.Equal(c.PrimaryKey.Columns, t.Key) {
			problem("has not the primary key (%s), so rows cannot be replaced: ALTER TABLE ADD PRIMARY KEY (%s) NOT ENFORCED",
				strings.Join(t.Key, ", "), strings.Join(t.Key, ", "))
		}
	}
	return lacks, wrong
}

func kind(f *bigquery.FieldSchema) string {
	if f.Repeated {
		return "a list of " + string(f.Type)
	}
	return string(f.Type)
}

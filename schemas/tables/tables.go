package tables

import "iter"

// Type of a column.
type Type byte

// Types. What is 64 bits without a sign and is no count (a socket cookie) is a
// String, since BigQuery's integers have a sign.
const (
	String Type = iota
	Integer
	Float
	Bool
	Timestamp // microseconds since the Unix epoch
	Date      // days since the Unix epoch
	JSON
)

// Column of a table.
type Column struct {
	Name     string
	Type     Type
	Repeated bool // a list of strings
	Required bool // never NULL
	Doc      string
}

// Table is a table of results.
type Table struct {
	Name, Doc string
	Columns   []Column
	Key       []string // one row a key, a later one in its place; none: rows are only added
	Cluster   []string // at most four
}

// Day is the column that tables are partitioned by: the day of the event, UTC.
const Day = "date"

// All are the tables.
var All = []*Table{&Timelines, &Steps, &Alerts, &Events}

// Index is the place of a column.
func (t *Table) Index(name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	panic("table " + t.Name + " has no column " + name)
}

// Row has the values of a row in the order of the columns.
type Row []Value

// Value is one value, NULL unless Set. Which field counts follows from the type.
type Value struct {
	Set  bool
	Num  int64 // Integer, Timestamp, Date; Bool as 0 and 1
	Real float64
	Str  string // String, JSON
	List []string
}

// Rows gives rows with the tables they belong to. A row, its strings too, holds until
// the next one.
type Rows = iter.Seq2[*Table, Row]

// source is a column together with how its value comes from S.
type source[S any] struct {
	Column
	of func(*S) Value
}

// columns returns the columns of sources.
func columns[S any](from []source[S]) []Column {
	list := make([]Column, len(from))
	for i := range from {
		list[i] = from[i].Column
	}
	return list
}

// fill gives the values of one row.
func fill[S any](row Row, from []source[S], s *S) Row {
	row = row[:0]
	for i := range from {
		row = append(row, from[i].of(s))
	}
	return row
}

// must, one and many make columns that are never NULL, that may be, and lists.

func must(name string, of Type, doc string) Column {
	return Column{Name: name, Type: of, Required: true, Doc: doc}
}

func one(name string, of Type, doc string) Column { return Column{Name: name, Type: of, Doc: doc} }

func many(name, doc string) Column { return Column{Name: name, Repeated: true, Doc: doc} }

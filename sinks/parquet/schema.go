package parquet

import (
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/sennit-io/sennit/schemas/tables"
)

// schemas of the tables. The day is in the path as well: readers that do not know
// about paths have it too.
var schemas = func() map[*tables.Table]*parquet.Schema {
	m := map[*tables.Table]*parquet.Schema{}
	for _, t := range tables.All {
		m[t] = schemaOf(t)
	}
	return m
}()

// ordered is a group whose fields are in the order of the table, where
// parquet.Group has them in that of their names.
type ordered struct {
	parquet.Group
	fields []parquet.Field
}

func (o ordered) Fields() []parquet.Field { return o.fields }

func schemaOf(t *tables.Table) *parquet.Schema {
	group := parquet.Group{}
	for _, c := range t.Columns {
		node := nodeOf(c)
		switch {
		case c.Repeated:
			node = parquet.Repeated(node)
		case !c.Required:
			node = parquet.Optional(node)
		}
		group[c.Name] = node
	}
	o := ordered{Group: group, fields: make([]parquet.Field, len(t.Columns))}
	for _, f := range group.Fields() {
		o.fields[t.Index(f.Name())] = f
	}
	return parquet.NewSchema(t.Name, o)
}

func nodeOf(c tables.Column) parquet.Node {
	switch c.Type {
	case tables.Integer:
		return parquet.Int(64)
	case tables.Float:
		return parquet.Leaf(parquet.DoubleType)
	case tables.Bool:
		return parquet.Leaf(parquet.BooleanType)
	case tables.Timestamp:
		return parquet.Timestamp(parquet.Microsecond)
	case tables.Date:
		return parquet.Date()
	case tables.JSON:
		return parquet.JSON()
	}
	if c.Repeated || strings.HasSuffix(c.Name, "_id") {
		return parquet.String()
	}
	return parquet.Encoded(parquet.String(), &parquet.RLEDictionary) // names, of which there are few
}

// appendRow appends a row in Parquet's form.
func appendRow(out parquet.Row, t *tables.Table, row tables.Row) parquet.Row {
	for i := range t.Columns {
		c, v := &t.Columns[i], &row[i]
		switch {
		case c.Required:
			out = append(out, valueOf(c, v).Level(0, 0, i))
		case !v.Set:
			out = append(out, parquet.NullValue().Level(0, 0, i))
		case c.Repeated:
			for k, s := range v.List {
				out = append(out, parquet.ByteArrayValue([]byte(s)).Level(min(k, 1), 1, i))
			}
		default:
			out = append(out, valueOf(c, v).Level(0, 1, i))
		}
	}
	return out
}

func valueOf(c *tables.Column, v *tables.Value) parquet.Value {
	switch c.Type {
	case tables.Integer, tables.Timestamp:
		return parquet.Int64Value(v.Num)
	case tables.Date:
		return parquet.Int32Value(int32(v.Num))
	case tables.Bool:
		return parquet.BooleanValue(v.Num == 1)
	case tables.Float:
		return parquet.DoubleValue(v.Real)
	}
	return parquet.ByteArrayValue([]byte(v.Str))
}

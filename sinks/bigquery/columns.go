package bigquery

import (
	"slices"
	"strings"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/protobuf/types/descriptorpb"
)

// fit finds out which columns the table has. One that an older version made lacks
// some: rows are written without them, until somebody adds them. Without one that is
// never NULL nothing can be written, which the next call says.
func (w *writer) fit(parent string) error {
	s, err := w.sink.client.GetWriteStream(w.sink.ctx, &storagepb.GetWriteStreamRequest{
		Name: parent + "/streams/_default", View: storagepb.WriteStreamView_FULL,
	})
	if err != nil {
		return err
	}
	if s.GetTableSchema() == nil {
		return nil
	}
	has := columnsOf(s.GetTableSchema())
	var lacks []string
	for _, c := range w.table.Columns {
		// What it has had once it has, whatever another server knows by now: rows may
		// have been made with it.
		if !c.Required && !has[c.Name] && (!w.fitted || slices.Contains(w.lacks, c.Name)) {
			lacks = append(lacks, c.Name)
		}
	}
	if len(lacks) > 0 && !slices.Equal(lacks, w.lacks) {
		w.sink.opts.Log.Warn("the table is of an older version: rows are written without some columns until 'sennit bigquery init' has added them",
			"table", w.table.Name, "columns", strings.Join(lacks, ","))
	}
	w.lacks, w.fitted = lacks, true
	return nil
}

// columnsOf are the names of columns, which BigQuery does not tell apart by upper and lower case.
func columnsOf(s *storagepb.TableSchema) map[string]bool {
	has := make(map[string]bool, len(s.GetFields()))
	for _, f := range s.GetFields() {
		has[strings.ToLower(f.GetName())] = true
	}
	return has
}

// grown reports whether an answer says that the table has got a column that it
// lacked. The rows that follow go over a new connection, with a descriptor that names
// it: a connection keeps the one that it began with.
func (w *writer) grown(updated *storagepb.TableSchema) bool {
	if len(w.lacks) == 0 || updated == nil {
		return false
	}
	has := columnsOf(updated)
	before := len(w.lacks)
	if w.lacks = slices.DeleteFunc(w.lacks, func(name string) bool { return has[name] }); len(w.lacks) == before {
		return false
	}
	w.sink.opts.Log.Info("the table has got columns", "table", w.table.Name)
	return true
}

// descriptor is that of the table's rows without the columns that it lacks.
func (w *writer) descriptor() *descriptorpb.DescriptorProto {
	d := w.table.Descriptor()
	d.Field = slices.DeleteFunc(d.Field, func(f *descriptorpb.FieldDescriptorProto) bool { return slices.Contains(w.lacks, f.GetName()) })
	return d
}

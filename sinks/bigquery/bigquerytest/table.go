package bigquerytest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Row is a row by its columns; what is NULL is not there.
type Row map[string]any

// table is one table with its rows.
type table struct {
	meta    *bq.Table
	rows    []Row
	changes map[string]change // by key, where the table has one
	version int               // rises with each change of the schema
}

// change is the last that happened to a key.
type change struct {
	sequence []uint64
	row      Row // nil: deleted
}

func (t *table) key() []string {
	if t.meta.TableConstraints == nil || t.meta.TableConstraints.PrimaryKey == nil {
		return nil
	}
	return t.meta.TableConstraints.PrimaryKey.Columns
}

func (t *table) current() []Row {
	rows := slices.Clone(t.rows)
	for _, key := range slices.Sorted(maps.Keys(t.changes)) {
		if c := t.changes[key]; c.row != nil {
			rows = append(rows, c.row)
		}
	}
	return rows
}

// schema is how the Storage Write API describes the columns.
func (t *table) schema() *storagepb.TableSchema {
	s := &storagepb.TableSchema{}
	for _, f := range t.meta.Schema.Fields {
		s.Fields = append(s.Fields, &storagepb.TableFieldSchema{Name: f.Name})
	}
	return s
}

// fields by name; BigQuery's names do not tell upper from lower case.
func (t *table) fields() map[string]*bq.TableFieldSchema {
	m := map[string]*bq.TableFieldSchema{}
	for _, f := range t.meta.Schema.Fields {
		m[strings.ToLower(f.Name)] = f
	}
	return m
}

const (
	changeType     = "_CHANGE_TYPE"
	changeSequence = "_CHANGE_SEQUENCE_NUMBER"
)

// reads says which kinds of protobuf a column can be written as.
var reads = map[string][]protoreflect.Kind{
	"STRING": {protoreflect.StringKind}, "JSON": {protoreflect.StringKind},
	"INTEGER": {protoreflect.Int64Kind, protoreflect.Int32Kind}, "TIMESTAMP": {protoreflect.Int64Kind},
	"FLOAT": {protoreflect.DoubleKind}, "BOOLEAN": {protoreflect.BoolKind}, "DATE": {protoreflect.Int32Kind},
}

// reader reads rows of one writer.
type reader struct {
	message protoreflect.MessageDescriptor
}

// newReader checks what a writer says its rows are against the table.
func (t *table) newReader(d *descriptorpb.DescriptorProto, isDefault bool) (*reader, error) {
	if d == nil {
		return nil, fmt.Errorf("the first request of a connection has no writer schema")
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("writer.proto"), Syntax: proto.String("proto2"), MessageType: []*descriptorpb.DescriptorProto{d},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("writer schema: %w", err)
	}
	m := file.Messages().Get(0)
	columns := t.fields()
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		name := string(f.Name())
		if name == changeType || name == changeSequence {
			if !isDefault || len(t.key()) == 0 {
				return nil, fmt.Errorf("%s is for the default stream of a table with a primary key", name)
			}
			continue
		}
		c := columns[strings.ToLower(name)]
		if c == nil {
			return nil, fmt.Errorf("the input schema has more fields than the table schema: %s", name)
		}
		if !slices.Contains(reads[c.Type], f.Kind()) || f.IsList() != (c.Mode == "REPEATED") {
			return nil, fmt.Errorf("%s is %s and cannot be written as %s", name, c.Type, f.Kind())
		}
		delete(columns, strings.ToLower(name))
	}
	for _, c := range columns {
		if c.Mode == "REQUIRED" {
			return nil, fmt.Errorf("the required field %s is missing", c.Name)
		}
	}
	return &reader{m}, nil
}

// read reads one row.
func (r *reader) read(b []byte) (Row, error) {
	m := dynamicpb.NewMessage(r.message)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, err
	}
	row := Row{}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.IsList() {
			var list []string
			for i := range v.List().Len() {
				list = append(list, v.List().Get(i).String())
			}
			row[string(f.Name())] = list
			return true
		}
		row[string(f.Name())] = v.Interface()
		return true
	})
	return row, nil
}

// add appends rows, or applies them as changes where they are.
func (t *table) add(rows []Row) {
	for _, row := range rows {
		kind, is := row[changeType]
		if !is {
			t.rows = append(t.rows, row)
			continue
		}
		sequence, _ := sequenceOf(row)
		delete(row, changeType)
		delete(row, changeSequence)
		var key strings.Builder
		for _, name := range t.key() {
			fmt.Fprintf(&key, "%v\x00", row[name])
		}
		// Of two changes the one of the higher number holds, whatever came last.
		if before, ok := t.changes[key.String()]; ok && slices.Compare(sequence, before.sequence) < 0 {
			continue
		}
		if kind == "DELETE" {
			row = nil
		}
		t.changes[key.String()] = change{sequence, row}
	}
}

// check says what is wrong with a row.
func check(row Row) error {
	kind, is := row[changeType]
	if !is {
		if _, is = row[changeSequence]; is {
			return fmt.Errorf("%s without %s", changeSequence, changeType)
		}
		return nil
	}
	if kind != "UPSERT" && kind != "DELETE" {
		return fmt.Errorf("%s is %q", changeType, kind)
	}
	_, err := sequenceOf(row)
	return err
}

// sequenceOf reads up to four hexadecimal sections of up to 16 digits.
func sequenceOf(row Row) ([]uint64, error) {
	text, is := row[changeSequence].(string)
	if !is {
		return nil, nil
	}
	var sequence []uint64
	for part := range strings.SplitSeq(text, "/") {
		n, err := strconv.ParseUint(part, 16, 64)
		if err != nil || len(part) > 16 {
			return nil, fmt.Errorf("%s is %q", changeSequence, text)
		}
		sequence = append(sequence, n)
	}
	if len(sequence) > 4 {
		return nil, fmt.Errorf("%s has %d sections, 4 are allowed", changeSequence, len(sequence))
	}
	return sequence, nil
}

package tables

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The pseudo-columns of BigQuery's change data capture, and their numbers, far
// behind those of the columns.
const (
	ChangeType     = "_CHANGE_TYPE"
	ChangeSequence = "_CHANGE_SEQUENCE_NUMBER"

	changeTypeNumber     = 10001
	changeSequenceNumber = 10002
)

// Descriptor describes a row as BigQuery's Storage Write API wants it: proto2, a
// column's number is its place from 1, all optional but for the required ones. A
// table with a key has the pseudo-columns too.
func (t *Table) Descriptor() *descriptorpb.DescriptorProto {
	d := &descriptorpb.DescriptorProto{Name: proto.String("Row_" + t.Name)}
	add := func(name string, number int, of descriptorpb.FieldDescriptorProto_Type, label descriptorpb.FieldDescriptorProto_Label) {
		d.Field = append(d.Field, &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: proto.Int32(int32(number)), Type: of.Enum(), Label: label.Enum(),
		})
	}
	for i, c := range t.Columns {
		label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		switch {
		case c.Repeated:
			label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		case c.Required:
			label = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED
		}
		add(c.Name, i+1, protoTypes[c.Type], label)
	}
	if len(t.Key) > 0 {
		for i, name := range []string{ChangeType, ChangeSequence} {
			add(name, changeTypeNumber+i, descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL)
		}
	}
	return d
}

var protoTypes = [...]descriptorpb.FieldDescriptorProto_Type{
	String: descriptorpb.FieldDescriptorProto_TYPE_STRING, JSON: descriptorpb.FieldDescriptorProto_TYPE_STRING,
	Integer: descriptorpb.FieldDescriptorProto_TYPE_INT64, Timestamp: descriptorpb.FieldDescriptorProto_TYPE_INT64,
	Float: descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, Bool: descriptorpb.FieldDescriptorProto_TYPE_BOOL,
	Date: descriptorpb.FieldDescriptorProto_TYPE_INT32,
}

// AppendProto appends a row in the form that Descriptor describes. It does not
// allocate when b has room.
func (t *Table) AppendProto(b []byte, row Row) []byte {
	for i := range t.Columns {
		v, number := &row[i], protowire.Number(i+1)
		switch {
		case !v.Set:
		case t.Columns[i].Repeated:
			for _, s := range v.List {
				b = appendText(b, number, s)
			}
		case t.Columns[i].Type == String, t.Columns[i].Type == JSON:
			b = appendText(b, number, v.Str)
		case t.Columns[i].Type == Float:
			b = protowire.AppendFixed64(protowire.AppendTag(b, number, protowire.Fixed64Type), math.Float64bits(v.Real))
		default:
			b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(v.Num))
		}
	}
	return b
}

// AppendChange appends the pseudo-columns: UPSERT or DELETE, and the sequence
// number in hexadecimal sections.
func AppendChange(b []byte, kind, sequence string) []byte {
	return appendText(appendText(b, changeTypeNumber, kind), changeSequenceNumber, sequence)
}

func appendText(b []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

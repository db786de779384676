package bigquerytest

import (
	"context"
	"strings"
	"testing"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"cloud.google.com/go/bigquery/storage/managedwriter"
	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The server holds what the documents of the Storage Write API say, seen through
// Google's own client.

const parent = "projects/p/datasets/d/tables/t"

func start(t *testing.T, key ...string) (*Server, *managedwriter.Client) {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	meta := &bq.Table{Schema: &bq.TableSchema{Fields: []*bq.TableFieldSchema{{Name: "id", Type: "STRING", Mode: "REQUIRED"}, {Name: "n", Type: "INTEGER"}}}}
	if len(key) > 0 {
		meta.TableConstraints = &bq.TableConstraints{PrimaryKey: &bq.TableConstraintsPrimaryKey{Columns: key}}
	}
	s.tables["p.d.t"] = &table{meta: meta, changes: map[string]change{}}
	c, err := managedwriter.NewClient(t.Context(), "p", option.WithEndpoint(s.GRPC), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c
}

// fields makes a descriptor of names, all texts but n.
func fields(names ...string) *descriptorpb.DescriptorProto {
	d := &descriptorpb.DescriptorProto{Name: proto.String("Row")}
	for i, name := range names {
		kind := descriptorpb.FieldDescriptorProto_TYPE_STRING
		if name == "n" {
			kind = descriptorpb.FieldDescriptorProto_TYPE_INT64
		}
		d.Field = append(d.Field, &descriptorpb.FieldDescriptorProto{
			Name: proto.String(name), Number: proto.Int32(int32(i + 1)), Type: kind.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		})
	}
	return d
}

// row has texts for the first fields.
func row(values ...string) (b []byte) {
	for i, v := range values {
		b = protowire.AppendString(protowire.AppendTag(b, protowire.Number(i+1), protowire.BytesType), v)
	}
	return b
}

func writer(t *testing.T, c *managedwriter.Client, kind managedwriter.StreamType, d *descriptorpb.DescriptorProto) *managedwriter.ManagedStream {
	t.Helper()
	s, err := c.NewManagedStream(t.Context(), managedwriter.WithDestinationTable(parent), managedwriter.WithType(kind), managedwriter.WithSchemaDescriptor(d))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// appended is what becomes of an append.
func appended(t *testing.T, s *managedwriter.ManagedStream, rows [][]byte, options ...managedwriter.AppendOption) (*storagepb.AppendRowsResponse, error) {
	t.Helper()
	r, err := s.AppendRows(t.Context(), rows, options...)
	if err != nil {
		return nil, err
	}
	return r.FullResponse(t.Context())
}

func TestOffsets(t *testing.T) {
	srv, c := start(t)
	for _, kind := range []managedwriter.StreamType{managedwriter.CommittedStream, managedwriter.PendingStream} {
		s := writer(t, c, kind, fields("id"))
		f := func(offset int64, rows int, want codes.Code) {
			t.Helper()
			var list [][]byte
			for range rows {
				list = append(list, row("a"))
			}
			if _, err := appended(t, s, list, managedwriter.WithOffset(offset)); status.Code(err) != want {
				t.Errorf("%s: offset %d: %v, want %s", kind, offset, err, want)
			}
		}
		f(0, 2, codes.OK)
		f(0, 2, codes.AlreadyExists)
		f(1, 1, codes.AlreadyExists)
		f(3, 1, codes.OutOfRange)
		f(2, 1, codes.OK)
		if n, err := s.Finalize(t.Context()); n != 3 || err != nil {
			t.Errorf("%s: finalized with %d rows (%v), want 3", kind, n, err)
		}
		f(3, 1, codes.InvalidArgument)
	}
	if n := len(srv.Rows("p.d.t")); n != 3 {
		t.Errorf("%d rows, want the 3 of the committed stream", n)
	}
}

func TestPendingStreams(t *testing.T) {
	srv, c := start(t)
	a, b := writer(t, c, managedwriter.PendingStream, fields("id")), writer(t, c, managedwriter.PendingStream, fields("id"))
	for _, s := range []*managedwriter.ManagedStream{a, b} {
		if _, err := appended(t, s, [][]byte{row("x")}); err != nil {
			t.Fatal(err)
		}
	}
	commit := func() []*storagepb.StorageError {
		t.Helper()
		r, err := c.BatchCommitWriteStreams(t.Context(), &storagepb.BatchCommitWriteStreamsRequest{Parent: parent, WriteStreams: []string{a.StreamName(), b.StreamName()}})
		if err != nil {
			t.Fatal(err)
		}
		return r.StreamErrors
	}
	finalize := func(s *managedwriter.ManagedStream) {
		if _, err := s.Finalize(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	finalize(a)
	if e := commit(); len(e) != 1 || e[0].Entity != b.StreamName() || len(srv.Rows("p.d.t")) != 0 {
		t.Errorf("one that is not finalized keeps all back: %v, %v", e, srv.Rows("p.d.t"))
	}
	finalize(b)
	if e := commit(); len(e) != 0 || len(srv.Rows("p.d.t")) != 2 {
		t.Errorf("commit: %v, %v", e, srv.Rows("p.d.t"))
	}
	if e := commit(); len(e) != 2 || len(srv.Rows("p.d.t")) != 2 {
		t.Errorf("commit again: %v, %v", e, srv.Rows("p.d.t"))
	}
}

func TestChanges(t *testing.T) {
	srv, c := start(t, "id")
	s := writer(t, c, managedwriter.DefaultStream, fields("id", changeType, changeSequence))
	f := func(id, kind, sequence string, want codes.Code, ids string) {
		t.Helper()
		if _, err := appended(t, s, [][]byte{row(id, kind, sequence)}); status.Code(err) != want {
			t.Errorf("%s %s %s: %v, want %s", kind, id, sequence, err, want)
		}
		var got []string
		for _, row := range srv.Rows("p.d.t") {
			got = append(got, row["id"].(string))
		}
		if strings.Join(got, " ") != ids {
			t.Errorf("after %s %s %s there are %q, want %q", kind, id, sequence, got, ids)
		}
	}
	f("a", "UPSERT", "0/1/0", codes.OK, "a")
	f("a", "UPSERT", "0/2/0", codes.OK, "a")
	f("a", "DELETE", "0/1/ff", codes.OK, "a") // late
	f("b", "UPSERT", "9", codes.OK, "a b")
	f("b", "DELETE", "10", codes.OK, "a") // hexadecimal, and by its value
	f("b", "UPSERT", "f/ff", codes.OK, "a")
	f("a", "INSERT", "1", codes.InvalidArgument, "a")
	f("a", "UPSERT", "x", codes.InvalidArgument, "a")
	f("a", "UPSERT", "1/2/3/4/5", codes.InvalidArgument, "a")
}

// What a writer says its rows are has to fit the table and the stream.
func TestSchemas(t *testing.T) {
	f := func(kind managedwriter.StreamType, key bool, ok bool, names ...string) {
		t.Helper()
		var keys []string
		if key {
			keys = []string{"id"}
		}
		srv, c := start(t, keys...)
		_, err := appended(t, writer(t, c, kind, fields(names...)), [][]byte{row("a")})
		if (err == nil) != ok || err != nil && status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s of %v, key %t: %v", kind, names, key, err)
		}
		if n := len(srv.Rows("p.d.t")); (n == 1) != ok {
			t.Errorf("%s of %v, key %t: %d rows", kind, names, key, n)
		}
	}
	f(managedwriter.DefaultStream, false, true, "id")
	f(managedwriter.DefaultStream, false, true, "ID")
	f(managedwriter.DefaultStream, false, false, "id", "other")
	f(managedwriter.DefaultStream, false, false, "n") // id is required
	f(managedwriter.DefaultStream, false, false, "id", changeType)
	f(managedwriter.CommittedStream, true, false, "id", changeType)
}

func TestBadRowsAndLargeRequests(t *testing.T) {
	srv, c := start(t)
	s := writer(t, c, managedwriter.DefaultStream, fields("id"))
	answer, err := appended(t, s, [][]byte{row("a"), {0xff}, row("b")})
	if bad := answer.GetRowErrors(); status.Code(err) != codes.InvalidArgument || len(bad) != 1 || bad[0].Index != 1 || len(srv.Rows("p.d.t")) != 0 {
		t.Errorf("a bad row among good ones: %v, %v, and there are %v", err, bad, srv.Rows("p.d.t"))
	}
	if _, err := appended(t, s, [][]byte{row(strings.Repeat("x", MaxRequest))}); status.Code(err) != codes.InvalidArgument || len(srv.Rows("p.d.t")) != 0 {
		t.Errorf("a request that is too large: %v", err)
	}
	if _, err := appended(t, s, [][]byte{row("a")}); err != nil || len(srv.Rows("p.d.t")) != 1 {
		t.Errorf("after those: %v", err)
	}
}

// A writer is told of new columns with its next answer, once.
func TestUpdatedSchema(t *testing.T) {
	srv, c := start(t)
	s := writer(t, c, managedwriter.DefaultStream, fields("id"))
	f := func(columns int) {
		t.Helper()
		answer, err := appended(t, s, [][]byte{row("a")})
		if n := len(answer.GetUpdatedSchema().GetFields()); err != nil || n != columns {
			t.Errorf("told of %d columns (%v), want %d", n, err, columns)
		}
	}
	f(0)
	srv.mu.Lock()
	added := srv.tables["p.d.t"]
	added.meta.Schema.Fields = append(added.meta.Schema.Fields, &bq.TableFieldSchema{Name: "new", Type: "STRING"})
	added.version++
	srv.mu.Unlock()
	f(3)
	f(0)
}

// The crash between append and answer: the rows are there, and nobody knows.
func TestFaults(t *testing.T) {
	srv, c := start(t)
	f := func(fault Fault, want codes.Code, rows int) {
		t.Helper()
		struck := false
		srv.SetFault(func(string, int) Fault {
			if struck {
				return Fault{}
			}
			struck = true
			return fault
		})
		s := writer(t, c, managedwriter.DefaultStream, fields("id"))
		if _, err := appended(t, s, [][]byte{row("a")}); status.Code(err) != want {
			t.Errorf("%v: %v, want %s", fault, err, want)
		}
		if n := len(srv.Rows("p.d.t")); n != rows {
			t.Errorf("%v: %d rows, want %d", fault, n, rows)
		}
		_ = s.Close()
	}
	f(Fault{}, codes.OK, 1)
	f(Fault{Code: codes.ResourceExhausted}, codes.ResourceExhausted, 1)
	f(Fault{Reset: true}, codes.Unavailable, 1)
	f(Fault{Code: codes.Aborted, Reset: true}, codes.Aborted, 1)
	f(Fault{After: true}, codes.Unavailable, 2)
	if _, err := c.NewManagedStream(context.Background(), managedwriter.WithDestinationTable("projects/p/datasets/d/tables/none"),
		managedwriter.WithType(managedwriter.DefaultStream)); status.Code(err) != codes.NotFound {
		t.Errorf("a table that is not there: %v", err)
	}
}

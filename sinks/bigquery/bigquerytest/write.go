package bigquerytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// stream is a write stream that was made; the default ones are not kept.
type stream struct {
	kind      storagepb.WriteStream_Type
	table     *table
	next      int64 // offset
	finalized bool
	committed bool
	pending   []Row
}

const defaultSuffix = "/streams/_default"

// CreateWriteStream makes a stream.
func (s *Server) CreateWriteStream(_ context.Context, r *storagepb.CreateWriteStreamRequest) (*storagepb.WriteStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[nameOf(r.Parent)]
	if t == nil {
		return nil, status.Errorf(codes.NotFound, "table %s was not found", r.Parent)
	}
	name := fmt.Sprintf("%s/streams/s%d", r.Parent, len(s.streams)+1)
	s.streams[name] = &stream{kind: r.WriteStream.GetType(), table: t}
	return &storagepb.WriteStream{Name: name, Type: r.WriteStream.GetType(), Location: "us"}, nil
}

// GetWriteStream describes a stream.
func (s *Server) GetWriteStream(_ context.Context, r *storagepb.GetWriteStreamRequest) (*storagepb.WriteStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := storagepb.WriteStream_COMMITTED // of the default stream
	if st := s.streams[r.Name]; st != nil {
		kind = st.kind
	} else if !strings.HasSuffix(r.Name, defaultSuffix) || s.tables[nameOf(r.Name)] == nil {
		return nil, status.Errorf(codes.NotFound, "stream %s was not found", r.Name)
	}
	answer := &storagepb.WriteStream{Name: r.Name, Type: kind, Location: "us"}
	if t := s.tables[nameOf(r.Name)]; r.View == storagepb.WriteStreamView_FULL && t != nil {
		answer.TableSchema = t.schema()
	}
	return answer, nil
}

// FinalizeWriteStream lets no more be appended.
func (s *Server) FinalizeWriteStream(_ context.Context, r *storagepb.FinalizeWriteStreamRequest) (*storagepb.FinalizeWriteStreamResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[r.Name]
	if st == nil {
		return nil, status.Errorf(codes.InvalidArgument, "stream %s cannot be finalized", r.Name)
	}
	st.finalized = true
	return &storagepb.FinalizeWriteStreamResponse{RowCount: st.next}, nil
}

// BatchCommitWriteStreams makes the rows of pending streams visible, of all or of none.
func (s *Server) BatchCommitWriteStreams(_ context.Context, r *storagepb.BatchCommitWriteStreamsRequest) (*storagepb.BatchCommitWriteStreamsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var bad []*storagepb.StorageError
	for _, name := range r.WriteStreams {
		st := s.streams[name]
		refuse := func(code storagepb.StorageError_StorageErrorCode) {
			bad = append(bad, &storagepb.StorageError{Code: code, Entity: name})
		}
		switch {
		case st == nil || nameOf(name) != nameOf(r.Parent):
			refuse(storagepb.StorageError_STREAM_NOT_FOUND)
		case st.kind != storagepb.WriteStream_PENDING:
			refuse(storagepb.StorageError_INVALID_STREAM_TYPE)
		case !st.finalized:
			refuse(storagepb.StorageError_INVALID_STREAM_STATE)
		case st.committed:
			refuse(storagepb.StorageError_STREAM_ALREADY_COMMITTED)
		}
	}
	if len(bad) > 0 {
		return &storagepb.BatchCommitWriteStreamsResponse{StreamErrors: bad}, nil
	}
	for _, name := range r.WriteStreams {
		st := s.streams[name]
		st.table.add(st.pending)
		st.committed, st.pending = true, nil
	}
	return &storagepb.BatchCommitWriteStreamsResponse{CommitTime: timestamppb.Now()}, nil
}

// AppendRows serves one connection.
func (s *Server) AppendRows(conn storagepb.BigQueryWrite_AppendRowsServer) error {
	var c connection
	for {
		r, err := conn.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := s.append(&c, r)
		if err != nil {
			return err
		}
		if err := conn.Send(answer); err != nil {
			return err
		}
	}
}

// connection remembers what its first request said.
type connection struct {
	stream  string
	reader  *reader
	version int // of the table's schema that its writer was told
}

// append takes one request. An error ends the connection.
func (s *Server) append(c *connection, r *storagepb.AppendRowsRequest) (*storagepb.AppendRowsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.appends
	s.appends++
	if r.WriteStream != "" {
		c.stream = r.WriteStream
	}
	var fault Fault
	if s.fault != nil {
		fault = s.fault(c.stream, n)
	}
	if fault.Reset && !fault.After {
		return strike(fault)
	}
	isDefault := strings.HasSuffix(c.stream, defaultSuffix)
	t := s.tables[nameOf(c.stream)]
	if t == nil || !isDefault && s.streams[c.stream] == nil {
		return refusal(codes.NotFound, storagepb.StorageError_STREAM_NOT_FOUND, "stream "+c.stream+" was not found"), nil
	}
	// The schema is in a connection's first request, and remembered whatever becomes
	// of that.
	if schema := r.GetProtoRows().GetWriterSchema(); schema != nil || c.reader == nil {
		var err error
		if c.reader, err = t.newReader(schema.GetProtoDescriptor(), isDefault); err != nil {
			return refusal(codes.InvalidArgument, storagepb.StorageError_SCHEMA_MISMATCH_EXTRA_FIELDS, err.Error()), nil
		}
		c.version = t.version
	}
	if fault.Code != codes.OK && !fault.After {
		return strike(fault)
	}
	answer := s.apply(c, t, r)
	if fault.After {
		fault.Reset = true
		return strike(fault)
	}
	return answer, nil
}

func strike(f Fault) (*storagepb.AppendRowsResponse, error) {
	code := f.Code
	if code == codes.OK {
		code = codes.Unavailable
	}
	if f.Reset {
		return nil, status.Error(code, "injected")
	}
	return refusal(code, 0, "injected"), nil
}

// refusal is an answer with an error in it.
func refusal(code codes.Code, storage storagepb.StorageError_StorageErrorCode, text string) *storagepb.AppendRowsResponse {
	st := status.New(code, text)
	if storage != 0 {
		st, _ = st.WithDetails(&storagepb.StorageError{Code: storage, ErrorMessage: text}) // of this type it can
	}
	return &storagepb.AppendRowsResponse{Response: &storagepb.AppendRowsResponse_Error{Error: st.Proto()}}
}

func (s *Server) apply(c *connection, t *table, r *storagepb.AppendRowsRequest) *storagepb.AppendRowsResponse {
	if size := proto.Size(r); size > MaxRequest {
		return refusal(codes.InvalidArgument, 0, fmt.Sprintf("the request has %d bytes, %d are allowed", size, MaxRequest))
	}
	st := s.streams[c.stream] // nil for the default one
	if st != nil && st.finalized {
		return refusal(codes.InvalidArgument, storagepb.StorageError_STREAM_FINALIZED, "the stream is finalized")
	}
	raw := r.GetProtoRows().GetRows().GetSerializedRows()
	result := &storagepb.AppendRowsResponse_AppendResult{}
	if r.Offset != nil {
		switch offset := r.Offset.Value; {
		case st == nil:
			return refusal(codes.InvalidArgument, 0, "the default stream has no offsets")
		case offset < st.next:
			return refusal(codes.AlreadyExists, storagepb.StorageError_OFFSET_ALREADY_EXISTS, fmt.Sprintf("offset %d is before %d", offset, st.next))
		case offset > st.next:
			return refusal(codes.OutOfRange, storagepb.StorageError_OFFSET_OUT_OF_RANGE, fmt.Sprintf("offset %d is behind %d", offset, st.next))
		}
		result.Offset = wrapperspb.Int64(r.Offset.Value)
	}
	rows := make([]Row, 0, len(raw))
	var bad []*storagepb.RowError
	for i, b := range raw {
		if s.trusting {
			break
		}
		row, err := c.reader.read(b)
		if err == nil {
			err = check(row)
		}
		if err == nil && s.refuse != nil {
			if text := s.refuse(row); text != "" {
				err = errors.New(text)
			}
		}
		if err != nil {
			bad = append(bad, &storagepb.RowError{Index: int64(i), Code: storagepb.RowError_FIELDS_ERROR, Message: err.Error()})
			continue
		}
		rows = append(rows, row)
	}
	if len(bad) > 0 { // of a request with a bad row nothing is appended
		answer := refusal(codes.InvalidArgument, 0, "there are rows with errors")
		answer.RowErrors = bad
		return answer
	}
	s.taken[nameOf(c.stream)] += len(raw)
	if st != nil {
		st.next += int64(len(raw))
	}
	if st != nil && st.kind == storagepb.WriteStream_PENDING {
		st.pending = append(st.pending, rows...)
	} else {
		t.add(rows)
	}
	answer := &storagepb.AppendRowsResponse{WriteStream: c.stream, Response: &storagepb.AppendRowsResponse_AppendResult_{AppendResult: result}}
	if c.version != t.version {
		c.version = t.version
		answer.UpdatedSchema = t.schema()
	}
	return answer
}

package bigquery

import (
	"context"
	"fmt"
	"strconv"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"cloud.google.com/go/bigquery/storage/managedwriter"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sennit-io/sennit/schemas/tables"
)

// maxRequest is how large an append may be, in bytes: 10 MB are allowed, and what
// stands around the rows is not counted here.
const maxRequest = 9 << 20

// writer writes to one table.
type writer struct {
	sink    *Sink
	table   *tables.Table
	pending bool // to streams of its own; else the default one

	lacks  []string                       // columns that the table does not have yet
	fitted bool                           // it was asked
	stream *managedwriter.ManagedStream   // nil after an error, or when the table has got columns
	offset int64                          // of a pending stream
	full   []*managedwriter.ManagedStream // pending streams that are to be committed

	buf  []byte // the rows one behind the other
	ends []int  // of each
	of   []int  // the record of each
	done bool   // all were answered
}

func (w *writer) open() error {
	kind := managedwriter.DefaultStream
	if w.pending {
		kind = managedwriter.PendingStream
	}
	o := &w.sink.opts
	parent := managedwriter.TableParentFromParts(o.Project, o.Dataset, w.table.Name)
	if err := w.fit(parent); err != nil {
		return err
	}
	var err error
	w.offset = 0
	w.stream, err = w.sink.client.NewManagedStream(w.sink.ctx,
		managedwriter.WithDestinationTable(parent),
		managedwriter.WithType(kind), managedwriter.WithSchemaDescriptor(w.descriptor()),
		managedwriter.EnableWriteRetries(true), managedwriter.WithTraceID("sennit"))
	return err
}

// reset begins a batch. Rows of one that failed may still be on their way, so their
// memory is not used again.
func (w *writer) reset() {
	if len(w.buf) > 0 && !w.done {
		w.buf = nil
	}
	w.buf, w.ends, w.of, w.done = w.buf[:0], w.ends[:0], w.of[:0], false
}

func (w *writer) add(record int, row tables.Row) {
	for _, name := range w.lacks {
		row[w.table.Index(name)] = tables.Value{}
	}
	w.buf = w.table.AppendProto(w.buf, row)
	if len(w.table.Key) > 0 {
		kind, sequence := w.change(row)
		w.buf = tables.AppendChange(w.buf, kind, sequence)
	}
	w.ends, w.of = append(w.ends, len(w.buf)), append(w.of, record)
}

// The columns that say what a change is.
var (
	revisionColumn   = tables.Timelines.Index("revision")
	updateColumn     = tables.Timelines.Index("update")
	supersededColumn = tables.Timelines.Index("superseded_by")
)

// change says what becomes of the row that is there, and the place of this change
// in the order of all: revision/epoch/update. Revisions are the same whoever writes
// them, and what is open (revision 0) never takes the place of what is closed; epochs
// tell the views of one that is open apart when another has taken over.
func (w *writer) change(row tables.Row) (kind, sequence string) {
	kind = "UPSERT"
	if row[supersededColumn].Set {
		kind = "DELETE"
	}
	b := strconv.AppendUint(make([]byte, 0, 32), uint64(row[revisionColumn].Num), 16)
	b = strconv.AppendUint(append(b, '/'), w.sink.opts.Epoch, 16)
	b = strconv.AppendUint(append(b, '/'), uint64(row[updateColumn].Num), 16)
	return kind, string(b)
}

// request is one append and the records that its rows are of.
type request struct {
	rows [][]byte
	of   []int
}

// requests cuts rows so that each request is small enough. A row that alone is not
// has its record refused.
func (w *writer) requests(refused map[int]error) (list []request) {
	var r request
	size, start := 0, 0
	for i, end := range w.ends {
		row := w.buf[start:end:end]
		start = end
		if len(row) > maxRequest {
			refused[w.of[i]] = fmt.Errorf("a row of %s has %d bytes, at most %d are possible", w.table.Name, len(row), maxRequest)
			continue
		}
		if size += len(row) + 6; size > maxRequest && len(r.rows) > 0 { // with its tag and length
			list = append(list, r)
			r, size = request{}, len(row)+6
		}
		r.rows, r.of = append(r.rows, row), append(r.of, w.of[i])
	}
	if len(r.rows) > 0 {
		list = append(list, r)
	}
	return list
}

// send appends the rows. The records of rows that BigQuery refuses are added to
// refused; nothing of such a request was taken, so its other rows go again.
func (w *writer) send(ctx context.Context, refused map[int]error) error {
	for todo := w.requests(refused); len(todo) > 0; {
		if w.stream == nil {
			if err := w.open(); err != nil {
				return err
			}
		}
		now := todo
		if w.pending {
			now = todo[:1] // offsets have to arrive in their order, also after a retry
		}
		results := make([]*managedwriter.AppendResult, len(now))
		for i, r := range now {
			var options []managedwriter.AppendOption
			if w.pending {
				options = append(options, managedwriter.WithOffset(w.offset))
			}
			var err error
			if results[i], err = w.stream.AppendRows(ctx, r.rows, options...); err != nil {
				return w.failed(err)
			}
		}
		var again []request
		grown := false
		for i, r := range now {
			answer, err := results[i].FullResponse(ctx)
			grown = grown || w.grown(answer.GetUpdatedSchema())
			if err == nil || w.pending && status.Code(err) == codes.AlreadyExists { // it came, and its answer was lost
				w.offset += int64(len(r.rows))
				continue
			}
			bad := answer.GetRowErrors()
			rest := r.without(bad, w.table, refused)
			if len(rest.rows) == len(r.rows) {
				return w.failed(err)
			}
			if len(rest.rows) > 0 {
				again = append(again, rest)
			}
		}
		todo = append(again, todo[len(now):]...)
		if grown {
			w.setAside()
		}
	}
	w.done = true
	return nil
}

// without is the request without its bad rows.
func (r *request) without(bad []*storagepb.RowError, t *tables.Table, refused map[int]error) (rest request) {
	why := make(map[int64]string, len(bad))
	for _, b := range bad {
		why[b.GetIndex()] = b.GetMessage()
	}
	for i, row := range r.rows {
		if text, is := why[int64(i)]; is {
			refused[r.of[i]] = fmt.Errorf("a row of %s was refused: %s", t.Name, text)
			continue
		}
		rest.rows, rest.of = append(rest.rows, row), append(rest.of, r.of[i])
	}
	return rest
}

// failed sets the stream aside after an error. The client does not connect again
// after some; and whether the rows came is not known, so the next offset of a
// pending stream is not either. What that one has is committed all the same.
func (w *writer) failed(err error) error {
	w.setAside()
	return err
}

func (w *writer) setAside() {
	if w.pending {
		w.full = append(w.full, w.stream)
	}
	_ = w.stream.Close() // always io.EOF
	w.stream = nil
}

// commit makes the rows of pending streams visible, all at once.
func (w *writer) commit(ctx context.Context) error {
	if !w.pending {
		return nil
	}
	if w.stream != nil && w.offset > 0 {
		w.full = append(w.full, w.stream)
	}
	if len(w.full) == 0 {
		return nil
	}
	names := make([]string, len(w.full))
	for i, stream := range w.full {
		names[i] = stream.StreamName()
		if _, err := stream.Finalize(ctx); err != nil {
			return err
		}
	}
	answer, err := w.sink.client.BatchCommitWriteStreams(ctx, &storagepb.BatchCommitWriteStreamsRequest{
		Parent: managedwriter.TableParentFromStreamName(names[0]), WriteStreams: names,
	})
	if err != nil {
		return err
	}
	for _, e := range answer.GetStreamErrors() {
		if e.GetCode() != storagepb.StorageError_STREAM_ALREADY_COMMITTED { // the answer to a first try was lost
			return fmt.Errorf("stream %s: %s %s", e.GetEntity(), e.GetCode(), e.GetErrorMessage())
		}
	}
	return nil
}

package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
)

// NamedSink is a sink with the name that the user gave it.
type NamedSink struct {
	Name string
	sinks.Sink
}

// A batch is written when it has so many records, or bytes.
const (
	feedRecords = 500
	feedBytes   = 2 << 20
)

// stepBytes is about what a step takes as JSON.
const stepBytes = 1200

// feed hands every revision to the sinks as it comes, as a live processor does.
type feed struct {
	ctx    context.Context
	sinks  []NamedSink
	batch  []sinks.Record
	bytes  int
	failed int   // records that a sink refused, which ends nothing
	first  error // of them
	err    error // what ended it
}

func newFeed(ctx context.Context, to []NamedSink) *feed {
	return &feed{ctx: ctx, sinks: to}
}

// timeline takes a revision and what is to be told of its alerts.
func (f *feed) timeline(t *timeline.Timeline, told []alert.Alert) {
	if len(f.sinks) == 0 || f.err != nil {
		return
	}
	room := make([]byte, 0, 1024+stepBytes*len(t.Steps)) // growing to it would copy it several times
	f.add(sinks.Record{Kind: sinks.Timeline, ID: t.ID, Revision: t.Revision, Data: t.AppendJSON(room)})
	f.alerts(told)
}

// alerts takes what is to be told of alerts.
func (f *feed) alerts(told []alert.Alert) {
	if len(f.sinks) == 0 || f.err != nil {
		return
	}
	for i := range told {
		a := &told[i]
		f.add(sinks.Record{Kind: sinks.Alert, ID: a.ID, Revision: a.Revision, Data: a.AppendJSON(nil)})
	}
	if len(f.batch) >= feedRecords || f.bytes >= feedBytes {
		f.write()
	}
}

func (f *feed) add(r sinks.Record) {
	f.batch = append(f.batch, r)
	f.bytes += len(r.Data)
}

func (f *feed) write() {
	for _, s := range f.sinks {
		err := s.Write(f.ctx, f.batch)
		var failed sinks.Failures
		switch {
		case err == nil:
		case errors.As(err, &failed):
			f.failed += len(failed)
			f.first = cmp.Or(f.first, fmt.Errorf("sink %s: %w", s.Name, failed[0].Err))
		default:
			f.err = cmp.Or(f.err, fmt.Errorf("sink %s: %w", s.Name, err))
		}
	}
	clear(f.batch)
	f.batch, f.bytes = f.batch[:0], 0
}

// close writes what is left and closes the sinks.
func (f *feed) close() error {
	if len(f.batch) > 0 && f.err == nil {
		f.write()
	}
	for _, s := range f.sinks {
		if err := s.Close(); err != nil {
			f.err = cmp.Or(f.err, fmt.Errorf("sink %s: %w", s.Name, err))
		}
	}
	f.sinks = nil
	if f.err == nil && f.failed > 0 {
		f.err = fmt.Errorf("%d results were refused, the first by %w", f.failed, f.first)
	}
	return f.err
}

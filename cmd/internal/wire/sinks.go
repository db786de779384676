package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/tables"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
)

// NamedSink is a sink with the name that the user gave it.
type NamedSink struct {
	Name string
	sinks.Sink
	Events bool // it takes events too
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
	ctx      context.Context
	sinks    []*fed
	patience time.Duration
	messages io.Writer
	batch    []sinks.Record
	bytes    int
	some     []sinks.Record // those of a batch for a sink that takes no events

	wantEvents bool
	err        error // what ended it: no sink is left
}

func newFeed(ctx context.Context, to []NamedSink, patience time.Duration, messages io.Writer) *feed {
	f := &feed{ctx: ctx, patience: patience, messages: messages}
	for _, s := range to {
		f.sinks = append(f.sinks, &fed{NamedSink: s})
		f.wantEvents = f.wantEvents || s.Events
	}
	return f
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

// events takes events before the engine has them.
func (f *feed) events(b *event.Batch) {
	if !f.wantEvents || f.err != nil {
		return
	}
	for i := range b.Events {
		e := &b.Events[i]
		if !tables.InEvents(e) {
			continue
		}
		f.add(sinks.Record{Kind: sinks.Event, ID: e.ID.String(), Data: e.AppendJSON(nil)})
		if len(f.batch) >= feedRecords || f.bytes >= feedBytes {
			f.write()
		}
	}
}

func (f *feed) add(r sinks.Record) {
	f.batch = append(f.batch, r)
	f.bytes += len(r.Data)
}

// write hands the batch to all sinks. Those that were given up hold up no other; when
// all were there is nobody to go on for.
func (f *feed) write() {
	left := false
	for _, s := range f.sinks {
		batch := f.batch
		if f.wantEvents && !s.Events {
			batch = f.results()
		}
		if len(batch) > 0 {
			s.take(f, batch)
		}
		left = left || s.gone == nil
	}
	if !left {
		f.err = f.failures(", nor what would have come after them")
	}
	clear(f.batch)
	f.batch, f.bytes = f.batch[:0], 0
}

// results are those of the batch.
func (f *feed) results() []sinks.Record {
	f.some = f.some[:0]
	for _, r := range f.batch {
		if r.Kind != sinks.Event {
			f.some = append(f.some, r)
		}
	}
	return f.some
}

// close writes what is left and closes the sinks. Its error says what was not delivered.
func (f *feed) close() error {
	if len(f.batch) > 0 && f.err == nil {
		f.write()
	}
	for _, s := range f.sinks {
		if err := s.Close(); err != nil {
			f.err = errors.Join(f.err, fmt.Errorf("sink %s: %w", s.Name, err))
		}
	}
	if failed := f.failures(""); failed != nil && len(f.sinks) > 0 {
		f.err = cmp.Or(f.err, failed)
	}
	f.sinks = nil
	return f.err
}

func (f *feed) failures(after string) (err error) {
	for _, s := range f.sinks {
		err = errors.Join(err, s.failure(after))
	}
	return err
}

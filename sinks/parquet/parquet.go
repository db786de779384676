// Package parquet writes results as tables of files that DuckDB, BigQuery and
// whatever else reads Parquet understand:
//
//	DIR/timelines/date=2026-11-23/part-GENERATION.parquet
//	DIR/steps/date=2026-11-23/…
//	DIR/alerts/date=2026-11-23/…
//	DIR/events/date=2026-11-23/…
//
// A generation is what came between two rotations. Its records are first kept in
// a journal, so that they are safe before their files are: a file gets its name
// only when it is whole and on disk, and then the journal goes. After a kill the
// journal of the generation is read again and makes the same files under the same
// names, so nothing is lost and nothing doubled by it.
package parquet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sennit-io/sennit/schemas/tables"
	"github.com/sennit-io/sennit/sinks"
)

// Options of Open.
type Options struct {
	Dir   string
	Bytes int64            // rotate after so many bytes of records; 0 for DefaultBytes
	Age   time.Duration    // rotate when the first record is so old; 0 for DefaultAge
	Now   func() time.Time // nil for time.Now
}

// Defaults of Options.
const (
	DefaultBytes = 256 << 20
	DefaultAge   = 10 * time.Minute
)

// maxParts bounds the files that are open, and their buffers.
const maxParts = 64

// Sink writes to a folder. A batch without records only rotates what is old.
//
// Guarantee: what Write returned nil for is in the journal, on disk, and in the
// files after the next rotation. A record that comes again is there twice: the
// views take one of a kind.
type Sink struct {
	opts    Options
	lock    *os.File
	journal *journal
	parts   map[partition]*part
	began   time.Time // of the generation's first record
	broken  bool      // the files of the generation have to be made again from the journal
}

// partition is one folder of files.
type partition struct {
	table *tables.Table
	day   int64
}

// ErrLocked says that another process writes to the folder.
var ErrLocked = errors.New("another process writes to it")

// Open opens or makes a folder of tables, and writes the files of what a process
// that was killed had in its journal.
func Open(o Options) (*Sink, error) {
	if o.Bytes == 0 {
		o.Bytes = DefaultBytes
	}
	if o.Age == 0 {
		o.Age = DefaultAge
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("open tables: %w", err)
	}
	s := &Sink{opts: o, parts: map[partition]*part{}}
	var err error
	if s.lock, err = lock(filepath.Join(o.Dir, ".lock")); err != nil {
		return nil, fmt.Errorf("open tables in %s: %w", o.Dir, err)
	}
	if err := errors.Join(s.removeTemporary(), s.recover(), s.rotate()); err != nil {
		s.discard()
		return nil, errors.Join(fmt.Errorf("open tables in %s: %w", o.Dir, err), s.release())
	}
	return s, nil
}

// removeTemporary removes what a process that was killed was writing.
func (s *Sink) removeTemporary() error {
	left, err := filepath.Glob(filepath.Join(s.opts.Dir, "*", "date=*", temporary("*")))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// recover brings the parts to what the journal says.
func (s *Sink) recover() error {
	s.discard()
	var err error
	if s.journal == nil {
		if s.journal, err = openJournal(s.opts.Dir, s.opts.Now()); err != nil {
			return err
		}
	}
	s.began = s.opts.Now()
	err = s.journal.read(func(kind sinks.Kind, data []byte) error {
		rows, err := rowsOf(kind, data)
		if err != nil {
			return err
		}
		return s.add(rows)
	})
	s.broken = err != nil
	return err
}

func rowsOf(kind sinks.Kind, data []byte) (tables.Rows, error) {
	switch kind {
	case sinks.Timeline:
		return tables.OfTimeline(data)
	case sinks.Alert:
		return tables.OfAlert(data)
	case sinks.Event:
		return tables.OfEvent(data)
	}
	return nil, fmt.Errorf("a record of kind %q has no table", kind)
}

// Idle makes a file of rows that have waited long enough.
func (s *Sink) Idle(ctx context.Context) error { return s.Write(ctx, nil) }

// Write adds a batch.
func (s *Sink) Write(_ context.Context, batch []sinks.Record) error {
	if s.broken {
		if err := s.recover(); err != nil {
			return fmt.Errorf("write tables: %w", err)
		}
	}
	var failed sinks.Failures
	var good []tables.Rows
	for i, r := range batch {
		rows, err := rowsOf(r.Kind, r.Data)
		if err != nil {
			failed = append(failed, sinks.Failure{Index: i, Err: err, Permanent: true})
			continue
		}
		if s.journal.empty() {
			s.began = s.opts.Now()
		}
		s.journal.add(r.Kind, r.Data)
		good = append(good, rows)
	}
	err := s.journal.sync()
	for _, rows := range good {
		if err == nil {
			err = s.add(rows)
		}
	}
	if err == nil {
		s.journal.keep() // from here on it is ours
		if s.journal.size() >= s.opts.Bytes || len(s.parts) >= maxParts || len(s.parts) > 0 && s.opts.Now().Sub(s.began) >= s.opts.Age {
			err = s.rotate()
		}
	}
	if err != nil {
		s.broken = true
		return fmt.Errorf("write tables: %w", err)
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

func (s *Sink) add(rows tables.Rows) error {
	for table, row := range rows {
		key := partition{table, row[0].Num} // every table begins with its day
		p := s.parts[key]
		if p == nil {
			var err error
			if p, err = newPart(s.opts.Dir, key, s.journal.generation); err != nil {
				return err
			}
			s.parts[key] = p
		}
		if err := p.add(row); err != nil {
			return err
		}
	}
	return nil
}

// rotate ends the generation: its files get their names, then the journal goes.
func (s *Sink) rotate() error {
	for key, p := range s.parts {
		if err := p.finish(); err != nil {
			return err
		}
		delete(s.parts, key)
	}
	return s.journal.next(s.opts.Now())
}

// discard drops the parts as they are.
func (s *Sink) discard() {
	for key, p := range s.parts {
		p.discard()
		delete(s.parts, key)
	}
}

// Close writes the files of what came last.
func (s *Sink) Close() error {
	var err error
	if s.broken {
		err = s.recover()
	}
	if err == nil {
		err = s.rotate()
	}
	s.discard()
	if err = errors.Join(err, s.release()); err != nil {
		return fmt.Errorf("close tables: %w", err)
	}
	return nil
}

func (s *Sink) release() error {
	var err error
	if s.journal != nil {
		err = s.journal.close()
	}
	return errors.Join(err, s.lock.Close())
}

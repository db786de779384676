// Package spool is a bounded queue on the disk: what a node has taken while the
// bus is away. When it is full the oldest records go.
package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Queue keeps records in segments, files that are deleted as a whole. It may be
// used from several goroutines, by one reader.
//
// Guarantee: a record that Put has returned for is read, after a crash too, until
// Done says that it need not be, or until room was needed for newer ones. What was
// read before a crash may be read again.
type Queue struct {
	dir  string
	most int64 // bytes

	mu       sync.Mutex
	segments []*segment // the last one is written to
	last     *os.File   // of the last segment, nil for none yet
	bytes    int64
	records  int
	read     int // bytes of the first segment that Done has let go
	more     chan struct{}
	dropped  func(record []byte)
}

// segment is one file.
type segment struct {
	number  uint64
	bytes   int64
	records int
}

const header = 8 // length and checksum

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrTooLarge is returned for a record that cannot fit.
var ErrTooLarge = errors.New("the record is larger than a segment of the spool")

// Open opens or makes a queue of at most so many bytes. Dropped is called, with the lock held, for each record that must go;
// what it gets is valid until it returns.
func Open(dir string, most int64, dropped func(record []byte)) (*Queue, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	q := &Queue{dir: dir, most: most, more: make(chan struct{}, 1), dropped: dropped}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	for _, e := range entries { // in the order of their names
		s := &segment{}
		if n, err := fmt.Sscanf(e.Name(), "%016x.spool", &s.number); n == 1 && err == nil {
			q.segments = append(q.segments, s)
		}
	}
	for i, s := range q.segments {
		if err := q.recover(s, i == len(q.segments)-1); err != nil {
			return nil, fmt.Errorf("open the spool: %w", err)
		}
	}
	q.segments = slices.DeleteFunc(q.segments, func(s *segment) bool { return s.records == 0 })
	if q.records > 0 {
		q.wake()
	}
	return q, nil
}

// recover takes over a segment of an earlier life. What a crash left half-written
// at the end of the last one was never promised.
func (q *Queue) recover(s *segment, last bool) error {
	b, err := os.ReadFile(q.path(s))
	if err != nil {
		return err
	}
	for rest := b; ; {
		_, n := next(rest)
		if n == 0 {
			break
		}
		s.bytes += int64(n)
		s.records++
		rest = rest[n:]
	}
	q.bytes += s.bytes
	q.records += s.records
	switch {
	case s.records == 0 && last:
		return os.Remove(q.path(s))
	case s.bytes == int64(len(b)):
		return nil
	case last:
		return os.Truncate(q.path(s), s.bytes)
	}
	return q.damaged(s, s.bytes)
}

func (q *Queue) damaged(s *segment, at int64) error {
	return fmt.Errorf("%s is damaged at byte %d: move it away to go on without what is in it", q.path(s), at)
}

// next returns the first record of b and what it takes, 0 if there is no whole one.
func next(b []byte) (record []byte, n int) {
	if len(b) < header {
		return nil, 0
	}
	size := int(binary.LittleEndian.Uint32(b))
	if size == 0 || size > len(b)-header {
		return nil, 0
	}
	record = b[header : header+size]
	if crc32.Checksum(record, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0
	}
	return record, header + size
}

func (q *Queue) path(s *segment) string {
	return filepath.Join(q.dir, fmt.Sprintf("%016x.spool", s.number))
}

func (q *Queue) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// More is sent to when there is something to read.
func (q *Queue) More() <-chan struct{} { return q.more }

// Size is how much waits.
func (q *Queue) Size() (records int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records, q.bytes
}

// Put appends a record; it is on the disk when nil is returned.
func (q *Queue) Put(record []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := int64(header + len(record))
	if size > q.segmentSize() || len(record) == 0 {
		return ErrTooLarge
	}
	for q.bytes+size > q.most && len(q.segments) > 0 {
		if err := q.dropFirst(); err != nil {
			return fmt.Errorf("make room in the spool: %w", err)
		}
	}
	if err := q.roll(size); err != nil {
		return fmt.Errorf("write to the spool: %w", err)
	}
	s := q.segments[len(q.segments)-1]
	b := make([]byte, header, size)
	binary.LittleEndian.PutUint32(b, uint32(len(record)))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(record, castagnoli))
	_, err := q.last.WriteAt(append(b, record...), s.bytes)
	if err == nil {
		err = q.last.Sync()
	}
	if err != nil { // what is half there is written over, or cut off by recover
		return fmt.Errorf("write to the spool: %w", err)
	}
	s.bytes += size
	s.records++
	q.bytes += size
	q.records++
	q.wake()
	return nil
}

// segmentSize makes a full queue of eight segments.
func (q *Queue) segmentSize() int64 { return q.most / 8 }

// roll makes a new segment if there is none to write to, or no room in it.
func (q *Queue) roll(size int64) error {
	if q.last != nil {
		if q.segments[len(q.segments)-1].bytes+size <= q.segmentSize() {
			return nil
		}
		if err := q.last.Close(); err != nil {
			return err
		}
		q.last = nil
	}
	s := &segment{}
	if n := len(q.segments); n > 0 {
		s.number = q.segments[n-1].number + 1
	}
	f, err := os.OpenFile(q.path(s), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := syncDir(q.dir); err != nil {
		return errors.Join(err, f.Close())
	}
	q.last, q.segments = f, append(q.segments, s)
	return nil
}

// dropFirst gives up the oldest segment and says what was in it.
func (q *Queue) dropFirst() error {
	s := q.segments[0]
	b, err := os.ReadFile(q.path(s))
	if err != nil {
		return err
	}
	for rest := b[min(q.read, len(b)):min(int(s.bytes), len(b))]; ; {
		record, n := next(rest)
		if n == 0 {
			break
		}
		q.dropped(record)
		rest = rest[n:]
	}
	return q.remove()
}

// remove deletes the first segment.
func (q *Queue) remove() error {
	s := q.segments[0]
	if len(q.segments) == 1 && q.last != nil {
		if err := q.last.Close(); err != nil {
			return err
		}
		q.last = nil
	}
	q.segments = slices.Delete(q.segments, 0, 1)
	q.bytes -= s.bytes
	q.records -= s.records
	q.read = 0
	return os.Remove(q.path(s))
}

// Batch is what was read at once.
type Batch struct {
	Records [][]byte
	segment *segment
	from    int // where it begins
	to      int
}

// Read returns the oldest records, up to so many and to so many bytes but one at
// least; none if the queue is empty. They stay until Done.
func (q *Queue) Read(records, bytes int) (Batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.records == 0 {
		return Batch{}, nil
	}
	s := q.segments[0]
	f, err := os.Open(q.path(s))
	if err != nil {
		return Batch{}, fmt.Errorf("read the spool: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, int64(q.read), s.bytes-int64(q.read)))
	if err != nil {
		return Batch{}, fmt.Errorf("read the spool: %w", err)
	}
	out := Batch{segment: s, from: q.read, to: q.read}
	for len(b) > 0 && len(out.Records) < records && (out.to-out.from < bytes || len(out.Records) == 0) {
		record, n := next(b)
		if n == 0 {
			return Batch{}, fmt.Errorf("read the spool: %w", q.damaged(s, int64(out.to)))
		}
		out.Records = append(out.Records, record)
		out.to += n
		b = b[n:]
	}
	return out, nil
}

// Done lets a batch go. If it was dropped meanwhile nothing happens.
func (q *Queue) Done(b Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.segments) == 0 || q.segments[0] != b.segment || q.read != b.from {
		return nil
	}
	q.read = b.to
	n := len(b.Records)
	b.segment.records -= n
	q.records -= n
	if b.segment.records == 0 {
		if err := q.remove(); err != nil {
			return fmt.Errorf("delete from the spool: %w", err)
		}
	}
	if q.records > 0 {
		q.wake()
	}
	return nil
}

// Close closes the files.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.last == nil {
		return nil
	}
	err := q.last.Close()
	q.last = nil
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

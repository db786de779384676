package disk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// journal is records one behind the other in files that are only appended to, and
// removed as a whole when they are old. A record is named by its place, counted from
// the beginning of the first file that ever was. Records are appended by one
// goroutine; the other methods may be called from any.
type journal struct {
	dir  string
	span time.Duration // of the engine's clock that a file holds at most

	mu      sync.RWMutex
	files   []journalFile // ascending; the last one is appended to
	end     uint64
	current *os.File   // nil: none yet
	dirty   []*os.File // ended, and not safe yet
	made    bool       // a file was made whose name is not safe yet
}

type journalFile struct {
	start uint64     // place of its first record; its name
	first event.Time // clock of its first record
}

// A record is its length (u32), the CRC-32C of what follows (u32), the engine's clock
// (u64), and what it says.
const (
	recordHead   = 16
	mostOfRecord = 1 << 30
	journalBytes = 64 << 20 // a file is ended behind it
	leastSpan    = 4 * time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func openJournal(dir string, span time.Duration) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	j := &journal{dir: dir, span: max(span, leastSpan)}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range list { // by name, which is by place
		hex, ok := strings.CutSuffix(e.Name(), ".log")
		start, err := strconv.ParseUint(hex, 16, 64)
		if !ok || err != nil {
			continue
		}
		if n := len(j.files); n > 0 && start != j.end {
			return nil, fmt.Errorf("%w: %s ends at %d and not where the next begins", ErrDamaged, j.path(j.files[n-1].start), j.end)
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		f := journalFile{start: start}
		if info.Size() >= recordHead {
			if f.first, err = firstClock(j.path(start)); err != nil {
				return nil, err
			}
		}
		j.files, j.end = append(j.files, f), start+uint64(info.Size())
	}
	if n := len(j.files); n > 0 {
		j.current, err = os.OpenFile(j.path(j.files[n-1].start), os.O_RDWR|os.O_APPEND, 0o600)
	}
	return j, err
}

func firstClock(path string) (event.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var head [recordHead]byte
	_, err = io.ReadFull(f, head[:])
	return event.Time(binary.BigEndian.Uint64(head[8:])), err
}

func (j *journal) path(start uint64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%016x.log", start))
}

// append writes a record, which begins with recordHead bytes of room, and returns its
// place.
func (j *journal) append(now event.Time, record []byte) (at uint64, err error) {
	binary.BigEndian.PutUint32(record, uint32(len(record)-recordHead))
	binary.BigEndian.PutUint64(record[8:], uint64(now))
	binary.BigEndian.PutUint32(record[4:], crc32.Checksum(record[8:], castagnoli))
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.roll(now); err != nil {
		return 0, err
	}
	if _, err := j.current.Write(record); err != nil {
		return 0, err
	}
	at = j.end
	j.end += uint64(len(record))
	return at, nil
}

// roll begins a new file where one is due.
func (j *journal) roll(now event.Time) error {
	if n := len(j.files); n > 0 {
		f := &j.files[n-1]
		if f.start == j.end {
			f.first = now
			return nil
		}
		if j.end-f.start < journalBytes && now < f.first.Add(j.span) {
			return nil
		}
		j.dirty = append(j.dirty, j.current)
	}
	f, err := os.OpenFile(j.path(j.end), os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	j.current, j.made = f, true
	j.files = append(j.files, journalFile{j.end, now})
	return nil
}

// read returns what the record at a place says; the place must be one that append
// returned. What was removed is os.ErrNotExist.
func (j *journal) read(at uint64) ([]byte, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	i, found := slices.BinarySearchFunc(j.files, at, func(f journalFile, at uint64) int {
		switch {
		case f.start < at:
			return -1
		case f.start > at:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 || at >= j.end {
		return nil, os.ErrNotExist
	}
	f := j.current
	if i < len(j.files)-1 {
		var err error
		if f, err = os.Open(j.path(j.files[i].start)); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	_, record, err := readRecord(io.NewSectionReader(f, int64(at-j.files[i].start), 1<<62), nil, j.end-at)
	return record, err
}

// readRecord reads one record, of at most so many bytes, into a buffer if that is
// large enough, or a new one.
func readRecord(r io.Reader, buf []byte, most uint64) (now event.Time, said []byte, err error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > mostOfRecord || uint64(size)+recordHead > most {
		return 0, nil, fmt.Errorf("%w: a record of %d bytes", ErrDamaged, size)
	}
	if cap(buf) < int(size) {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, nil, err
	}
	if sum := crc32.Update(crc32.Checksum(head[8:], castagnoli), castagnoli, buf); sum != binary.BigEndian.Uint32(head[4:]) {
		return 0, nil, fmt.Errorf("%w: a record's checksum", ErrDamaged)
	}
	return event.Time(binary.BigEndian.Uint64(head[8:])), buf, nil
}

// errStop ends a scan.
var errStop = errors.New("stop")

// scan calls f for the records from a place on, in their order; what they say is valid
// during the call. It returns the place behind the last of them: the end, or the
// place of the first record that cannot be read, with the error.
func (j *journal) scan(from uint64, f func(at uint64, now event.Time, said []byte) error) (at uint64, err error) {
	j.mu.RLock()
	files, end := slices.Clone(j.files), j.end
	j.mu.RUnlock()
	at = from
	var buf []byte
	for i, one := range files {
		last := end
		if i+1 < len(files) {
			last = files[i+1].start
		}
		if last <= at {
			continue
		}
		at = max(at, one.start)
		if err := func() error {
			file, err := os.Open(j.path(one.start))
			if err != nil {
				return err
			}
			defer file.Close()
			r := bufio.NewReaderSize(io.NewSectionReader(file, int64(at-one.start), int64(last-at)), 1<<20)
			for at < last {
				now, said, err := readRecord(r, buf, last-at)
				if err != nil {
					return err
				}
				if err := f(at, now, said); err != nil {
					return err
				}
				at += recordHead + uint64(len(said))
				buf = said
			}
			return nil
		}(); err != nil {
			return at, err
		}
	}
	return at, nil
}

// truncate cuts off what is behind a place.
func (j *journal) truncate(end uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := len(j.files); n > 1 && j.files[n-1].start >= end; n = len(j.files) {
		if err := errors.Join(j.current.Close(), os.Remove(j.path(j.files[n-1].start))); err != nil {
			return err
		}
		j.files = j.files[:n-1]
		var err error
		if j.current, err = os.OpenFile(j.path(j.files[n-2].start), os.O_RDWR|os.O_APPEND, 0o600); err != nil {
			return err
		}
	}
	if j.end == end || j.current == nil {
		return nil
	}
	j.end = end
	return j.current.Truncate(int64(end - j.files[len(j.files)-1].start))
}

// unsafe are the files that sync has to write, first those that have ended.
func (j *journal) unsafe() (files []*os.File, ended int, made bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	files, ended, made = j.dirty, len(j.dirty), j.made
	if j.current != nil {
		files = append(files, j.current)
	}
	j.dirty, j.made = nil, false
	return files, ended, made
}

// sync makes what unsafe returned survive a power cut.
func (j *journal) sync(files []*os.File, ended int, made bool) error {
	var errs []error
	for i, f := range files {
		errs = append(errs, f.Sync())
		if i < ended {
			errs = append(errs, f.Close())
		}
	}
	if made {
		d, err := os.Open(j.dir)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, d.Sync(), d.Close())
	}
	return errors.Join(errs...)
}

// over returns the oldest file whose records are all of before a time, and where it
// ends; ok is false for none.
func (j *journal) over(before event.Time) (start, end uint64, ok bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if len(j.files) < 2 || j.files[1].start == j.end || j.files[1].first >= before {
		return 0, 0, false
	}
	return j.files[0].start, j.files[1].start, true
}

// remove removes the oldest file.
func (j *journal) remove() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	path := j.path(j.files[0].start)
	j.files = j.files[1:]
	return os.Remove(path)
}

// size of all files, in bytes.
func (j *journal) size() uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if len(j.files) == 0 {
		return 0
	}
	return j.end - j.files[0].start
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, f := range append(j.dirty, j.current) {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	j.current, j.dirty = nil, nil
	return errors.Join(errs...)
}

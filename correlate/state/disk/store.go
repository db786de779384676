package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/sennit-io/sennit/schemas/event"
)

// Errors of a state folder.
var (
	ErrInUse   = errors.New("the state folder is in use by another process")
	ErrNewer   = errors.New("the state was written by a newer sennit: use that one, or an empty folder")
	ErrOlder   = errors.New("the state was written by an older sennit, in a format that is no more: move the folder away and begin with what the stream still holds")
	ErrFull    = errors.New("no space left for the state: free some, nothing is lost until then")
	ErrDamaged = errors.New("the state is damaged: restore it, or begin with an empty folder and what the stream still holds")
)

// Options of a store.
type Options struct {
	// Retention is how long events are kept, on the engine's clock: longer than the
	// engine holds anything.
	Retention time.Duration
	// Keep is how long results can be looked up after they were decided.
	Keep time.Duration
	// MinFree is the space on the disk below which a turn is refused, default
	// 64 MiB: Badger writes through mapped files, where a full disk is a crash.
	MinFree uint64
}

// Position is where the turns have got to.
type Position struct {
	Turn     uint64 // turns committed
	Decided  uint64 // the last turn of which the results are committed as well
	Sequence uint64 // last message of the stream
	Created  int64  // identity of the stream
	Now      event.Time
}

// Store is a state.Store on the disk. Turn and Commit are called from one goroutine,
// Delivered from one, Sync from one, the others from any.
type Store struct {
	dir  string
	opts Options
	db   *badger.DB
	rows rows

	turns   *journal // what was read, and the rows it changed
	results *journal // what came of it

	at                   Position // under rows.mu, as are the next two
	turnsEnd, resultsEnd uint64   // of what the rows know of

	waiting []waiting       // under rows.mu, as is the next
	open    map[string]bool // keys of bundles that wait

	scratch  scratch
	expiring []expiring // rows of the oldest file of results
	expired  bool       // they are gone, and so may the file when this place is safe
	goes     uint64

	syncing sync.Mutex
	safe    uint64 // the turns up to here are
}

// waiting is a bundle that is not wholly sent, oldest first; those that are not open
// any more are passed over.
type waiting struct {
	key string
	at  uint64 // place of its record
}

// Open opens a state folder, or makes one. What a crash left of a turn that was
// not committed is removed. Errors are ErrInUse, ErrNewer, ErrOlder, ErrFull, ErrDamaged,
// wrapped with the folder.
func Open(dir string, o Options) (_ *Store, err error) {
	if o.MinFree == 0 {
		o.MinFree = 64 << 20
	}
	if err := spaceFor(dir, o.MinFree); err != nil {
		return nil, fmt.Errorf("open state in %s: %w", dir, err)
	}
	// What is in it is small and soon over: compressing it is not worth anything.
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithDetectConflicts(false).WithMetricsEnabled(false).
		WithMemTableSize(16 << 20).WithNumMemtables(2).WithBlockCacheSize(16 << 20).WithIndexCacheSize(16 << 20).
		WithNumCompactors(2).WithCompression(options.None).WithNumVersionsToKeep(1).WithValueLogFileSize(64 << 20))
	if err != nil {
		return nil, fmt.Errorf("open state in %s: %w", dir, explain(err))
	}
	s := &Store{db: db, dir: dir, opts: o, rows: rows{db: db, changed: map[string][]byte{}}, open: map[string]bool{}}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open state in %s: %w", dir, explain(err)), s.closeFiles())
	}
	return s, nil
}

// explain says what an error of Badger or of the system means.
func explain(err error) error {
	switch text := err.Error(); {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrOlder), errors.Is(err, ErrNewer):
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w (%w)", ErrFull, err)
	case strings.Contains(text, "Cannot acquire directory lock"):
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	case errors.Is(err, badger.ErrTruncateNeeded), strings.Contains(text, "checksum"), strings.Contains(text, "MANIFEST"), strings.Contains(text, "table"), strings.Contains(text, "magic"):
		return fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return err
}

// load makes the store what it was at the last turn that is whole.
func (s *Store) load() error {
	turns, results, err := s.checkpoint()
	if err != nil {
		return err
	}
	if s.turns, err = openJournal(filepath.Join(s.dir, "turns"), s.opts.Retention/16); err != nil {
		return err
	}
	if s.results, err = openJournal(filepath.Join(s.dir, "results"), s.opts.Keep/16); err != nil {
		return err
	}
	if s.turns.end < turns || s.results.end < results {
		return fmt.Errorf("%w: files of %s are missing or were cut", ErrDamaged, s.dir)
	}
	// Turns behind the checkpoint are taken as far as they and their results are whole.
	whole, err := s.results.scan(results, func(uint64, event.Time, []byte) error { return nil })
	if err != nil && !torn(err) {
		return err
	}
	last, err := s.turns.scan(turns, func(at uint64, _ event.Time, said []byte) error {
		t, err := readTurn(said)
		if err != nil {
			return err
		}
		if t.results > whole {
			return errStop
		}
		results = t.results
		s.apply(&t, at+recordHead+uint64(len(said)))
		return nil
	})
	if err != nil && !torn(err) {
		return err
	}
	if err := errors.Join(s.turns.truncate(last), s.results.truncate(results)); err != nil {
		return err
	}
	s.turnsEnd, s.resultsEnd = last, results
	if err := s.Outbox(func(b *Bundle) error { s.wait(b); return nil }); err != nil {
		return err
	}
	s.rows.set([]byte{keyVersion}, binary.BigEndian.AppendUint32(nil, Version))
	return s.Sync()
}

// torn reports whether an error says that a file ends in the middle of a record.
func torn(err error) bool {
	return errors.Is(err, errStop) || errors.Is(err, ErrDamaged) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// checkpoint reads how far Badger has got, and checks that it is ours.
func (s *Store) checkpoint() (turns, results uint64, err error) {
	v, err := s.rows.get([]byte{keyVersion})
	switch {
	case err != nil:
		return 0, 0, err
	case v == nil:
		return 0, 0, s.rows.each(nil, func(string, []byte) error { return ErrDamaged }) // rows, and no version
	case len(v) != 4:
		return 0, 0, ErrDamaged
	case binary.BigEndian.Uint32(v) < Version:
		return 0, 0, ErrOlder
	case binary.BigEndian.Uint32(v) > Version:
		return 0, 0, fmt.Errorf("%w (version %d, this one reads %d)", ErrNewer, binary.BigEndian.Uint32(v), Version)
	}
	p, err := s.rows.get([]byte{keyPosition})
	if err != nil || p == nil {
		return 0, 0, err
	}
	if len(p) != (positionNumbers+2)*8 {
		return 0, 0, ErrDamaged
	}
	s.at = readPosition(p)
	ends := p[positionNumbers*8:]
	return binary.BigEndian.Uint64(ends), binary.BigEndian.Uint64(ends[8:]), nil
}

// positionNumbers is how many u64 a position is.
const positionNumbers = 5

func appendPosition(b []byte, p *Position) []byte {
	for _, v := range []uint64{p.Turn, p.Decided, p.Sequence, uint64(p.Created), uint64(p.Now)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func readPosition(b []byte) Position {
	n := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	return Position{Turn: n(0), Decided: n(1), Sequence: n(2), Created: int64(n(3)), Now: event.Time(n(4))}
}

// Position is what the last committed turn said.
func (s *Store) Position() Position {
	s.rows.mu.RLock()
	defer s.rows.mu.RUnlock()
	return s.at
}

// Sessions gives back what the turns said of senders.
func (s *Store) Sessions(f func(key, value []byte) error) error {
	return s.rows.each([]byte{keySession}, func(k string, v []byte) error { return f([]byte(k[1:]), v) })
}

// Sync makes everything committed survive a power cut; a crash of the program it
// survives without. It works beside turns.
func (s *Store) Sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if err := s.sync(); err != nil {
		return fmt.Errorf("sync state: %w", explain(err))
	}
	return nil
}

// sync writes the files, and then the rows and how far the files were written: Badger
// never knows more than they do.
func (s *Store) sync() error {
	s.rows.mu.Lock()
	if len(s.rows.changed) == 0 {
		s.rows.mu.Unlock()
		return nil
	}
	turns := s.takeRows()
	resultFiles, resultsEnded, resultsMade := s.results.unsafe()
	turnFiles, turnsEnded, turnsMade := s.turns.unsafe()
	s.rows.mu.Unlock()

	if err := s.results.sync(resultFiles, resultsEnded, resultsMade); err != nil {
		return err
	}
	if err := s.turns.sync(turnFiles, turnsEnded, turnsMade); err != nil {
		return err
	}
	if err := s.rows.write(checkpointParts, checkpointPart); err != nil {
		return err
	}
	if err := s.db.Sync(); err != nil {
		return err
	}
	s.rows.written()
	s.rows.mu.Lock()
	s.safe = turns
	s.rows.mu.Unlock()
	return nil
}

// takeRows makes the rows ready to be written, and the position with them, which ends at
// the turns that are returned: more may be in the files, of a turn that is being written.
func (s *Store) takeRows() (turns uint64) {
	p := binary.BigEndian.AppendUint64(appendPosition(nil, &s.at), s.turnsEnd)
	s.rows.take()[string(rune(keyPosition))] = binary.BigEndian.AppendUint64(p, s.resultsEnd)
	return s.turnsEnd
}

const checkpointParts = 3

// checkpointPart is when a row is written: before the position and the places, with them,
// or behind them. What was heard goes behind them: a bundle that turns behind the
// position bring back is to be struck by it again.
func checkpointPart(k string, v []byte) int {
	switch {
	case k[0] == keyPosition || k[0] == keyPlace:
		return 1
	case k[0] == keyHeard && v == nil:
		return 2
	}
	return 0
}

// Size of the files, in bytes; what is Badger's as it last measured it (about once a
// minute).
func (s *Store) Size() int64 {
	lsm, vlog := s.db.Size()
	return lsm + vlog + int64(s.turns.size()+s.results.size())
}

// Close makes everything survive a power cut, and closes the files.
func (s *Store) Close() error {
	err := errors.Join(s.Sync(), s.closeFiles())
	if err != nil {
		return fmt.Errorf("close state: %w", explain(err))
	}
	return nil
}

func (s *Store) closeFiles() error {
	var errs []error
	for _, j := range []*journal{s.turns, s.results} {
		if j != nil {
			errs = append(errs, j.close())
		}
	}
	return errors.Join(append(errs, s.db.Close())...)
}

package disk

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/klauspost/compress/s2"

	"github.com/sennit-io/sennit/correlate/state"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Errors of a state folder.
var (
	ErrInUse   = errors.New("the state folder is in use by another process")
	ErrNewer   = errors.New("the state was written by a newer sennit: use that one, or an empty folder")
	ErrOlder   = errors.New("the state was written by an older sennit, before its first release: begin with an empty folder and what the stream still holds")
	ErrFull    = errors.New("no space left for the state: free some, nothing is lost until then")
	ErrDamaged = errors.New("the state is damaged: restore it, or begin with an empty folder and what the stream still holds")
)

// Options of a store.
type Options struct {
	// Retention is how long segments are kept, on the engine's clock: longer
	// than the engine holds anything.
	Retention time.Duration
	// Keep is how long closed timelines can be looked up after their end.
	Keep time.Duration
	// MinFree is the space on the disk below which a turn is refused, default
	// 64 MiB: Badger writes through mapped files, where a full disk is a crash.
	MinFree uint64
}

// Position is where the turns have got to.
type Position struct {
	Turn     uint64 // turns committed
	Sequence uint64 // last message of the stream
	Created  int64  // identity of the stream
	Epoch    uint64 // of the owner's lease
	Now      event.Time
}

// Store is a state.Store on the disk. Turn and Commit are called from one
// goroutine, Timeline from any.
type Store struct {
	db   *badger.DB
	dir  string
	opts Options
	at   Position

	plain   []byte   // of a segment, kept for its room
	swept   uint32   // buckets before it are listed in expired
	expired [][]byte // keys to delete in the next turns
}

// Open opens a state folder, or makes one. What a crash left of a turn that was
// not committed is removed. Errors are ErrInUse, ErrNewer, ErrOlder, ErrFull, ErrDamaged,
// wrapped with the folder.
func Open(dir string, o Options) (*Store, error) {
	if o.MinFree == 0 {
		o.MinFree = 64 << 20
	}
	if err := spaceFor(dir, o.MinFree); err != nil {
		return nil, fmt.Errorf("open state in %s: %w", dir, err)
	}
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithDetectConflicts(false).WithMetricsEnabled(false).
		WithMemTableSize(32 << 20).WithNumMemtables(3).WithBlockCacheSize(64 << 20).WithIndexCacheSize(32 << 20).
		WithNumCompactors(2).WithCompression(options.None).WithNumVersionsToKeep(1))
	if err != nil {
		return nil, fmt.Errorf("open state in %s: %w", dir, explain(err))
	}
	s := &Store{db: db, dir: dir, opts: o}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open state in %s: %w", dir, err), db.Close())
	}
	return s, nil
}

// explain says what an error of Badger means.
func explain(err error) error {
	switch text := err.Error(); {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w (%w)", ErrFull, err)
	case strings.Contains(text, "Cannot acquire directory lock"):
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	case errors.Is(err, badger.ErrTruncateNeeded), strings.Contains(text, "checksum"), strings.Contains(text, "MANIFEST"), strings.Contains(text, "table"), strings.Contains(text, "magic"):
		return fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return err
}

func (s *Store) load() error {
	var beyond [][]byte
	err := s.db.View(func(tx *badger.Txn) error {
		v, err := get(tx, []byte{keyVersion})
		switch {
		case err != nil:
			return err
		case v == nil:
			return s.empty(tx)
		case len(v) != 4:
			return ErrDamaged
		case binary.BigEndian.Uint32(v) < Version:
			return ErrOlder
		case binary.BigEndian.Uint32(v) > Version:
			return fmt.Errorf("%w (version %d, this one reads %d)", ErrNewer, binary.BigEndian.Uint32(v), Version)
		}
		p, err := get(tx, []byte{keyPosition})
		if err != nil {
			return err
		}
		if p != nil {
			if len(p) != 40 {
				return ErrDamaged
			}
			n := func(i int) uint64 { return binary.BigEndian.Uint64(p[8*i:]) }
			s.at = Position{Turn: n(0), Sequence: n(1), Created: int64(n(2)), Epoch: n(3), Now: event.Time(n(4))}
		}
		for _, first := range []byte{keySegment, keyOutbox} {
			err := each(tx, []byte{first}, false, func(k, _ []byte) error {
				if turnOf(k) > s.at.Turn {
					beyond = append(beyond, k)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return explain(err)
	}
	w := s.begin()
	w.set([]byte{keyVersion}, binary.BigEndian.AppendUint32(nil, Version))
	for _, k := range beyond {
		w.delete(k)
	}
	return w.commit()
}

// empty refuses a folder that has keys but no version.
func (s *Store) empty(tx *badger.Txn) error {
	return each(tx, nil, false, func(_, _ []byte) error { return ErrDamaged })
}

func get(tx *badger.Txn, key []byte) ([]byte, error) {
	item, err := tx.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	v, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return v, nil
}

// each calls f for the keys below a prefix in their order. Keys are copies,
// values are valid during the call.
func each(tx *badger.Txn, prefix []byte, values bool, f func(k, v []byte) error) error {
	return eachFrom(tx, prefix, prefix, values, f)
}

// eachFrom is each from a key on.
func eachFrom(tx *badger.Txn, prefix, from []byte, values bool, f func(k, v []byte) error) error {
	it := tx.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: values, PrefetchSize: 16})
	defer it.Close()
	for it.Seek(from); it.Valid(); it.Next() {
		item := it.Item()
		k := item.KeyCopy(nil)
		if !values {
			if err := f(k, nil); err != nil {
				return err
			}
			continue
		}
		if err := item.Value(func(v []byte) error { return f(k, v) }); err != nil {
			return err
		}
	}
	return nil
}

// Position is what the last committed turn said.
func (s *Store) Position() Position { return s.at }

// Sessions gives back what the turns said of senders.
func (s *Store) Sessions(f func(key, value []byte) error) error {
	return s.db.View(func(tx *badger.Txn) error {
		return each(tx, []byte{keySession}, true, func(k, v []byte) error { return f(k[1:], v) })
	})
}

// Timeline returns the last committed revision, or state.ErrNotFound.
func (s *Store) Timeline(id string) (*timeline.Timeline, error) {
	t := new(timeline.Timeline)
	found, err := s.row(keyTimeline, id, t)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read timeline %s: %w", id, err)
	case !found:
		return nil, state.ErrNotFound
	}
	return t, nil
}

// Timelines calls f with the canonical form of the timelines whose id begins so, by
// id, and stops at the first error of f.
func (s *Store) Timelines(prefix string, f func(text []byte) error) error {
	return s.texts(append([]byte{keyTimeline}, prefix...), f)
}

func (s *Store) texts(prefix []byte, f func(text []byte) error) error {
	return s.db.View(func(tx *badger.Txn) error {
		return each(tx, prefix, true, func(_, v []byte) error {
			if len(v) < 4 {
				return ErrDamaged
			}
			text, err := s2.Decode(nil, v[4:])
			if err != nil {
				return fmt.Errorf("read results: %w", ErrDamaged)
			}
			return f(text)
		})
	})
}

// Alert returns what was last told of an alert, nil for nothing.
func (s *Store) Alert(id string) (*alert.Alert, error) {
	a := new(alert.Alert)
	found, err := s.row(keyAlert, id, a)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read alert %s: %w", id, err)
	case !found:
		return nil, nil
	}
	return a, nil
}

// Alerts calls f with the canonical form of what was last told of each alert that is
// kept, by id, and stops at the first error of f.
func (s *Store) Alerts(f func(text []byte) error) error {
	return s.texts([]byte{keyAlert}, f)
}

// row reads what kept wrote.
func (s *Store) row(first byte, id string, into any) (found bool, err error) {
	var v []byte
	err = s.db.View(func(tx *badger.Txn) (err error) {
		v, err = get(tx, append([]byte{first}, id...))
		return err
	})
	if err != nil || len(v) < 4 {
		return false, err
	}
	text, err := s2.Decode(nil, v[4:])
	if err != nil {
		return false, ErrDamaged
	}
	return true, json.Unmarshal(text, into)
}

// Sync makes everything committed survive a power cut; a crash of the program it
// survives without.
func (s *Store) Sync() error {
	if err := s.db.Sync(); err != nil {
		return fmt.Errorf("sync state: %w", explain(err))
	}
	return nil
}

// Size of the files, in bytes, as Badger last measured it (about once a minute).
func (s *Store) Size() int64 {
	lsm, vlog := s.db.Size()
	return lsm + vlog
}

// Close closes the files.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close state: %w", explain(err))
	}
	return nil
}

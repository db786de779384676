package disk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// rows are small values by key: Badger's, and in front of them what has changed since
// they were last written to it.
type rows struct {
	db *badger.DB

	mu      sync.RWMutex
	changed map[string][]byte // nil: deleted
	writing map[string][]byte // the same, on its way to Badger
}

// set changes a row; nil deletes it. The lock is held.
func (r *rows) set(k, v []byte) { r.changed[string(k)] = v }

// recent is what the rows in front say of a key.
func (r *rows) recent(k []byte) (v []byte, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if v, ok = r.changed[string(k)]; !ok {
		v, ok = r.writing[string(k)]
	}
	return v, ok
}

// get returns a row, nil for none.
func (r *rows) get(k []byte) (v []byte, err error) {
	if v, ok := r.recent(k); ok {
		return v, nil
	}
	// What goes to Badger leaves the front only when it is there.
	err = r.db.View(func(tx *badger.Txn) (err error) {
		v, err = get(tx, k)
		return err
	})
	return v, err
}

// each calls f for the rows below a prefix by key.
func (r *rows) each(prefix []byte, f func(k string, v []byte) error) error {
	r.mu.RLock()
	front := map[string][]byte{}
	for _, m := range []map[string][]byte{r.writing, r.changed} {
		for k, v := range m {
			if strings.HasPrefix(k, string(prefix)) {
				front[k] = v
			}
		}
	}
	r.mu.RUnlock()
	keys := make([]string, 0, len(front))
	for k := range front {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	// before calls f for the rows in front whose keys are before one.
	before := func(key string, all bool) error {
		for len(keys) > 0 && (all || keys[0] < key) {
			k := keys[0]
			keys = keys[1:]
			if v := front[k]; v != nil {
				if err := f(k, v); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err := r.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 16})
		defer it.Close()
		for it.Seek(prefix); it.Valid(); it.Next() {
			k := string(it.Item().KeyCopy(nil))
			if err := before(k, false); err != nil {
				return err
			}
			if _, ok := front[k]; ok {
				continue // newer in front
			}
			if err := it.Item().Value(func(v []byte) error { return f(k, v) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return before("", true)
}

// take makes what has changed ready to be written. The lock is held.
func (r *rows) take() map[string][]byte {
	r.writing, r.changed = r.changed, map[string][]byte{}
	return r.writing
}

// write brings to Badger what take returned, part by part: what is of a later one is
// there only if all before is. A part of some hundreds of rows is there as a whole.
func (r *rows) write(parts int, part func(k string, v []byte) int) error {
	lists := make([][]string, parts)
	for k, v := range r.writing {
		n := part(k, v)
		lists[n] = append(lists[n], k)
	}
	for _, list := range lists {
		if err := r.writeAll(list); err != nil {
			return err
		}
	}
	return nil
}

func (r *rows) writeAll(keys []string) error {
	tx := r.db.NewTransaction(true)
	defer func() { tx.Discard() }()
	one := func(k string) error {
		if v := r.writing[k]; v != nil {
			return tx.Set([]byte(k), v)
		}
		return tx.Delete([]byte(k))
	}
	for _, k := range keys {
		err := one(k)
		if errors.Is(err, badger.ErrTxnTooBig) {
			if err = tx.Commit(); err == nil {
				tx = r.db.NewTransaction(true)
				err = one(k)
			}
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// written forgets what write has brought to Badger.
func (r *rows) written() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = nil
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
	if v == nil {
		v = []byte{} // a row without a value
	}
	return v, nil
}

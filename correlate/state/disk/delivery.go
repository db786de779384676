package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Place is how far a stream of results was followed.
type Place struct {
	Sequence uint64
	Created  int64 // identity of the stream
}

// Delivery is what was seen in a stream of results, whoever sent it.
type Delivery struct {
	Stream string
	Place  Place
	// Sent are keys of the outbox, Heard the ids of messages that are not in it
	// yet: others have decided them first. Forget are ids of Heard that never came.
	Sent   [][]byte
	Heard  []string
	Forget []string
}

// Delivered notes a delivery, all of it or nothing unless it is very large.
func (s *Store) Delivered(d Delivery) error {
	w := s.begin()
	for _, k := range d.Sent {
		w.delete(k)
	}
	for _, id := range d.Heard {
		w.set(append([]byte{keyHeard}, id...), nil)
	}
	for _, id := range d.Forget {
		w.delete(append([]byte{keyHeard}, id...))
	}
	v := binary.BigEndian.AppendUint64(nil, d.Place.Sequence)
	w.set(append([]byte{keyPlace}, d.Stream...), binary.BigEndian.AppendUint64(v, uint64(d.Place.Created)))
	if err := w.commit(); err != nil {
		return fmt.Errorf("note what was sent: %w", err)
	}
	return nil
}

// Place returns how far a stream was followed, the zero Place for not at all.
func (s *Store) Place(stream string) (p Place, err error) {
	err = s.db.View(func(tx *badger.Txn) error {
		v, err := get(tx, append([]byte{keyPlace}, stream...))
		switch {
		case err != nil || v == nil:
			return err
		case len(v) != 16:
			return ErrDamaged
		}
		p = Place{binary.BigEndian.Uint64(v), int64(binary.BigEndian.Uint64(v[8:]))}
		return nil
	})
	return p, err
}

// Heard calls f for the ids that were heard and neither decided nor forgotten.
func (s *Store) Heard(f func(id string)) error {
	return s.db.View(func(tx *badger.Txn) error {
		return each(tx, []byte{keyHeard}, false, func(k, _ []byte) error {
			f(string(k[1:]))
			return nil
		})
	})
}

package disk

import "encoding/binary"

// Place is how far a stream of results was followed.
type Place struct {
	Sequence uint64
	Created  int64 // identity of the stream
}

// Delivery is what was seen in a stream of results, whoever sent it.
type Delivery struct {
	Stream string
	Place  Place
	// Seen are bundles of which more is out, Heard the ids of messages that are in no
	// bundle yet: others have decided them first. Forget are ids of Heard that are in
	// one now, or never came.
	Seen   []*Bundle
	Heard  []string
	Forget []string
}

// Delivered notes a delivery, all of it or nothing. After a crash of the program it may
// be that nothing was noted since the last Sync: the stream says it again, from the
// place that was noted with it.
func (s *Store) Delivered(d Delivery) {
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	for _, b := range d.Seen {
		if b.Sent() {
			s.rows.set([]byte(b.key), nil)
			delete(s.open, b.key)
		} else {
			s.rows.set([]byte(b.key), b.row())
		}
	}
	for _, id := range d.Heard {
		s.rows.set(append([]byte{keyHeard}, id...), []byte{})
	}
	for _, id := range d.Forget {
		s.rows.set(append([]byte{keyHeard}, id...), nil)
	}
	v := binary.BigEndian.AppendUint64(nil, d.Place.Sequence)
	s.rows.set([]byte(placeKey(d.Stream)), binary.BigEndian.AppendUint64(v, uint64(d.Place.Created)))
}

// Sent reports whether all of a bundle is out.
func (b *Bundle) Sent() bool {
	for _, out := range b.Out {
		if !out {
			return false
		}
	}
	return true
}

// Place returns how far a stream was followed, the zero Place for not at all.
func (s *Store) Place(stream string) (p Place, err error) {
	v, err := s.rows.get([]byte(placeKey(stream)))
	switch {
	case err != nil || v == nil:
		return p, err
	case len(v) != 16:
		return p, ErrDamaged
	}
	return Place{binary.BigEndian.Uint64(v), int64(binary.BigEndian.Uint64(v[8:]))}, nil
}

// Heard calls f for the ids that were heard and neither decided nor forgotten.
func (s *Store) Heard(f func(id string)) error {
	return s.rows.each([]byte{keyHeard}, func(k string, _ []byte) error {
		f(k[1:])
		return nil
	})
}

package disk

import (
	"encoding/binary"
	"errors"

	"github.com/sennit-io/sennit/schemas/event"
)

// rowsPerTurn bounds what a turn that decides nothing pays for the past.
const rowsPerTurn = 512

// expiring is a row that pointed to a record of the oldest file of results.
type expiring struct {
	key []byte
	at  uint64
}

// expire removes what has left its retention: files of turns, and files of results when
// nothing in them waits to be sent and the rows that point to them are gone, some of
// them in each turn.
func (s *Store) expire(now event.Time, most int, r *turnRecord) error {
	if now == 0 {
		return nil
	}
	s.rows.mu.RLock()
	safe := s.safe
	s.rows.mu.RUnlock()
	for {
		_, end, ok := s.turns.over(now.Add(-s.opts.Retention))
		if !ok || end > safe { // Badger, after a power cut, may still be where it begins
			break
		}
		if err := s.turns.remove(); err != nil {
			return err
		}
	}
	if s.expired && s.goes < safe { // so is the turn that removed the last rows
		if err := s.results.remove(); err != nil {
			return err
		}
		s.expired = false
	}
	start, end, ok := s.results.over(now.Add(-s.opts.Keep))
	if !ok || s.expired || s.oldestWaiting() < end {
		return nil
	}
	if len(s.expiring) == 0 {
		if err := s.listExpiring(start, end); err != nil {
			return err
		}
	}
	for n := 0; n < most && len(s.expiring) > 0; n++ {
		one := s.expiring[0]
		s.expiring = s.expiring[1:]
		row, err := s.rows.get(one.key)
		if err != nil {
			return err
		}
		if len(row) >= 8 && binary.BigEndian.Uint64(row) == one.at { // no later result
			r.row(one.key, nil)
		}
	}
	s.expired, s.goes = len(s.expiring) == 0, s.turns.end
	return nil
}

// listExpiring lists the rows that the records of a file of results were found by.
func (s *Store) listExpiring(start, end uint64) error {
	_, err := s.results.scan(start, func(at uint64, _ event.Time, said []byte) error {
		if at >= end {
			return errStop
		}
		b, of, _, err := readBundle(said)
		if err != nil {
			return err
		}
		for _, id := range of {
			if id != "" {
				s.expiring = append(s.expiring, expiring{append([]byte{b.Kind}, id...), at})
			}
		}
		return nil
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// oldestWaiting is the place of the oldest record that is not wholly sent.
func (s *Store) oldestWaiting() uint64 {
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	for len(s.waiting) > 0 && !s.open[s.waiting[0].key] {
		s.waiting = s.waiting[1:]
	}
	if len(s.waiting) == 0 {
		return 1<<64 - 1
	}
	return s.waiting[0].at
}

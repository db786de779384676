package disk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/klauspost/compress/s2"

	"github.com/sennit-io/sennit/correlate/state"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Kinds of results that are kept to be looked up. The caller may have others.
const (
	KindTimeline = 't' // many share a bundle
	KindAlert    = 'a'
)

// Result is something decided, on its way to the outside.
type Result struct {
	Kind byte
	ID   string // of the message: the same whoever decides it
	Of   string // id of the timeline or alert, under which the last result is found
	Note string // what Note gives back
	Data []byte
	JSON interface{ AppendJSON(b []byte) []byte } // if not nil, gives the data
	// Known is set for what need not be sent.
	Known bool
}

// Bundle is results that are sent together.
type Bundle struct {
	Kind byte
	IDs  []string // of the messages
	Out  []bool   // those that are sent; nil for none
	at   uint64   // its record
	key  string
}

// A bundle of timelines is their lines as one S2 block. One has at most so many.
const (
	mostInBundle = 256
	bundleBytes  = 256 << 10
)

// bundle writes a turn's results, and the rows by which they are found. It returns the
// bundles that are to be sent.
func (s *Store) bundle(t *Turn, r *turnRecord) (list []Bundle, err error) {
	for rest, place := t.Results, 0; len(rest) > 0; place++ {
		// They are written where they are packed: what is warm is packed cheaply.
		plain, n := rest[0].append(s.scratch.plain[:0]), 1
		for rest[0].Kind == KindTimeline && n < len(rest) && n < mostInBundle && rest[n].Kind == KindTimeline && len(plain) < bundleBytes {
			plain = rest[n].append(plain)
			n++
		}
		s.scratch.plain = plain
		b, err := s.bundleOf(rest[:n], plain, t, r, place)
		if err != nil {
			return nil, err
		}
		rest = rest[n:]
		if b.key != "" {
			list = append(list, b)
		}
	}
	return list, nil
}

// append appends the result's data, a line of a timeline.
func (r *Result) append(b []byte) []byte {
	if r.JSON != nil {
		b = r.JSON.AppendJSON(b)
	} else {
		b = append(b, r.Data...)
	}
	if r.Kind == KindTimeline {
		b = append(b, '\n')
	}
	return b
}

// bundleOf writes one bundle: kind, the number of results, for each its id and what it
// is of after their lengths, and the body.
func (s *Store) bundleOf(list []Result, body []byte, t *Turn, r *turnRecord, place int) (b Bundle, err error) {
	b.Kind = list[0].Kind
	if b.Kind == KindTimeline {
		body = s.pack(body)
	}
	known := 0
	record := append(append(s.scratch.record[:0], make([]byte, recordHead)...), b.Kind)
	record = binary.AppendUvarint(record, uint64(len(list)))
	b.Out = make([]bool, len(list))
	for i := range list {
		one := &list[i]
		record = append(binary.AppendUvarint(record, uint64(len(one.ID))), one.ID...)
		record = append(binary.AppendUvarint(record, uint64(len(one.Of))), one.Of...)
		b.IDs = append(b.IDs, one.ID)
		if b.Out[i] = one.Known; one.Known {
			known++
		}
	}
	record = append(record, body...)
	s.scratch.record = record
	if b.at, err = s.results.append(t.At.Now, record); err != nil {
		return b, err
	}
	for i := range list {
		if one := &list[i]; one.Of != "" {
			v := binary.BigEndian.AppendUint64(nil, b.at)
			v = binary.BigEndian.AppendUint16(v, uint16(i))
			r.row(append([]byte{one.Kind}, one.Of...), append(v, one.Note...))
		}
	}
	if known < len(list) {
		k := bundleKey(t.At.Turn, place)
		b.key = string(k)
		r.row(k, b.row())
		s.wait(&b)
	}
	return b, nil
}

// row is what is kept of a bundle until it is sent: where it is, and which of its
// results are out already.
func (b *Bundle) row() []byte {
	v := binary.BigEndian.AppendUint64(nil, b.at)
	for i, out := range b.Out {
		if out {
			v = binary.BigEndian.AppendUint16(v, uint16(i))
		}
	}
	return v
}

func (s *Store) wait(b *Bundle) {
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	s.waiting = append(s.waiting, waiting{b.key, b.at})
	s.open[b.key] = true
}

// readBundle reads what bundleOf wrote. The body shares the bytes.
func readBundle(said []byte) (b Bundle, of []string, body []byte, err error) {
	if len(said) == 0 {
		return b, nil, nil, ErrDamaged
	}
	b.Kind = said[0]
	count, n := binary.Uvarint(said[1:])
	if n <= 0 || count > uint64(len(said)) {
		return b, nil, nil, ErrDamaged
	}
	body = said[1+n:]
	for range count {
		var id, what []byte
		ok := false
		if id, body, ok = cut(body); !ok {
			return b, nil, nil, ErrDamaged
		}
		if what, body, ok = cut(body); !ok {
			return b, nil, nil, ErrDamaged
		}
		b.IDs, of = append(b.IDs, string(id)), append(of, string(what))
	}
	b.Out = make([]bool, count)
	return b, of, body, nil
}

// Outbox calls f for the bundles that wait, oldest first.
func (s *Store) Outbox(f func(b *Bundle) error) error {
	err := s.rows.each([]byte{keyBundle}, func(k string, v []byte) error {
		if len(v) < 8 || len(v)%2 != 0 {
			return ErrDamaged
		}
		at := binary.BigEndian.Uint64(v)
		said, err := s.results.read(at)
		if err != nil {
			return fmt.Errorf("%w (%w)", ErrDamaged, err)
		}
		b, _, _, err := readBundle(said)
		if err != nil {
			return err
		}
		b.key, b.at = k, at
		for v = v[8:]; len(v) > 0; v = v[2:] {
			i := int(binary.BigEndian.Uint16(v))
			if i >= len(b.Out) {
				return ErrDamaged
			}
			b.Out[i] = true
		}
		return f(&b)
	})
	if err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	return nil
}

// Body is what is to be sent of a bundle: its results' data, of timelines as one S2
// block of lines.
func (s *Store) Body(b *Bundle) ([]byte, error) {
	said, err := s.results.read(b.at)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w (%w)", ErrDamaged, err)
	}
	_, _, body, err := readBundle(said)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return body, nil
}

// text reads the result that a row points to, nil for one that is over.
func (s *Store) text(row []byte) ([]byte, error) {
	if len(row) < 10 {
		return nil, ErrDamaged
	}
	said, err := s.results.read(binary.BigEndian.Uint64(row))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, _, body, err := readBundle(said)
	if err != nil {
		return nil, err
	}
	if b.Kind != KindTimeline {
		return body, nil
	}
	plain, err := s2.Decode(nil, body)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	for i := binary.BigEndian.Uint16(row[8:]); i > 0; i-- {
		_, plain, _ = bytes.Cut(plain, []byte{'\n'})
	}
	line, _, ok := bytes.Cut(plain, []byte{'\n'})
	if !ok {
		return nil, ErrDamaged
	}
	return line, nil
}

// find reads the last result of a kind and id into a value.
func (s *Store) find(kind byte, id string, into any) (found bool, err error) {
	row, err := s.rows.get(append([]byte{kind}, id...))
	if err != nil || row == nil {
		return false, err
	}
	text, err := s.text(row)
	if err != nil || text == nil {
		return false, err
	}
	return true, json.Unmarshal(text, into)
}

// Note returns the note of the last result of a kind and id, "" for none.
func (s *Store) Note(kind byte, id string) (string, error) {
	row, err := s.rows.get(append([]byte{kind}, id...))
	switch {
	case err != nil:
		return "", fmt.Errorf("look up %s: %w", id, err)
	case row == nil:
		return "", nil
	case len(row) < 10:
		return "", fmt.Errorf("look up %s: %w", id, ErrDamaged)
	}
	return string(row[10:]), nil
}

// Timeline returns the last committed revision, or state.ErrNotFound.
func (s *Store) Timeline(id string) (*timeline.Timeline, error) {
	t := new(timeline.Timeline)
	found, err := s.find(KindTimeline, id, t)
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
	return s.texts(KindTimeline, prefix, f)
}

// Alerts calls f with the canonical form of what was last told of each alert that is
// kept, by id, and stops at the first error of f.
func (s *Store) Alerts(f func(text []byte) error) error { return s.texts(KindAlert, "", f) }

func (s *Store) texts(kind byte, prefix string, f func(text []byte) error) error {
	return s.rows.each(append([]byte{kind}, prefix...), func(_ string, row []byte) error {
		text, err := s.text(row)
		if err != nil {
			return fmt.Errorf("read results: %w", err)
		}
		if text == nil {
			return nil
		}
		return f(text)
	})
}

// Alert returns what was last told of an alert, nil for nothing.
func (s *Store) Alert(id string) (*alert.Alert, error) {
	a := new(alert.Alert)
	found, err := s.find(KindAlert, id, a)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read alert %s: %w", id, err)
	case !found:
		return nil, nil
	}
	return a, nil
}

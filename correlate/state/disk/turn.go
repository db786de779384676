package disk

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/sennit-io/sennit/correlate/state"
	"github.com/sennit-io/sennit/schemas/event"
)

// Turn is one step of a processor: what it read, and what came of this turn or of
// those before.
type Turn struct {
	// Pushes are what the engine was given, in the order of the stream.
	Pushes []Push
	// At is where the turn ends; its number of turns is filled in, and limits Decided.
	At Position
	// Session calls its argument for each sender to remember, with an empty
	// value for one to forget. May be nil.
	Session func(put func(key, value []byte))
	// Results are what was decided, in its order.
	Results []Result
	// Done is the engine's clock at the end of the turn At.Decided: what has left its
	// retention by then is removed. 0 removes nothing.
	Done event.Time
}

// Push is the events that the engine was given at once, and its clock then. With
// none, time has passed.
type Push struct {
	Now    event.Time
	Events []event.Event
	// Envelope holds the events as the stream has them, and is kept instead: Recover
	// gives it back. Nil where the events are not exactly those.
	Envelope []byte
}

// Kinds of pushes in a record.
const (
	pushEvents   = 0
	pushEnvelope = 1
)

// scratch is the room in which records are made.
type scratch struct {
	record, plain, packed, one []byte
}

// Commit makes the engine's batch durable, as results that need not be sent.
func (s *Store) Commit(b state.Batch) error {
	t := Turn{At: s.Position()}
	t.At.Decided = math.MaxUint64
	if b.Watermark != event.Never {
		t.At.Now = max(t.At.Now, b.Watermark)
	}
	t.Done = t.At.Now
	for _, one := range b.Outbox {
		t.Results = append(t.Results, Result{Kind: KindTimeline, ID: one.ID, Of: one.ID, JSON: one, Known: true})
	}
	_, err := s.Turn(t)
	return err
}

// Turn commits a turn, all of it or nothing, and returns what is to be sent of it.
// After an error the store must be closed and opened again; nothing of the turn may be
// delivered.
func (s *Store) Turn(t Turn) ([]Bundle, error) {
	bundles, err := s.turn(&t)
	if err != nil {
		return nil, fmt.Errorf("commit turn: %w", explain(err))
	}
	return bundles, nil
}

func (s *Store) turn(t *Turn) ([]Bundle, error) {
	if err := spaceFor(s.dir, s.opts.MinFree); err != nil {
		return nil, err
	}
	t.At.Turn = s.Position().Turn + 1
	t.At.Decided = min(t.At.Decided, t.At.Turn)
	r := turnRecord{at: t.At}
	bundles, err := s.bundle(t, &r)
	if err != nil {
		return nil, err
	}
	if t.Session != nil {
		t.Session(func(k, v []byte) {
			if len(v) == 0 {
				v = nil
			}
			r.row(append([]byte{keySession}, k...), v)
		})
	}
	if err := s.expire(t.Done, rowsPerTurn+2*len(t.Results), &r); err != nil {
		return nil, err
	}
	r.results = s.results.end
	if _, err := s.turns.append(t.At.Now, s.record(t, &r)); err != nil {
		return nil, err
	}
	s.apply(&r, s.turns.end)
	return bundles, nil
}

// turnRecord is a turn as it is written, without its pushes: where it ends, where the
// results end that belong to it, and the rows that it changes.
type turnRecord struct {
	at      Position
	results uint64
	keys    [][]byte
	values  [][]byte // nil: the row goes
	pushes  []byte   // of one that was read
}

func (r *turnRecord) row(k, v []byte) { r.keys, r.values = append(r.keys, k), append(r.values, v) }

// record writes a turn: position and end of the results (u64), the number of rows, each
// with its key and its value after their lengths, 0 for one that goes and one more
// than its length for one that stays; then the pushes: kind, clock (u64), length, what
// it says. Numbers are uvarints where nothing is said.
func (s *Store) record(t *Turn, r *turnRecord) []byte {
	b := append(s.scratch.record[:0], make([]byte, recordHead)...)
	b = binary.BigEndian.AppendUint64(appendPosition(b, &r.at), r.results)
	b = binary.AppendUvarint(b, uint64(len(r.keys)))
	for i, k := range r.keys {
		b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
		if v := r.values[i]; v == nil {
			b = binary.AppendUvarint(b, 0)
		} else {
			b = append(binary.AppendUvarint(b, uint64(len(v))+1), v...)
		}
	}
	for i := range t.Pushes {
		p := &t.Pushes[i]
		kind, said := byte(pushEnvelope), p.Envelope
		if said == nil {
			kind, said = pushEvents, s.events(p.Events)
		}
		b = binary.BigEndian.AppendUint64(append(b, kind), uint64(p.Now))
		b = append(binary.AppendUvarint(b, uint64(len(said))), said...)
	}
	s.scratch.record = b
	return b
}

// events packs events as one S2 block, each after its length.
func (s *Store) events(list []event.Event) []byte {
	if len(list) == 0 {
		return nil
	}
	plain, one := s.scratch.plain[:0], s.scratch.one
	for i := range list {
		one = list[i].AppendWire(one[:0])
		plain = append(binary.AppendUvarint(plain, uint64(len(one))), one...)
	}
	s.scratch.plain, s.scratch.one = plain, one
	return s.pack(plain)
}

// pack makes an S2 block that is good until the next one.
func (s *Store) pack(plain []byte) []byte {
	s.scratch.packed = slices.Grow(s.scratch.packed[:0], s2.MaxEncodedLen(len(plain)))
	s.scratch.packed = s2.Encode(s.scratch.packed[:cap(s.scratch.packed)], plain)
	return s.scratch.packed
}

// cut takes bytes after their length off a record.
func cut(b []byte) (v, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size)], b[n+int(size):], true
}

// readTurn reads what record wrote. It shares the bytes.
func readTurn(b []byte) (r turnRecord, err error) {
	const head = (positionNumbers + 1) * 8
	if len(b) < head {
		return r, ErrDamaged
	}
	r.at, r.results = readPosition(b), binary.BigEndian.Uint64(b[positionNumbers*8:])
	b = b[head:]
	count, n := binary.Uvarint(b)
	if n <= 0 {
		return r, ErrDamaged
	}
	b = b[n:]
	for range count {
		k, rest, ok := cut(b)
		if !ok {
			return r, ErrDamaged
		}
		size, n := binary.Uvarint(rest)
		switch {
		case n <= 0 || size > uint64(len(rest)-n)+1:
			return r, ErrDamaged
		case size == 0:
			r.row(k, nil)
			b = rest[n:]
		default:
			r.row(k, rest[n:n+int(size)-1])
			b = rest[n+int(size)-1:]
		}
	}
	r.pushes = b
	return r, nil
}

// apply changes the rows of a turn whose record ends at a place.
func (s *Store) apply(r *turnRecord, end uint64) {
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	for i, k := range r.keys {
		v := r.values[i]
		if v != nil {
			v = append([]byte{}, v...)
		}
		s.rows.set(k, v)
	}
	s.rows.set([]byte{keyPosition}, nil) // filled in when it is written
	s.at, s.turnsEnd, s.resultsEnd = r.at, end, r.results
}

// Recover gives back the pushes of the turns that are still kept, oldest first, each with
// the number of its turn: their envelope, which is valid during the call, or else their
// events. The batch may be kept.
func (s *Store) Recover(strings event.Interner, f func(turn uint64, now event.Time, envelope []byte, b *event.Batch) error) error {
	r := event.WireReader{Strings: strings}
	_, err := s.turns.scan(0, func(_ uint64, _ event.Time, said []byte) error {
		t, err := readTurn(said)
		if err != nil {
			return err
		}
		for p := t.pushes; len(p) > 0; {
			if len(p) < 9 {
				return ErrDamaged
			}
			kind, now := p[0], event.Time(binary.BigEndian.Uint64(p[1:]))
			what, rest, ok := cut(p[9:])
			if !ok {
				return ErrDamaged
			}
			p = rest
			if kind == pushEnvelope {
				if err := f(t.at.Turn, now, what, nil); err != nil {
					return err
				}
				continue
			}
			b := new(event.Batch)
			if err := readEvents(&r, what, b); err != nil {
				return err
			}
			if err := f(t.at.Turn, now, nil, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recover state: %w", explain(err))
	}
	return nil
}

func readEvents(r *event.WireReader, packed []byte, b *event.Batch) error {
	if len(packed) == 0 {
		return nil
	}
	plain, err := s2.Decode(nil, packed)
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	for len(plain) > 0 {
		one, rest, ok := cut(plain)
		if !ok {
			return ErrDamaged
		}
		if err := r.Read(b, one); err != nil {
			return fmt.Errorf("%w (%w)", ErrDamaged, err)
		}
		plain = rest
	}
	return nil
}

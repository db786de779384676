package disk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/klauspost/compress/s2"

	"github.com/sennit-io/sennit/correlate/state"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Message is something on its way to the outside.
type Message struct {
	Kind byte   // the caller's own
	ID   string // the same however often it is sent
	Data []byte
}

// Turn is one step of a processor: what it read, and what came of it.
type Turn struct {
	// Events in the order of the stream, and how they were pushed.
	Events []event.Event
	Pushes []Push
	// At is where the turn ends; its number of turns is filled in.
	At Position
	// Session calls its argument for each sender to remember, with an empty
	// value for one to forget. May be nil.
	Session func(put func(key, value []byte))
	// Timelines are the revisions decided, Alerts what was told last of alerts,
	// Outbox what is to be sent.
	Timelines []*timeline.Timeline
	Alerts    []alert.Alert
	Outbox    []Message
	// Heard are the ids of Delivery.Heard that were decided in this turn.
	Heard []string
}

// Push is so many events that the engine was given at once, and its clock then.
// With none, time has passed.
type Push struct {
	Now    event.Time
	Events int
}

// segmentSize is how many bytes of events make a part of a segment.
const segmentSize = 256 << 10

// Commit makes the engine's batch durable.
func (s *Store) Commit(b state.Batch) error {
	at := s.at
	at.Now = max(at.Now, b.Watermark)
	if b.Watermark == event.Never {
		at.Now = s.at.Now
	}
	return s.Turn(Turn{At: at, Timelines: b.Outbox})
}

// Turn commits a turn, all of it or nothing. After an error the store must be
// closed and opened again; nothing of the turn may be delivered.
func (s *Store) Turn(t Turn) error {
	if err := spaceFor(s.dir, s.opts.MinFree); err != nil {
		return fmt.Errorf("commit turn: %w", err)
	}
	t.At.Turn = s.at.Turn + 1
	w := s.begin()
	// What is large comes first: if it does not fit into one transaction, what
	// went ahead counts only once the position, in the last one, says so.
	for i, m := range t.Outbox {
		w.set(OutboxKey(t.At.Turn, i), append(append(append([]byte{m.Kind}, m.ID...), 0), s2.Encode(nil, m.Data)...))
	}
	w.segments(&t)
	for _, id := range t.Heard {
		w.delete(append([]byte{keyHeard}, id...))
	}
	w.timelines(t.Timelines, s.opts.Keep.Nanoseconds())
	for i := range t.Alerts {
		a := &t.Alerts[i]
		w.kept(keyAlert, keyAlertEnd, a.ID, bucketOf(t.At.Now.Add(s.opts.Keep))+1, a.AppendJSON(nil))
	}
	w.expire(t.At.Now)
	if t.Session != nil {
		t.Session(func(k, v []byte) {
			k = append([]byte{keySession}, k...)
			if len(v) == 0 {
				w.delete(k)
			} else {
				w.set(k, v)
			}
		})
	}
	var p []byte
	for _, v := range []uint64{t.At.Turn, t.At.Sequence, uint64(t.At.Created), t.At.Epoch, uint64(t.At.Now)} {
		p = binary.BigEndian.AppendUint64(p, v)
	}
	w.set([]byte{keyPosition}, p)
	if err := w.commit(); err != nil {
		return fmt.Errorf("commit turn: %w", err)
	}
	s.at = t.At
	return nil
}

// Recover gives back the pushes of the turns that are still kept, oldest first. The
// batch may be kept.
func (s *Store) Recover(strings event.Interner, f func(now event.Time, b *event.Batch) error) error {
	r := event.WireReader{Strings: strings}
	var now event.Time
	var b *event.Batch
	flush := func() error {
		if b == nil {
			return nil
		}
		full := b
		b = nil
		return f(now, full)
	}
	segment := func(plain []byte) error {
		for len(plain) > 0 {
			size, n := binary.Uvarint(plain)
			if n <= 0 || size > uint64(len(plain)-n) {
				return ErrDamaged
			}
			plain = plain[n:]
			if size == 0 { // the next push
				if err := flush(); err != nil {
					return err
				}
				if len(plain) < 8 {
					return ErrDamaged
				}
				now, b = event.Time(binary.BigEndian.Uint64(plain)), new(event.Batch)
				plain = plain[8:]
				continue
			}
			if b == nil {
				return ErrDamaged
			}
			if err := r.Read(b, plain[:size]); err != nil {
				return fmt.Errorf("%w (%w)", ErrDamaged, err)
			}
			plain = plain[size:]
		}
		return nil
	}
	err := s.db.View(func(tx *badger.Txn) error {
		return each(tx, []byte{keySegment}, true, func(_, v []byte) error {
			plain, err := s2.Decode(nil, v)
			if err != nil {
				return fmt.Errorf("%w (%w)", ErrDamaged, err)
			}
			return segment(plain)
		})
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("recover state: %w", err)
	}
	return nil
}

// Outbox calls f for the messages that wait, oldest first, at most limit. The
// key it is given is for Sent. From, if not nil, is a key before which none waits:
// what was sent is not stepped over then.
func (s *Store) Outbox(from []byte, limit int, f func(key []byte, m Message) error) error {
	enough := errors.New("enough")
	if from == nil {
		from = []byte{keyOutbox}
	}
	err := s.db.View(func(tx *badger.Txn) error {
		return eachFrom(tx, []byte{keyOutbox}, from, true, func(k, v []byte) error {
			if limit--; limit < 0 {
				return enough
			}
			for i := 1; i < len(v); i++ {
				if v[i] == 0 {
					data, err := s2.Decode(nil, v[i+1:])
					if err != nil {
						return fmt.Errorf("%w (%w)", ErrDamaged, err)
					}
					return f(k, Message{Kind: v[0], ID: string(v[1:i]), Data: data})
				}
			}
			return ErrDamaged
		})
	})
	if err != nil && !errors.Is(err, enough) {
		return fmt.Errorf("read outbox: %w", err)
	}
	return nil
}

// Sent removes messages that were delivered.
func (s *Store) Sent(keys [][]byte) error {
	w := s.begin()
	for _, k := range keys {
		w.delete(k)
	}
	if err := w.commit(); err != nil {
		return fmt.Errorf("clear outbox: %w", err)
	}
	return nil
}

// writer is one transaction, or several where it does not fit.
type writer struct {
	s   *Store
	tx  *badger.Txn
	err error
}

func (s *Store) begin() *writer { return &writer{s: s, tx: s.db.NewTransaction(true)} }

func (w *writer) do(f func(*badger.Txn) error) {
	if w.err != nil {
		return
	}
	if w.err = f(w.tx); errors.Is(w.err, badger.ErrTxnTooBig) {
		if w.err = w.tx.Commit(); w.err != nil {
			return
		}
		w.tx = w.s.db.NewTransaction(true)
		w.err = f(w.tx)
	}
}

func (w *writer) set(k, v []byte) {
	w.do(func(tx *badger.Txn) error { return tx.Set(k, v) })
}
func (w *writer) delete(k []byte) { w.do(func(tx *badger.Txn) error { return tx.Delete(k) }) }

func (w *writer) commit() error {
	if w.err == nil {
		w.err = w.tx.Commit()
	} else {
		w.tx.Discard()
	}
	if w.err != nil {
		return explain(w.err)
	}
	return nil
}

// segments writes the turn's pushes: a zero and the clock, then each event after
// its length.
func (w *writer) segments(t *Turn) {
	var one []byte
	plain := w.s.plain[:0]
	defer func() { w.s.plain = plain }()
	part := 0
	write := func() {
		w.set(segmentKey(bucketOf(t.At.Now), t.At.Turn, part), s2.Encode(nil, plain))
		part++
		plain = plain[:0]
	}
	events := t.Events
	for _, p := range t.Pushes {
		plain = binary.BigEndian.AppendUint64(append(plain, 0), uint64(p.Now))
		for i := range events[:p.Events] {
			one = events[i].AppendWire(one[:0])
			plain = append(binary.AppendUvarint(plain, uint64(len(one))), one...)
			if len(plain) >= segmentSize {
				write()
			}
		}
		events = events[p.Events:]
	}
	if len(plain) > 0 {
		write()
	}
}

func (w *writer) timelines(list []*timeline.Timeline, keep int64) {
	for _, t := range list {
		w.kept(keyTimeline, keyExpiry, t.ID, bucketOf(t.End+event.Time(keep))+1, t.AppendJSON(nil))
	}
}

// kept writes a row that expires with a bucket.
func (w *writer) kept(row, expiry byte, id string, bucket uint32, text []byte) {
	v := binary.BigEndian.AppendUint32(nil, bucket)
	w.set(append([]byte{row}, id...), append(v, s2.Encode(nil, text)...))
	w.set(expiryKey(expiry, bucket, id), nil)
}

// deletesPerTurn bounds what a turn pays for the past.
const deletesPerTurn = 512

// expire deletes what left its retention, some in each turn.
func (w *writer) expire(now event.Time) {
	s := w.s
	if b := bucketOf(now); b != s.swept && len(s.expired) == 0 && w.err == nil {
		s.swept = b
		w.err = s.db.View(func(tx *badger.Txn) error { return s.sweep(tx, now) })
	}
	for n := 0; n < deletesPerTurn && len(s.expired) > 0; n++ {
		w.delete(s.expired[0])
		s.expired = s.expired[1:]
	}
}

// sweep lists the keys of the buckets that are over.
func (s *Store) sweep(tx *badger.Txn, now event.Time) error {
	last := bucketOf(now.Add(-s.opts.Retention))
	over := errors.New("over")
	err := each(tx, []byte{keySegment}, false, func(k, _ []byte) error {
		if binary.BigEndian.Uint32(k[1:]) >= last {
			return over
		}
		s.expired = append(s.expired, k)
		return nil
	})
	for _, of := range []struct{ expiry, row byte }{{keyExpiry, keyTimeline}, {keyAlertEnd, keyAlert}} {
		if err != nil && !errors.Is(err, over) {
			return err
		}
		err = each(tx, []byte{of.expiry}, false, func(k, _ []byte) error {
			bucket := binary.BigEndian.Uint32(k[1:])
			if bucket >= bucketOf(now) {
				return over
			}
			s.expired = append(s.expired, k)
			row := append([]byte{of.row}, k[5:]...)
			v, err := get(tx, row)
			if err != nil {
				return err
			}
			if len(v) >= 4 && binary.BigEndian.Uint32(v) <= bucket { // no later revision
				s.expired = append(s.expired, row)
			}
			return nil
		})
	}
	if errors.Is(err, over) {
		return nil
	}
	return err
}

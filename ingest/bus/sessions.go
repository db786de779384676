package bus

import (
	"encoding/binary"
	"errors"

	"github.com/sennit-io/sennit/schemas/event"
)

// span is how many envelopes of a session may overtake each other.
const span = 1024

// Sessions remembers which envelopes were taken. It is the processor's filter of
// duplicates: JetStream's own knows a bounded time only. The node belongs to the
// key, so that no node can use up the numbers of another. Not for concurrent use.
type Sessions struct {
	windows map[string]*window
	changed map[string]bool
}

// window is what was taken of one session: bit i is sequence high-i.
type window struct {
	high   uint64
	bits   [span / 64]uint64
	newest event.Time // of its events
	seen   event.Time // by the stream's clock
}

// NewSessions returns one that has seen nothing.
func NewSessions() *Sessions {
	return &Sessions{windows: make(map[string]*window), changed: make(map[string]bool)}
}

func sessionKey(node string, s Session) string { return string(s[:]) + node }

// Take notes an envelope. It reports whether the envelope was taken before, and
// how many of its session are now missing for good, with the event time from
// which on.
func (s *Sessions) Take(node string, h *Head, newest, now event.Time) (duplicate bool, missing uint64, since event.Time) {
	key := sessionKey(node, h.Session)
	w := s.windows[key]
	if w == nil {
		w = &window{}
		s.windows[key] = w
	}
	since = w.newest
	switch {
	case h.Sequence > w.high:
		missing = w.slide(h.Sequence)
	case w.high-h.Sequence >= span || w.has(w.high-h.Sequence):
		return true, 0, 0
	}
	i := w.high - h.Sequence
	w.bits[i/64] |= 1 << (i % 64)
	w.newest, w.seen = max(w.newest, newest), max(w.seen, now)
	s.changed[key] = true
	return false, missing, since
}

func (w *window) has(i uint64) bool { return w.bits[i/64]>>(i%64)&1 == 1 }

// slide makes high the newest and returns how many sequences left the window
// without having come.
func (w *window) slide(high uint64) (missing uint64) {
	by := high - w.high
	for i := range min(by, span) { // what leaves, the oldest first
		if at := span - 1 - i; w.high > at && !w.has(at) {
			missing++
		}
	}
	if by > span {
		missing += by - span
	}
	var moved [span / 64]uint64
	if by < span {
		words, bits := int(by/64), by%64
		for i := words; i < len(moved); i++ {
			moved[i] = w.bits[i-words] << bits
			if bits > 0 && i > words {
				moved[i] |= w.bits[i-words-1] >> (64 - bits)
			}
		}
	}
	w.high, w.bits = high, moved
	return missing
}

// Changed calls f for every session that changed since the last call, with its
// form for the state; an empty value asks to forget it, because nothing came for
// so long before now that nothing old can come any more.
func (s *Sessions) Changed(forget event.Time, f func(key, value []byte)) {
	for key := range s.changed {
		f([]byte(key), s.windows[key].append(nil))
	}
	clear(s.changed)
	for key, w := range s.windows {
		if w.seen < forget {
			delete(s.windows, key)
			f([]byte(key), nil)
		}
	}
}

// Len is the number of sessions remembered.
func (s *Sessions) Len() int { return len(s.windows) }

func (w *window) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, w.high)
	b = binary.BigEndian.AppendUint64(b, uint64(w.newest))
	b = binary.BigEndian.AppendUint64(b, uint64(w.seen))
	for _, v := range w.bits {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

// Restore takes back what Changed gave.
func (s *Sessions) Restore(key, value []byte) error {
	if len(key) < len(Session{}) || len(value) != 24+span/8 {
		return errors.New("restore session: not of this version")
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(value[8*i:]) }
	w := &window{high: at(0), newest: event.Time(at(1)), seen: event.Time(at(2))}
	for i := range w.bits {
		w.bits[i] = at(3 + i)
	}
	s.windows[string(key)] = w
	return nil
}

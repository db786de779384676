package tetragon

import (
	"encoding/binary"

	"github.com/sennit-io/sennit/ingest/scan"
)

// memo remembers objects by their text. Tetragon repeats a container's pod and
// a process's parent byte for byte in every event, more than half of a record,
// and comparing them is far cheaper than reading them. An object is complete, so
// a text that goes on with exactly a known one holds that object and cannot be
// misread.
type memo[T any] struct {
	slots [memoSlots]struct {
		text []byte
		val  T
	}
}

const (
	memoSlots = 1024
	memoLook  = 96      // bytes that choose the slot: the names, or the exec id
	memoText  = 4 << 10 // longest text kept
)

// slot returns the place for the object that comes next.
func (m *memo[T]) slot(s *scan.JSON) int {
	h := uint64(0)
	b := s.Ahead(memoLook)
	for ; len(b) >= 8; b = b[8:] {
		h = (h ^ binary.LittleEndian.Uint64(b)) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return int(h >> 32 % memoSlots)
}

// read returns the object that comes next if slot i knows it, and passes over
// it; else it says false and nothing has moved.
func (m *memo[T]) read(s *scan.JSON, i int) (*T, bool) {
	p := &m.slots[i]
	return &p.val, len(p.text) > 0 && s.Literal(view(p.text))
}

// keep makes slot i know val, read from text, which is copied.
func (m *memo[T]) keep(i int, text []byte, val T) {
	if len(text) <= memoText {
		p := &m.slots[i]
		p.text, p.val = append(p.text[:0], text...), val
	}
}

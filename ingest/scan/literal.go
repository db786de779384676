package scan

import (
	"encoding/binary"
	"math/bits"
)

// Mark is a place in a text to come back to: the start of a value.
type Mark struct{ pos, depth int }

// Mark returns the place of the next value. Call it where a value is due: right
// after Next, or before the first.
func (s *JSON) Mark() Mark { return Mark{s.pos, s.depth} }

// Rewind goes back to a mark of the same text, to a value whose container was
// still open then or has only just been left, and forgets an error that came
// up since. It serves members that are needed before their turn, and records
// whose values are wrong while their text is sound: go back and Skip.
func (s *JSON) Rewind(m Mark) {
	s.pos, s.depth = m.pos, m.depth
	s.err, s.first, s.ok = nil, false, true
}

// Literal passes over lit if the text goes on with exactly that, white space
// included. It is the fast path over members whose spelling is known; where it
// says false nothing has moved.
func (s *JSON) Literal(lit string) bool {
	if len(s.buf)-s.pos < len(lit) || string(s.buf[s.pos:s.pos+len(lit)]) != lit {
		return false
	}
	s.pos += len(lit)
	s.first = false
	return true
}

// Plain reads the rest of a string whose opening quote has been passed, if it
// has no escapes and is short of the limits; else it says false and nothing has
// moved.
func (s *JSON) Plain() ([]byte, bool) {
	end, ok := plainEnd(s.buf, s.pos)
	if !ok || end-s.pos > MaxString {
		return nil, false
	}
	b := s.buf[s.pos:end]
	s.pos = end + 1
	return b, true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainEnd finds the closing quote from i on, eight bytes at a time. It fails
// on a backslash, a control character or the end of the text.
func plainEnd(b []byte, i int) (int, bool) {
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^('"'*ones), w^('\\'*ones)
		// The lowest set high bit is exact: borrows only reach upwards.
		stop := (quote-ones)&^quote | (slash-ones)&^slash | (w-0x20*ones)&^w
		if stop &= highs; stop != 0 {
			i += bits.TrailingZeros64(stop) / 8
			return i, b[i] == '"'
		}
	}
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i, true
		case c == '\\' || c < 0x20:
			return i, false
		}
	}
	return i, false
}

// QuotedUint reads a number of 1 to 19 digits in quotes, if one is next, and
// passes over it; else it says false and nothing has moved.
func (s *JSON) QuotedUint() (uint64, bool) {
	b := s.buf[s.pos:]
	if len(b) < 3 || b[0] != '"' {
		return 0, false
	}
	i, v := 1, uint64(0)
	for i+8 < len(b) && i <= 9 { // at most two words: 16 digits
		w := binary.LittleEndian.Uint64(b[i:])
		if w&(w+0x0606060606060606)&0xf0f0f0f0f0f0f0f0 != 0x3030303030303030 {
			break
		}
		// Pairs, then fours, then all eight (Daniel Lemire, "Quickly parsing
		// eight digits").
		w = w & 0x0f0f0f0f0f0f0f0f * (10<<8 + 1) >> 8
		w = w & 0x00ff00ff00ff00ff * (100<<16 + 1) >> 16
		w = w & 0x0000ffff0000ffff * (10000<<32 + 1) >> 32
		v = v*1e8 + w
		i += 8
	}
	for ; i < len(b) && i <= 20; i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		if i == 20 {
			return 0, false // 20 digits may not fit
		}
		v = v*10 + uint64(d)
	}
	if i == 1 || i >= len(b) || b[i] != '"' {
		return 0, false
	}
	s.pos += i + 1
	return v, true
}

// BytesIn reads a string like Bytes, but the result stays valid for as long as
// the text and the arena do: a string with escapes is copied there.
func (s *JSON) BytesIn(arena *[]byte) []byte {
	b := s.Bytes()
	if len(b) == 0 || cap(s.scratch) == 0 || &b[0] != &s.scratch[:1][0] {
		return b
	}
	n := len(*arena)
	*arena = append(*arena, b...)
	return (*arena)[n:len(*arena):len(*arena)]
}

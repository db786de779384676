package scan

import (
	"encoding/binary"
	"math"
)

// Names are the member names of an object that a decoder knows, in the order in
// which its usual writer has them.
type Names struct {
	bare   []string
	quoted []quotedName
}

// quotedName is a name as it stands in the text, "name":, with its first eight
// bytes (fewer, masked, for a shorter one) as a word.
type quotedName struct {
	text       string
	word, mask uint64
}

// NewNames returns the names in the given order.
func NewNames(names ...string) *Names {
	n := &Names{bare: names}
	for _, name := range names {
		q := quotedName{text: `"` + name + `":`, mask: math.MaxUint64}
		var b [8]byte
		if size := copy(b[:], q.text); size < 8 {
			q.mask = 1<<(8*size) - 1
		}
		q.word = binary.LittleEndian.Uint64(b[:])
		n.quoted = append(n.quoted, q)
	}
	return n
}

// Name returns the name at a place.
func (n *Names) Name(place int) string { return n.bare[place] }

// Member moves to the next member as Next does and returns the place of its
// name in n, len(n) for a name that is not there, -1 at the end of the object.
// at is where to look first: 0, then one more than the last place. Members in
// that order cost one comparison instead of a scan for the name.
//
//	for i := s.Member(names, 0); i >= 0; i = s.Member(names, i+1) {
//		switch i {
func (s *JSON) Member(n *Names, at int) int {
	if s.ok && s.err == nil {
		p := s.pos
		if !s.first && p < len(s.buf) && s.buf[p] == ',' {
			p++
		}
		if rest := s.buf[p:]; s.first == (p == s.pos) && len(rest) >= 8 {
			word := binary.LittleEndian.Uint64(rest)
			for ; at < len(n.quoted); at++ {
				// Fast path: the name is the expected one or soon after it.
				q := &n.quoted[at]
				if word&q.mask != q.word {
					continue
				}
				if size := len(q.text); size <= 8 || len(rest) >= size && string(rest[8:size]) == q.text[8:] {
					s.key = rest[1 : size-2]
					s.pos = p + size
					s.first = false
					return at
				}
			}
		}
	}
	if !s.Next() {
		return -1
	}
	for i, name := range n.bare {
		if string(s.key) == name {
			return i
		}
	}
	return len(n.bare)
}

// Text is Bytes with a fast path for strings without escapes.
func (s *JSON) Text() []byte {
	if p := s.pos; p < len(s.buf) && s.buf[p] == '"' && s.err == nil {
		if end, ok := plainEnd(s.buf, p+1); ok && end-p-1 <= MaxString {
			s.pos = end + 1
			return s.buf[p+1 : end]
		}
	}
	return s.Bytes()
}

// Uint is Uint64 with a fast path for plain digits, bare or in quotes.
func (s *JSON) Uint() uint64 {
	b, p := s.buf, s.pos
	quoted := p < len(b) && b[p] == '"'
	if quoted {
		p++
	}
	var v uint64
	start := p
	for p < len(b) && b[p]-'0' <= 9 {
		v = v*10 + uint64(b[p]-'0')
		p++
	}
	n := p - start
	switch {
	case s.err != nil || n == 0 || n > 19 || p >= len(b): // 19 digits cannot overflow
		return s.Uint64()
	case quoted && b[p] == '"':
		s.pos = p + 1
		return v
	case !quoted && (n == 1 || b[start] != '0') && (b[p] == ',' || b[p] == '}' || b[p] == ']'):
		s.pos = p
		return v
	}
	return s.Uint64()
}

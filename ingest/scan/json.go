package scan

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of every JSON record, named in the error of what goes beyond them.
const (
	MaxDepth  = 64       // nested arrays and objects
	MaxString = 1 << 20  // bytes of one string
	MaxRecord = 16 << 20 // bytes of one record; the line reader holds it
)

// Errors of the scanner. All wrap ErrSyntax or ErrLimit.
var (
	ErrSyntax = errors.New("not valid JSON")
	ErrLimit  = errors.New("limit exceeded")
	ErrType   = errors.New("value of the wrong type")
)

// JSON reads one JSON text from front to back. Errors stick: after the first
// one every method returns zero values, so a decoder looks at Err once, at the
// end. The zero value is ready for Reset.
//
//	s.Reset(line)
//	for s.Object(); s.Next(); {
//		switch string(s.Key()) {
//		case "time":
//			t = s.Time()
//		default:
//			s.Skip()
//		}
//	}
//	return s.End()
//
// After Object or Array, every element must be consumed (by a value method, a
// nested loop that runs to its end, or Skip) before Next is called again.
type JSON struct {
	buf     []byte
	pos     int
	key     []byte
	err     error
	depth   int
	inObj   [MaxDepth + 1]bool
	first   bool
	scratch []byte // unescaped value
	keyBuf  []byte // unescaped key
	ok      bool   // the last Object or Array opened something
}

// Reset starts reading b.
func (s *JSON) Reset(b []byte) {
	s.buf, s.pos, s.err, s.depth, s.first, s.ok = b, 0, nil, 0, false, false
}

// Err returns the first error.
func (s *JSON) Err() error { return s.err }

// Pos returns the offset of the next unread byte.
func (s *JSON) Pos() int { return s.pos }

// Fail makes err the scanner's error, unless it has one already: for a value
// that is well-formed and impossible.
func (s *JSON) Fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %w", s.pos, err)
	}
}

// End checks that nothing follows the value, and returns the first error.
func (s *JSON) End() error {
	if s.err != nil {
		return s.err
	}
	if s.skipSpace(); s.pos < len(s.buf) {
		s.syntax("unexpected %q after the value", s.buf[s.pos])
	}
	return s.err
}

func (s *JSON) syntax(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %w: %s", s.pos, ErrSyntax, fmt.Sprintf(format, args...))
	}
	s.pos = len(s.buf)
}

func (s *JSON) limit(what string, n int) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %w: %s over %d", s.pos, ErrLimit, what, n)
	}
	s.pos = len(s.buf)
}

func (s *JSON) wrongType(want string) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %w: want %s", s.pos, ErrType, want)
	}
	s.pos = len(s.buf)
}

func (s *JSON) skipSpace() {
	for s.pos < len(s.buf) {
		switch s.buf[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// Peek returns the first byte of the next value ('{', '[', '"', 't', 'f', 'n',
// '-' or a digit), 0 at the end of the text.
func (s *JSON) Peek() byte {
	s.skipSpace()
	if s.pos >= len(s.buf) {
		return 0
	}
	return s.buf[s.pos]
}

// Object enters an object. A null counts as an empty one.
func (s *JSON) Object() { s.open('{', "an object") }

// Array enters an array. A null counts as an empty one.
func (s *JSON) Array() { s.open('[', "an array") }

func (s *JSON) open(c byte, what string) {
	s.first = false
	switch got := s.Peek(); {
	case s.err != nil:
		s.ok = false
	case got == c:
		if s.depth++; s.depth > MaxDepth {
			s.limit("nesting depth", MaxDepth)
			s.depth--
			return
		}
		s.pos++
		s.inObj[s.depth] = c == '{'
		s.first, s.ok = true, true
	case got == 'n':
		s.literal("null")
		s.ok = false
	case got == 0:
		s.syntax("unexpected end")
		s.ok = false
	default:
		s.wrongType(what)
		s.ok = false
	}
}

// Next moves to the next member or element of the innermost open object or
// array, and leaves it when there is none. It must be called right after
// Object or Array, then after each element.
func (s *JSON) Next() bool {
	if s.err != nil {
		return false
	}
	if !s.ok { // the container was null
		s.ok = true
		return false
	}
	obj := s.inObj[s.depth]
	closing := byte(']')
	if obj {
		closing = '}'
	}
	c := s.Peek()
	if c == closing {
		s.pos++
		s.depth--
		s.first = false
		return false
	}
	if !s.first {
		if c != ',' {
			s.expected(c, "a comma")
			return false
		}
		s.pos++
		c = s.Peek()
	}
	s.first = false
	if obj {
		if c != '"' {
			s.expected(c, "a member name")
			return false
		}
		s.key = s.str(&s.keyBuf)
		if s.Peek() != ':' {
			s.expected(s.Peek(), "a colon")
			return false
		}
		s.pos++
	}
	return s.err == nil
}

func (s *JSON) expected(got byte, want string) {
	if got == 0 {
		s.syntax("unexpected end, want %s", want)
		return
	}
	s.syntax("unexpected %q, want %s", got, want)
}

// Key returns the name of the current member, unescaped. It is valid until the
// next call of Next.
func (s *JSON) Key() []byte { return s.key }

// Bytes reads a string, unescaped. The result is valid until the next value is
// read, and is empty for null.
func (s *JSON) Bytes() []byte {
	switch c := s.Peek(); {
	case s.err != nil:
		return nil
	case c == '"':
		return s.str(&s.scratch)
	case c == 'n':
		s.literal("null")
	case c == 0:
		s.syntax("unexpected end")
	default:
		s.wrongType("a string")
	}
	return nil
}

// str reads the string at pos, copying to *scratch only if it has escapes.
func (s *JSON) str(scratch *[]byte) []byte {
	start := s.pos + 1
	i, closed := plainEnd(s.buf, start)
	if closed {
		if i-start > MaxString {
			s.limit("string length", MaxString)
			return nil
		}
		s.pos = i + 1
		return s.buf[start:i]
	}
	return s.unescape(scratch, start, i)
}

func (s *JSON) unescape(scratch *[]byte, start, i int) []byte {
	out := append((*scratch)[:0], s.buf[start:i]...)
	buf := s.buf
	for i < len(buf) {
		if len(out) > MaxString {
			s.limit("string length", MaxString)
			return nil
		}
		c := buf[i]
		switch {
		case c == '"':
			s.pos = i + 1
			*scratch = out
			return out
		case c < 0x20:
			s.pos = i
			s.syntax("control character %#02x in a string", c)
			return nil
		case c != '\\':
			out = append(out, c)
			i++
			continue
		}
		if i+1 >= len(buf) {
			break
		}
		switch e := buf[i+1]; e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := hex4(buf, i+2)
			if !ok {
				s.pos = i
				s.syntax("bad \\u escape")
				return nil
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if i+3 < len(buf) && buf[i+2] == '\\' && buf[i+3] == 'u' {
					low, ok = hex4(buf, i+4)
				}
				if d := utf16.DecodeRune(r, low); ok && d != utf8.RuneError {
					r = d
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			s.pos = i
			s.syntax("bad escape \\%c", e)
			return nil
		}
		i += 2
	}
	s.pos = len(buf)
	s.syntax("unterminated string")
	return nil
}

func hex4(b []byte, i int) (rune, bool) {
	if i+4 > len(b) {
		return 0, false
	}
	var r rune
	for _, c := range b[i : i+4] {
		v, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(v)
	}
	return r, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

func (s *JSON) literal(want string) {
	if len(s.buf)-s.pos < len(want) || string(s.buf[s.pos:s.pos+len(want)]) != want {
		s.syntax("bad literal")
		return
	}
	s.pos += len(want)
}

// number returns the text of a number at pos, checked against JSON's grammar.
func (s *JSON) number() []byte {
	start, i, buf := s.pos, s.pos, s.buf
	if i < len(buf) && buf[i] == '-' {
		i++
	}
	digits := func() bool {
		from := i
		for i < len(buf) && buf[i] >= '0' && buf[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(buf) && buf[i] == '0' {
		i++
	} else if !digits() {
		s.syntax("bad number")
		return nil
	}
	if i < len(buf) && buf[i] == '.' {
		if i++; !digits() {
			s.syntax("bad number")
			return nil
		}
	}
	if i < len(buf) && buf[i]|0x20 == 'e' {
		if i++; i < len(buf) && (buf[i] == '+' || buf[i] == '-') {
			i++
		}
		if !digits() {
			s.syntax("bad number")
			return nil
		}
	}
	s.pos = i
	return buf[start:i]
}

// Skip passes over one value of any type, checking it.
func (s *JSON) Skip() {
	if s.err != nil {
		return
	}
	// Fast path: the value is sound and within the limits.
	if end, ok := skipValue(s.buf, s.pos, s.depth); ok {
		s.pos, s.ok, s.first = end, true, false
		return
	}
	s.skipSlow()
}

// skipSlow passes over one value the way a decoder would: it has the words for
// what is wrong with it.
func (s *JSON) skipSlow() {
	base := s.depth
	for s.err == nil {
		switch c := s.Peek(); c {
		case '"':
			s.str(&s.scratch)
		case '{', '[':
			s.open(c, "")
		case 't':
			s.literal("true")
		case 'f':
			s.literal("false")
		case 'n':
			s.literal("null")
		case 0:
			s.syntax("unexpected end")
		default:
			s.number()
		}
		s.ok = true
		for s.depth > base && !s.Next() {
			if s.err != nil {
				return
			}
		}
		if s.depth == base {
			return
		}
	}
}

// Raw passes over one value and returns its text.
func (s *JSON) Raw() []byte {
	s.skipSpace()
	start := s.pos
	s.Skip()
	if s.err != nil {
		return nil
	}
	return s.buf[start:s.pos]
}

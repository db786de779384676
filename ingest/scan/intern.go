package scan

import "unicode/utf8"

// Intern turns bytes into strings that are valid for ever, giving the same
// string for the same bytes without allocating. Names repeat and are kept;
// what never repeats (paths with ids in them) fills the table, which then
// starts anew, so memory is bounded by about two generations of maxIntern
// strings. The zero value is ready. Not for concurrent use.
type Intern struct {
	recent, old map[string]string
}

const (
	maxIntern    = 1 << 14
	maxInternLen = 256 // longer strings hardly repeat and are only copied
)

// String returns b as a string. Bytes that are not UTF-8 are replaced one by one
// by U+FFFD, as encoding/json does: protobuf and JSON writers refuse them.
func (t *Intern) String(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > maxInternLen {
		return validString(b)
	}
	if s, ok := t.recent[string(b)]; ok {
		return s
	}
	s, ok := t.old[string(b)]
	if !ok {
		if s = string(b); !utf8.ValidString(s) {
			return validString(b)
		}
	}
	if t.recent == nil || len(t.recent) >= maxIntern {
		t.old = t.recent
		t.recent = make(map[string]string, 256)
	}
	t.recent[s] = s
	return s
}

func validString(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string([]rune(string(b)))
}

// Lower returns b in ASCII lower case.
func (t *Intern) Lower(b []byte) string {
	var buf [64]byte
	if len(b) > len(buf) {
		return t.String(toLower(append([]byte(nil), b...)))
	}
	return t.String(toLower(append(buf[:0], b...)))
}

func toLower(b []byte) []byte {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}

// Package jsontext appends JSON values to a buffer, byte for byte as
// encoding/json writes them with HTML escaping off, and without allocating when
// the buffer has room. What Sennit writes by hand (events, timelines) is made
// of these.
package jsontext

import (
	"math"
	"net/netip"
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// plain marks the ASCII bytes that stand in a string as they are.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return t
}()

// String appends s in quotes. Bytes that are no UTF-8 become \ufffd.
func String(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[start:i]...), `\ufffd`...)
			start = i + 1
		case r == '\u2028' || r == '\u2029': // line ends in JavaScript
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hexDigits[r&15])
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}

// Hex appends v as lower-case hex digits in quotes.
func Hex(b, v []byte) []byte {
	b = append(b, '"')
	for _, c := range v {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return append(b, '"')
}

// QuotedUint appends v in quotes, so that no reader rounds it.
func QuotedUint(b []byte, v uint64) []byte {
	return append(strconv.AppendUint(append(b, '"'), v, 10), '"')
}

// QuotedInt appends v in quotes, so that no reader rounds it.
func QuotedInt(b []byte, v int64) []byte {
	return append(strconv.AppendInt(append(b, '"'), v, 10), '"')
}

// Addr appends an address in quotes, "" for the zero one.
func Addr(b []byte, a netip.Addr) []byte {
	switch {
	case !a.IsValid():
		return append(b, '"', '"')
	case a.Zone() != "": // a zone may hold any character
		return String(b, a.String())
	}
	return append(a.AppendTo(append(b, '"')), '"')
}

// AddrPort appends an address with its port in quotes, "" without an address.
func AddrPort(b []byte, a netip.AddrPort) []byte {
	switch {
	case !a.Addr().IsValid():
		return append(b, '"', '"')
	case a.Addr().Zone() != "":
		return String(b, a.String())
	}
	return append(a.AppendTo(append(b, '"')), '"')
}

// Float appends a finite f in the shortest form that reads back as the same,
// with an exponent where encoding/json has one. JSON has no others: NaN and
// infinities are written as 0.
func Float(b []byte, f float64) []byte {
	abs := f
	if abs < 0 {
		abs = -abs
	}
	switch {
	case !(abs <= math.MaxFloat64):
		return append(b, '0')
	case abs != 0 && (abs < 1e-6 || abs >= 1e21):
		b = strconv.AppendFloat(b, f, 'e', -1, 64)
		if n := len(b); n >= 4 && b[n-4] == 'e' && (b[n-3] == '-' || b[n-3] == '+') && b[n-2] == '0' {
			b[n-2] = b[n-1] // e-09 to e-9
			b = b[:n-1]
		}
		return b
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// Close ends an object or array whose every member was followed by a comma.
func Close(b []byte, bracket byte) []byte {
	if n := len(b); b[n-1] == ',' {
		b[n-1] = bracket
		return b
	}
	return append(b, bracket)
}

package scan

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/sennit-io/sennit/schemas/event"
)

// text reads a scalar that may come bare or in quotes, as 64-bit numbers do in
// protobuf's JSON. Null is empty.
func (s *JSON) text(want string) []byte {
	switch c := s.Peek(); {
	case s.err != nil:
		return nil
	case c == '"':
		return s.str(&s.scratch)
	case c == 'n':
		s.literal("null")
		return nil
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 0:
		s.syntax("unexpected end")
	default:
		s.wrongType(want)
	}
	return nil
}

// Uint64 reads an unsigned number, bare or in quotes; null is 0.
func (s *JSON) Uint64() uint64 {
	b := s.text("an unsigned number")
	if len(b) == 0 || s.err != nil {
		return 0
	}
	v, ok := Uint(b)
	if !ok {
		// "1e3" and "2.0" are legal spellings of integers in protobuf's JSON.
		if f, ok := whole(b); ok && f >= 0 && f < 1<<64 {
			return uint64(f)
		}
		s.wrongType("an unsigned number")
	}
	return v
}

// Uint32 reads an unsigned number that fits 32 bits.
func (s *JSON) Uint32() uint32 {
	v := s.Uint()
	if v > math.MaxUint32 {
		s.wrongType("a number of 32 bits")
		return 0
	}
	return uint32(v)
}

// Uint16 reads an unsigned number that fits 16 bits: a port, a status.
func (s *JSON) Uint16() uint16 {
	v := s.Uint()
	if v > math.MaxUint16 {
		s.wrongType("a number of 16 bits")
		return 0
	}
	return uint16(v)
}

// Int64 reads a signed number, bare or in quotes; null is 0.
func (s *JSON) Int64() int64 {
	b := s.text("a number")
	if len(b) == 0 || s.err != nil {
		return 0
	}
	if b[0] != '-' {
		if v, ok := Uint(b); ok && v <= math.MaxInt64 {
			return int64(v)
		}
	} else if v, ok := Uint(b[1:]); ok && v <= 1<<63 {
		return -int64(v)
	}
	if f, ok := whole(b); ok && math.Abs(f) < 1<<63 {
		return int64(f)
	}
	s.wrongType("a number")
	return 0
}

// whole reads an integer in one of JSON's other spellings, which a quoted
// number must keep to as well.
func whole(b []byte) (float64, bool) {
	if end, ok := skipNumber(b, 0); !ok || end != len(b) {
		return 0, false
	}
	f, err := strconv.ParseFloat(view(b), 64)
	return f, err == nil && f == math.Trunc(f)
}

// Bool reads true or false; null is false.
func (s *JSON) Bool() bool {
	switch s.Peek() {
	case 't':
		s.literal("true")
		return s.err == nil
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.wrongType("true or false")
	}
	return false
}

// Time reads an RFC 3339 string with 0 to 9 fractional digits; null and the
// empty string are zero.
func (s *JSON) Time() event.Time {
	b := s.Bytes()
	if len(b) == 0 || s.err != nil {
		return 0
	}
	t, ok := Time(b)
	if !ok {
		s.wrongType("an RFC 3339 time")
	}
	return t
}

// Addr reads an IP address; null and the empty string are zero.
func (s *JSON) Addr() netip.Addr {
	b := s.Bytes()
	if len(b) == 0 || s.err != nil {
		return netip.Addr{}
	}
	a, ok := Addr(b)
	if !ok {
		s.wrongType("an IP address")
	}
	return a
}

// Uint parses decimal digits and nothing else.
func Uint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || v > (math.MaxUint64-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}

// Addr parses an IP address into the canonical form: a v4-mapped v6 address
// becomes v4, a zone is dropped.
func Addr(b []byte) (netip.Addr, bool) {
	if len(b) > 64 {
		return netip.Addr{}, false
	}
	if a, ok := addr4(b); ok {
		return a, true
	}
	for i, c := range b {
		if c == '%' {
			b = b[:i]
			break
		}
	}
	a, err := netip.ParseAddr(view(b))
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// addr4 is the fast path of Addr.
func addr4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	n, v, digits := 0, 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			if digits > 0 && v == 0 { // leading zero: leave it to netip to refuse
				return netip.Addr{}, false
			}
			v = v*10 + int(c-'0')
			digits++
			if v > 255 {
				return netip.Addr{}, false
			}
		case c == '.' && digits > 0 && n < 3:
			a[n] = byte(v)
			n, v, digits = n+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	if n != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	a[3] = byte(v)
	return netip.AddrFrom4(a), true
}

// Time parses RFC 3339 with 0 to 9 fractional digits and any offset. Digits
// beyond the ninth are cut. Times outside 1678..2262 do not fit and fail.
func Time(b []byte) (event.Time, bool) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' && b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	y1, ok1 := two(b[0:])
	y2, ok2 := two(b[2:])
	mo, ok3 := two(b[5:])
	d, ok4 := two(b[8:])
	h, ok5 := two(b[11:])
	mi, ok6 := two(b[14:])
	sec, ok7 := two(b[17:])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) {
		return 0, false
	}
	y := y1*100 + y2
	if y < 1678 || y > 2261 || mo < 1 || mo > 12 || d < 1 || d > daysIn(y, mo) || h > 23 || mi > 59 || sec > 60 {
		return 0, false
	}
	i, ns := 19, int64(0)
	if b[i] == '.' || b[i] == ',' {
		i++
		digits := 0
		for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
			if digits < 9 {
				ns = ns*10 + int64(b[i]-'0')
				digits++
			}
		}
		if digits == 0 {
			return 0, false
		}
		for ; digits < 9; digits++ {
			ns *= 10
		}
	}
	offset := int64(0)
	switch rest := b[i:]; {
	case len(rest) == 1 && rest[0]|0x20 == 'z':
	case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		oh, ok1 := two(rest[1:])
		om, ok2 := two(rest[4:])
		if !ok1 || !ok2 || oh > 23 || om > 59 {
			return 0, false
		}
		offset = int64(oh*3600 + om*60)
		if rest[0] == '-' {
			offset = -offset
		}
	default:
		return 0, false
	}
	unix := daysSinceEpoch(y, mo, d)*86400 + int64(h*3600+mi*60+sec) - offset
	return event.Time(unix*1e9 + ns), true
}

func two(b []byte) (int, bool) {
	x, y := b[0]-'0', b[1]-'0'
	return int(x)*10 + int(y), x <= 9 && y <= 9
}

func daysIn(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSinceEpoch is the inverse of event's civil (same source).
func daysSinceEpoch(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}

// Hex fills dst from exactly 2*len(dst) hex digits of either case.
func Hex(dst, src []byte) bool {
	if len(src) != 2*len(dst) {
		return false
	}
	_, err := hex.Decode(dst, src)
	return err == nil
}

// TraceParent reads a W3C traceparent header ("00-<32 hex>-<16 hex>-01"). All
// zero ids are invalid, as the specification says.
func TraceParent(b []byte) (event.TraceContext, bool) {
	tc := event.TraceContext{Format: "traceparent"}
	if len(b) < 55 || b[2] != '-' || b[35] != '-' || b[52] != '-' || b[0]|0x20 == 'f' && b[1]|0x20 == 'f' {
		return event.TraceContext{}, false
	}
	if !Hex(tc.TraceID[:], b[3:35]) || !Hex(tc.SpanID[:], b[36:52]) || tc.TraceID.IsZero() || tc.SpanID.IsZero() {
		return event.TraceContext{}, false
	}
	return tc, true
}

// CloudTrace reads an X-Cloud-Trace-Context header ("<32 hex>/<decimal span>;o=1"),
// or a LogEntry's trace field ("projects/<id>/traces/<32 hex>").
func CloudTrace(b []byte) (event.TraceContext, bool) {
	tc := event.TraceContext{Format: "cloud"}
	const sep = "/traces/"
	for i := len(b) - 32 - len(sep); i >= 0; i-- {
		if string(b[i:i+len(sep)]) == sep {
			b = b[i+len(sep):]
			break
		}
	}
	if len(b) < 32 || !Hex(tc.TraceID[:], b[:32]) || tc.TraceID.IsZero() {
		return event.TraceContext{}, false
	}
	if b = b[32:]; len(b) > 1 && b[0] == '/' {
		b = b[1:]
		for i, c := range b {
			if c == ';' {
				b = b[:i]
				break
			}
		}
		v, ok := Uint(b)
		if !ok {
			return event.TraceContext{}, false
		}
		for i := range tc.SpanID {
			tc.SpanID[i] = byte(v >> (56 - 8*i))
		}
	} else if len(b) > 0 {
		return event.TraceContext{}, false
	}
	return tc, true
}

// Node strips the cluster from Hubble's "cluster/node" form.
func Node(b []byte) (cluster, node []byte) {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == '/' {
			return b[:i], b[i+1:]
		}
	}
	return nil, b
}

// view is b as a string without a copy, for calls that do not keep it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Impossible is the error of a well-formed value that cannot be.
func Impossible(what string) error { return fmt.Errorf("%w: %s", ErrType, what) }

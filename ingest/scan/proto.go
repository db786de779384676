package scan

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"unicode/utf8"

	"github.com/sennit-io/sennit/schemas/event"
)

// ErrWire is the error of bytes that are no protobuf message.
var ErrWire = errors.New("not a valid protobuf message")

// Errors of values, built once: a stream may hold nothing else.
var (
	errText   = fmt.Errorf("%w: a string that is not UTF-8", ErrWire)
	errLong   = fmt.Errorf("%w: string length over %d", ErrLimit, MaxString)
	errPieces = fmt.Errorf("%w: messages in pieces over %d", ErrLimit, MaxPieces)
	errAddr   = Impossible("want an IP address")
	errNumber = Impossible("want a number of 16 bits")
	errTime   = Impossible("want a time from 1678 to 2261")
)

// MaxPieces is the number of bytes of a record that may be put together from
// messages that came in pieces. Writers send none.
const MaxPieces = 1 << 20

// Proto reads the values of protobuf messages, as JSON does those of its texts:
// errors stick, and a decoder looks at Err once, at the end. The zero value is
// ready.
//
// A field may come more than once. Of a number or a string the last one counts,
// so a decoder judges values after the last field of their message.
type Proto struct {
	err    error
	pieces []byte
}

// Reset forgets the last record.
func (p *Proto) Reset() { p.err, p.pieces = nil, p.pieces[:0] }

// Err returns the first error.
func (p *Proto) Err() error { return p.err }

// Fail makes err the error, unless there is one already.
func (p *Proto) Fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// End notes whether the message that w has read to its end is valid.
func (p *Proto) End(w *Wire) {
	if w.Bad {
		p.Fail(ErrWire)
	}
}

// Merge returns an embedded message of which more has come: protobuf merges what
// comes twice, and the bytes of both, one behind the other, are that message.
// before is nil if nothing has come yet. The result is valid until Reset.
func (p *Proto) Merge(before, more []byte) []byte {
	if before == nil {
		return more
	}
	if len(p.pieces)+len(before)+len(more) > MaxPieces {
		p.Fail(errPieces)
		return more
	}
	n := len(p.pieces)
	p.pieces = append(append(p.pieces, before...), more...)
	return p.pieces[n:len(p.pieces):len(p.pieces)]
}

// Text returns a string, empty for one that is not UTF-8, which is an error.
func (p *Proto) Text(b []byte) []byte {
	switch {
	case len(b) > MaxString:
		p.Fail(errLong)
	case !utf8.Valid(b):
		p.Fail(errText)
	default:
		return b
	}
	return nil
}

// Addr reads an IP address in a string; the empty one is zero.
func (p *Proto) Addr(b []byte) netip.Addr {
	if len(b) == 0 {
		return netip.Addr{}
	}
	a, ok := Addr(b)
	if !ok {
		p.Fail(errAddr)
	}
	return a
}

// Uint16 reads a uint32 that fits 16 bits: a port, a status.
func (p *Proto) Uint16(n uint64) uint16 {
	if uint32(n) > math.MaxUint16 {
		p.Fail(errNumber)
		return 0
	}
	return uint16(n)
}

// Time reads a google.protobuf.Timestamp; nil is zero.
func (p *Proto) Time(msg []byte) event.Time {
	if msg == nil {
		return 0
	}
	var sec int64
	var nanos int32
	w := Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case 1<<3 | WireVarint:
			sec = int64(w.Num)
		case 2<<3 | WireVarint:
			nanos = int32(w.Num)
		}
	}
	p.End(&w)
	const first, end = -9214560000, 9214646400 // 1678-01-01, 2262-01-01
	if sec < first || sec >= end || nanos < 0 || nanos > 999999999 {
		p.Fail(errTime)
		return 0
	}
	return event.Time(sec*1e9 + int64(nanos))
}

// Wrapped reads the number in one of google.protobuf's wrappers (UInt32Value,
// BoolValue, …); that of nil is 0.
func (p *Proto) Wrapped(msg []byte) (n uint64) {
	w := Wire{Buf: msg}
	for w.Next() {
		if w.Tag == 1<<3|WireVarint {
			n = w.Num
		}
	}
	p.End(&w)
	return n
}

package otlp

import (
	"encoding/binary"
	"errors"
	"math"
)

// A wire reads the fields of one protobuf message from front to back. Errors
// stick: after the first one there is no next field.
//
//	for w.next() {
//		switch w.tag {
//		case 1<<3 | wireBytes:
//			use(w.bytes)
//		case 2<<3 | wireVarint:
//			use(w.num)
//		}
//	}
//
// A field that the caller does not name has already been passed over.
type wire struct {
	buf   []byte
	tag   uint64 // field number << 3 | wire type
	num   uint64 // of a varint or fixed field
	bytes []byte // of a length-delimited field, a view of buf
	bad   bool
}

// Wire types of protobuf's encoding.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireStart   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

var errWire = errors.New("read OTLP protobuf: not a valid message")

// next moves to the next field.
func (w *wire) next() bool {
	if len(w.buf) == 0 {
		return false
	}
	if w.tag = uint64(w.buf[0]); w.tag < 0x80 { // Fast path: fields 1 to 15.
		w.buf = w.buf[1:]
	} else {
		w.tag = w.varint()
	}
	if n := w.tag >> 3; n == 0 || n > 1<<29-1 {
		return w.fail()
	}
	switch w.tag & 7 {
	case wireVarint:
		w.num = w.varint()
	case wireFixed64:
		if len(w.buf) < 8 {
			return w.fail()
		}
		w.num = binary.LittleEndian.Uint64(w.buf)
		w.buf = w.buf[8:]
	case wireBytes:
		n := w.varint()
		if n > uint64(len(w.buf)) {
			return w.fail()
		}
		w.bytes, w.buf = w.buf[:n:n], w.buf[n:]
	case wireFixed32:
		if len(w.buf) < 4 {
			return w.fail()
		}
		w.num = uint64(binary.LittleEndian.Uint32(w.buf))
		w.buf = w.buf[4:]
	case wireStart:
		w.group()
	default:
		return w.fail()
	}
	return !w.bad
}

func (w *wire) fail() bool {
	w.buf, w.bad = nil, true
	return false
}

// varint reads a number of at most ten bytes.
func (w *wire) varint() uint64 {
	if len(w.buf) > 0 && w.buf[0] < 0x80 {
		v := uint64(w.buf[0])
		w.buf = w.buf[1:]
		return v
	}
	v, n := binary.Uvarint(w.buf)
	if n <= 0 {
		w.fail()
		return math.MaxUint64
	}
	w.buf = w.buf[n:]
	return v
}

// group passes over a group, an encoding that OTLP does not use: unknown fields
// may.
func (w *wire) group() {
	const maxOpen = 64
	var open [maxOpen]uint64
	open[0] = w.tag >> 3
	for depth := 1; depth > 0; {
		if len(w.buf) == 0 {
			w.fail()
			return
		}
		tag := w.varint()
		switch tag & 7 {
		case wireVarint:
			w.varint()
		case wireFixed64:
			w.skip(8)
		case wireBytes:
			w.skip(w.varint())
		case wireFixed32:
			w.skip(4)
		case wireStart:
			if depth == maxOpen {
				w.fail()
				return
			}
			open[depth] = tag >> 3
			depth++
		case wireEnd:
			if depth--; open[depth] != tag>>3 {
				w.fail()
				return
			}
		default:
			w.fail()
			return
		}
		if w.bad || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			w.fail()
			return
		}
	}
}

func (w *wire) skip(n uint64) {
	if n > uint64(len(w.buf)) {
		w.fail()
		return
	}
	w.buf = w.buf[n:]
}

package scan

import (
	"encoding/binary"
	"math"
)

// A Wire reads the fields of one protobuf message from front to back. Errors
// stick: after the first one there is no next field.
//
//	for w.Next() {
//		switch w.Tag {
//		case 1<<3 | WireBytes:
//			use(w.Bytes)
//		case 2<<3 | WireVarint:
//			use(w.Num)
//		}
//	}
//
// A field that the caller does not name has already been passed over.
type Wire struct {
	Buf   []byte // what is still to be read
	Tag   uint64 // of the current field: its number << 3 | its wire type
	Num   uint64 // of a varint or fixed field
	Bytes []byte // of a length-delimited field, a view of the message, never nil
	Bad   bool   // the message is not valid
}

// Wire types of protobuf's encoding.
const (
	WireVarint  = 0
	WireFixed64 = 1
	WireBytes   = 2
	WireStart   = 3
	WireEnd     = 4
	WireFixed32 = 5
)

// Next moves to the next field, false at the end of the message.
func (w *Wire) Next() bool {
	if len(w.Buf) == 0 {
		return false
	}
	if w.Tag = uint64(w.Buf[0]); w.Tag < 0x80 { // Fast path: fields 1 to 15.
		w.Buf = w.Buf[1:]
	} else {
		w.Tag = w.Varint()
	}
	if n := w.Tag >> 3; n == 0 || n > 1<<29-1 {
		return w.Fail()
	}
	switch w.Tag & 7 {
	case WireVarint:
		w.Num = w.Varint()
	case WireFixed64:
		if len(w.Buf) < 8 {
			return w.Fail()
		}
		w.Num = binary.LittleEndian.Uint64(w.Buf)
		w.Buf = w.Buf[8:]
	case WireBytes:
		n := w.Varint()
		if n > uint64(len(w.Buf)) {
			return w.Fail()
		}
		w.Bytes, w.Buf = w.Buf[:n:n], w.Buf[n:]
	case WireFixed32:
		if len(w.Buf) < 4 {
			return w.Fail()
		}
		w.Num = uint64(binary.LittleEndian.Uint32(w.Buf))
		w.Buf = w.Buf[4:]
	case WireStart:
		w.group()
	default:
		return w.Fail()
	}
	return !w.Bad
}

// Fail ends the message as one that is not valid, and says false.
func (w *Wire) Fail() bool {
	w.Buf, w.Bad = nil, true
	return false
}

// Varint reads a number of at most ten bytes: an element of a packed list, whose
// bytes are no fields.
func (w *Wire) Varint() uint64 {
	// Fast path: numbers of one or two bytes.
	if b := w.Buf; len(b) > 1 {
		if b[0] < 0x80 {
			w.Buf = b[1:]
			return uint64(b[0])
		}
		if b[1] < 0x80 {
			w.Buf = b[2:]
			return uint64(b[0]&0x7f) | uint64(b[1])<<7
		}
	}
	v, n := binary.Uvarint(w.Buf)
	if n <= 0 {
		w.Fail()
		return math.MaxUint64
	}
	w.Buf = w.Buf[n:]
	return v
}

// group passes over a group, an encoding that none of our messages uses: unknown
// fields may.
func (w *Wire) group() {
	const maxOpen = 64
	var open [maxOpen]uint64
	open[0] = w.Tag >> 3
	for depth := 1; depth > 0; {
		if len(w.Buf) == 0 {
			w.Fail()
			return
		}
		tag := w.Varint()
		switch tag & 7 {
		case WireVarint:
			w.Varint()
		case WireFixed64:
			w.skip(8)
		case WireBytes:
			w.skip(w.Varint())
		case WireFixed32:
			w.skip(4)
		case WireStart:
			if depth == maxOpen {
				w.Fail()
				return
			}
			open[depth] = tag >> 3
			depth++
		case WireEnd:
			if depth--; open[depth] != tag>>3 {
				w.Fail()
				return
			}
		default:
			w.Fail()
			return
		}
		if w.Bad || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			w.Fail()
			return
		}
	}
}

func (w *Wire) skip(n uint64) {
	if n > uint64(len(w.Buf)) {
		w.Fail()
		return
	}
	w.Buf = w.Buf[n:]
}

package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unicode/utf8"
)

// ErrBadWire is wrapped by every error about bytes that are no event.
var ErrBadWire = errors.New("bad event")

// Interner gives strings that are valid for ever for bytes that are not.
type Interner interface{ String(b []byte) string }

// AppendWire appends the event as the protobuf message sennit.v1.Event, fields
// in the order of their numbers: the bytes of a deterministic proto.Marshal. It
// does not allocate when b has room. Strings are written as Valid says.
func (e *Event) AppendWire(b []byte) []byte {
	b = e.appendWireHead(b)
	return appendPayloadWire(b, e.Kind, e.Payload)
}

// WireReader reads events in their protobuf form. It wants fields in the order
// of their numbers and each but lists once, as every protobuf library writes
// them; fields it does not know are passed over. What it takes from a sender is
// checked: identifiers have their length, numbers and enums their range, the
// payload is the one of the kind, and kinds that only a processor derives are
// refused. Not for concurrent use.
type WireReader struct {
	// Strings owns the strings of the events read.
	Strings Interner

	addrs      []netip.Addr
	addrPorts  []netip.AddrPort
	ports      []uint16
	links      []SpanLink
	containers []Container
	why        string
}

// Read appends one event to the batch. After an error (ErrBadWire) the batch is
// as it was.
func (r *WireReader) Read(b *Batch, data []byte) error {
	r.why = ""
	e := b.Add(KindNone, SourceUnknown)
	for f := (wireField{}); ; {
		if data = r.next(data, &f); f.number == 0 {
			break
		}
		switch n := payloadNumber(e.Kind); {
		case f.number < firstPayload:
			r.readHead(e, &f)
		case f.number == n:
			e.Payload = r.payload(e.Kind, r.bytes(&f), b)
		case f.number <= lastPayload:
			r.fail("the payload is not the kind's")
		}
	}
	switch {
	case r.why != "":
	case e.Payload == nil:
		r.fail("no payload")
	case e.ID.IsZero():
		r.fail("no id")
	case e.Time == 0:
		r.fail("no time")
	}
	if r.why != "" {
		b.Undo()
		return fmt.Errorf("%w: %s", ErrBadWire, r.why)
	}
	return nil
}

// Numbers of the payloads in message Event.
const (
	firstPayload = 16
	lastPayload  = 32
)

// Wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// wireField is one field as it stands on the wire.
type wireField struct {
	number uint32 // 0 after the last one
	again  bool   // it follows one of its own number
	typ    byte
	value  uint64
	data   []byte
}

func (r *WireReader) fail(why string) {
	if r.why == "" {
		r.why = why
	}
}

// next reads one field into f and returns what follows it.
func (r *WireReader) next(p []byte, f *wireField) []byte {
	last := f.number
	f.number = 0
	if len(p) == 0 || r.why != "" {
		return nil
	}
	tag, n := binary.Uvarint(p)
	number := tag >> 3
	if n <= 0 || number == 0 || number > 1<<29-1 {
		r.fail("a tag that is none")
		return nil
	}
	if uint32(number) < last {
		r.fail("fields out of order")
		return nil
	}
	p = p[n:]
	f.again, f.typ, f.value, f.data = uint32(number) == last, byte(tag&7), 0, nil
	switch f.typ {
	case wireVarint:
		if f.value, n = binary.Uvarint(p); n <= 0 {
			r.fail("a number that is cut off")
			return nil
		}
		p = p[n:]
	case wireFixed64:
		if len(p) < 8 {
			r.fail("a number that is cut off")
			return nil
		}
		f.value, p = binary.LittleEndian.Uint64(p), p[8:]
	case wireFixed32:
		if len(p) < 4 {
			r.fail("a number that is cut off")
			return nil
		}
		p = p[4:]
	case wireBytes:
		size, n := binary.Uvarint(p)
		if n <= 0 || size > uint64(len(p)-n) {
			r.fail("bytes that are cut off")
			return nil
		}
		f.data, p = p[n:n+int(size)], p[n+int(size):]
	default:
		r.fail("a wire type that is not used")
		return nil
	}
	f.number = uint32(number)
	return p
}

// is reports whether the field has the wire type and stands there once.
func (r *WireReader) is(f *wireField, typ byte) bool {
	switch {
	case f.typ != typ:
		r.fail("a field of another wire type")
	case f.again:
		r.fail("a field twice")
	default:
		return true
	}
	return false
}

func (r *WireReader) uint(f *wireField, most uint64) uint64 {
	if !r.is(f, wireVarint) {
		return 0
	}
	if f.value > most {
		r.fail("a number out of range")
		return 0
	}
	return f.value
}

func (r *WireReader) sint(f *wireField) int64 {
	u := r.uint(f, 1<<64-1)
	return int64(u>>1) ^ -int64(u&1)
}

func (r *WireReader) fixed(f *wireField) uint64 {
	if !r.is(f, wireFixed64) {
		return 0
	}
	return f.value
}

func (r *WireReader) bytes(f *wireField) []byte {
	if !r.is(f, wireBytes) {
		return nil
	}
	return f.data
}

func (r *WireReader) string(f *wireField) string {
	b := r.bytes(f)
	if len(b) == 0 {
		return ""
	}
	return r.Strings.String(b)
}

func (r *WireReader) hex(f *wireField, to []byte) {
	if b := r.bytes(f); len(b) == len(to) {
		copy(to, b)
	} else if len(b) != 0 {
		r.fail("an identifier of another length")
	}
}

func (r *WireReader) hashes(f *wireField, to *Hashes) {
	b := r.bytes(f)
	if len(b) == 0 {
		return
	}
	if len(b) != 8*len(to) {
		r.fail("hashes of another number")
		return
	}
	for i := range to {
		to[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
}

func (r *WireReader) addr(f *wireField) netip.Addr {
	b := r.bytes(f)
	a, ok := netip.AddrFromSlice(b)
	if !ok && len(b) != 0 {
		r.fail("an address of another length")
	}
	return a
}

func (r *WireReader) addrPort(f *wireField) netip.AddrPort {
	b := r.bytes(f)
	if len(b) == 0 {
		return netip.AddrPort{}
	}
	if len(b) < 2 {
		r.fail("an address of another length")
		return netip.AddrPort{}
	}
	host, port := b[:len(b)-2], binary.BigEndian.Uint16(b[len(b)-2:])
	a, ok := netip.AddrFromSlice(host)
	if !ok && len(host) != 0 {
		r.fail("an address of another length")
	}
	return netip.AddrPortFrom(a, port)
}

func (r *WireReader) packedPorts(f *wireField) {
	for b := r.bytes(f); len(b) > 0; {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<16-1 {
			r.fail("a port out of range")
			return
		}
		r.ports = append(r.ports, uint16(v))
		b = b[n:]
	}
}

func appendVarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func appendUintWire(b []byte, tag uint32, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(tag)), v)
}

func appendFixedWire(b []byte, tag uint32, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.AppendUvarint(b, uint64(tag)), v)
}

// Valid returns s with bytes that are not UTF-8 replaced one by one by U+FFFD, as
// encoding/json does: protobuf refuses a whole message for one of them.
func Valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func appendStringWire(b []byte, tag uint32, s string) []byte {
	s = Valid(s)
	return append(appendUintWire(b, tag, uint64(len(s))), s...)
}

func appendBytesWire(b []byte, tag uint32, s []byte) []byte {
	return append(appendUintWire(b, tag, uint64(len(s))), s...)
}

func (h Hashes) appendWire(b []byte, tag uint32) []byte {
	b = appendUintWire(b, tag, uint64(8*len(h)))
	for _, v := range h {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// appendAddrWire appends an address of 4 or 16 bytes, with two more for a port.
func appendAddrWire(b []byte, tag uint32, a netip.AddrPort, port bool) []byte {
	b, at := openWire(b, tag)
	switch ip := a.Addr(); {
	case ip.Is4():
		v := ip.As4()
		b = append(b, v[:]...)
	case ip.Is6():
		v := ip.As16()
		b = append(b, v[:]...)
	}
	if port {
		b = binary.BigEndian.AppendUint16(b, a.Port())
	}
	return closeWire(b, at)
}

// openWire begins a field whose length is not known yet and leaves one byte for
// it, which is enough for nearly all; closeWire writes it.
func openWire(b []byte, tag uint32) (_ []byte, at int) {
	b = append(binary.AppendUvarint(b, uint64(tag)), 0)
	return b, len(b)
}

func closeWire(b []byte, at int) []byte {
	size := len(b) - at
	if size < 0x80 {
		b[at-1] = byte(size)
		return b
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(size))
	b = append(b, length[:n-1]...)
	copy(b[at+n-1:], b[at:at+size])
	copy(b[at-1:], length[:n])
	return b
}

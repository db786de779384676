package event

import (
	"encoding/binary"
	"net/netip"
	"unsafe"
)

// Packer packs events that wait into chunks of bytes without pointers: what a
// collection does not look into, and a fifth to a tenth of an event's size in
// use. A string that the chunk has already is named by its place, so a chunk can
// be read by itself, with Unpack; only appending needs the packer. The form is
// for the memory of one process and changes freely. The zero value is ready for
// Begin. Not for concurrent use.
type Packer struct {
	buf   []byte
	first Time // of the chunk's first event: the others' are told from it
	now   Time // of the event being packed: its other times are told from it
	table [packTable]packed
	round uint32 // of the chunk: what the table has of others does not count
}

// packed is a string and its place in the chunk.
type packed struct {
	s     string
	at    uint32
	round uint32
}

const (
	packTable  = 1 << 10
	minPackRef = 4   // shorter ones are written again
	maxPackRef = 256 // longer ones hardly repeat
)

// Begin starts a new chunk in buf, of which the capacity is used. What was
// appended to the last one stays as it is.
func (p *Packer) Begin(buf []byte) {
	p.buf = buf[:0]
	p.round++
}

// Bytes returns the chunk as it stands. What is in it will not change.
func (p *Packer) Bytes() []byte { return p.buf }

// Append packs one event at the end of the chunk and returns its place, never
// zero. The chunk moves when its capacity does not do.
func (p *Packer) Append(e *Event) (at int) {
	if len(p.buf) == 0 {
		p.first = e.Time
		p.buf = binary.LittleEndian.AppendUint64(p.buf, uint64(e.Time))
	}
	at = len(p.buf)
	p.now = e.Time
	p.int(int64(e.Time - p.first))
	e.pack(p)
	p.payload(e.Payload)
	return at
}

// Undo takes back the last event, which Append put at the place.
func (p *Packer) Undo(at int) {
	p.buf = p.buf[:at]
	p.round++ // the table may name what is gone
}

// Unpack reads the event at a place of a chunk; its payload is cut from b, to
// whose Events it is not added. Strings are the chunk's own bytes: who keeps one
// keeps the chunk, which must not change.
func Unpack(chunk []byte, at int, e *Event, b *Batch) {
	u := unpacker{data: chunk, at: at}
	u.now = Time(binary.LittleEndian.Uint64(chunk)) + Time(u.int())
	*e = Event{Time: u.now}
	e.unpack(&u)
	e.Payload = u.payload(b)
}

// PackedID returns the id of the event at a place of a chunk.
func PackedID(chunk []byte, at int) (id ID) {
	u := unpacker{data: chunk, at: at}
	u.int()
	if u.uint()&1 != 0 { // the first field of an event
		u.raw(id[:])
	}
	return id
}

func (p *Packer) uint(v uint64) { p.buf = binary.AppendUvarint(p.buf, v) }

func (p *Packer) int(v int64) { p.buf = binary.AppendVarint(p.buf, v) }

func (p *Packer) time(t Time) { p.int(int64(t - p.now)) }

// string writes a string, or where the chunk has it.
func (p *Packer) string(s string) {
	if len(s) < minPackRef || len(s) > maxPackRef {
		p.literal(s)
		return
	}
	t := &p.table[hashOf(s)%packTable]
	if t.round == p.round && t.s == s {
		p.uint(uint64(t.at)<<1 | 1)
		return
	}
	*t = packed{s, uint32(len(p.buf)), p.round}
	p.literal(s)
}

func (p *Packer) literal(s string) {
	p.uint(uint64(len(s)) << 1)
	p.buf = append(p.buf, s...)
}

// hashOf mixes the length and both ends of a string of at least minPackRef bytes.
func hashOf(s string) uint64 {
	var head, tail uint64
	if len(s) >= 8 {
		head, tail = le64(s), le64(s[len(s)-8:])
	} else {
		head = uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
		tail = uint64(s[len(s)-1]) | uint64(s[len(s)-2])<<8
	}
	return mix64(head ^ tail*0x9e3779b97f4a7c15 + uint64(len(s)))
}

func le64(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func (p *Packer) hashes(h *Hashes) {
	for _, v := range h {
		p.buf = binary.LittleEndian.AppendUint64(p.buf, v)
	}
}

// addr writes the length of an address, one more for a zone, and its bytes.
func (p *Packer) addr(a netip.Addr) {
	switch {
	case a.Is4():
		v := a.As4()
		p.buf = append(append(p.buf, 4), v[:]...)
	case a.Zone() != "":
		v := a.As16()
		p.buf = append(append(p.buf, 17), v[:]...)
		p.string(a.Zone())
	case a.Is6():
		v := a.As16()
		p.buf = append(append(p.buf, 16), v[:]...)
	default:
		p.buf = append(p.buf, 0)
	}
}

// unpacker reads one event of a chunk.
type unpacker struct {
	data []byte
	at   int
	now  Time
}

func (u *unpacker) byte() byte {
	c := u.data[u.at]
	u.at++
	return c
}

func (u *unpacker) uint() uint64 {
	if c := u.data[u.at]; c < 0x80 { // Fast path: most are small.
		u.at++
		return uint64(c)
	}
	v, n := binary.Uvarint(u.data[u.at:])
	u.at += n
	return v
}

func (u *unpacker) int() int64 {
	v := u.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (u *unpacker) time() Time { return u.now + Time(u.int()) }

func (u *unpacker) raw(to []byte) { u.at += copy(to, u.data[u.at:]) }

func (u *unpacker) string() string {
	v := u.uint()
	if v&1 == 0 {
		return u.literal(int(v >> 1))
	}
	back := unpacker{data: u.data, at: int(v >> 1)}
	return back.literal(int(back.uint() >> 1))
}

func (u *unpacker) literal(n int) string {
	if n == 0 {
		return ""
	}
	b := u.data[u.at : u.at+n]
	u.at += n
	return unsafe.String(unsafe.SliceData(b), n)
}

func (u *unpacker) hashes(h *Hashes) {
	for i := range h {
		h[i] = binary.LittleEndian.Uint64(u.data[u.at:])
		u.at += 8
	}
}

func (u *unpacker) addr() netip.Addr {
	switch u.byte() {
	case 4:
		var a [4]byte
		u.raw(a[:])
		return netip.AddrFrom4(a)
	case 16:
		var a [16]byte
		u.raw(a[:])
		return netip.AddrFrom16(a)
	case 17:
		var a [16]byte
		u.raw(a[:])
		return netip.AddrFrom16(a).WithZone(u.string())
	}
	return netip.Addr{}
}

package socket

import (
	"golang.org/x/net/http2/hpack"
)

const (
	// maxTable is the largest table of headers that is kept, in HPACK's measure.
	// Who agrees on a larger one has its oldest entries unknown.
	maxTable     = 1 << 16
	defaultTable = 4096
	entryCost    = 32
)

// table is what the header blocks of one direction of a connection refer to by
// number. Unlike x/net's it keeps nothing of headers that are not read, and it
// goes on where it does not know an entry: the newest have the lowest numbers,
// so that all it has seen since a gap are right. The zero value is an empty one.
// Source: RFC 7541, 2.3 and 4.
type table struct {
	ring    []entry
	last, n int // the newest, and how many there are
	size    uint32
	limit   uint32 // plus one; 0 is the default
}

// entry is a header and, if it is read, its value.
type entry struct {
	header     header
	nameLength uint32
	size       uint32
	value      []byte
}

var (
	unknownEntry = entry{header: headerUnknown}
	static       = staticTable()
)

// staticTable has x/net say what the entries are that need no table.
func staticTable() (all [62]entry) {
	for i := 1; i < len(all); i++ {
		fields, err := hpack.NewDecoder(0, nil).DecodeFull([]byte{0x80 | byte(i)})
		if err != nil {
			panic(err)
		}
		e := entry{header: headerOf([]byte(fields[0].Name)), nameLength: uint32(len(fields[0].Name))}
		if e.header != headerOther {
			e.value = []byte(fields[0].Value)
		}
		all[i] = e
	}
	return all
}

// at returns the entry of a number from 1.
func (t *table) at(i uint64) *entry {
	if i < uint64(len(static)) {
		return &static[i]
	}
	if i -= uint64(len(static)); i >= uint64(t.n) {
		return &unknownEntry
	}
	return &t.ring[(t.last-int(i))&(len(t.ring)-1)]
}

func (t *table) max() uint32 {
	if t.limit == 0 {
		return defaultTable
	}
	return t.limit - 1
}

func (t *table) resize(limit uint64) {
	t.limit = uint32(min(limit, maxTable)) + 1
	t.evict()
}

func (t *table) evict() {
	for limit := t.max(); t.size > limit; {
		oldest := &t.ring[(t.last-t.n+1)&(len(t.ring)-1)]
		t.size -= oldest.size
		clear(oldest.value)
		t.n--
	}
}

func (t *table) forget() {
	for i := range t.ring {
		clear(t.ring[i].value)
	}
	t.n, t.size = 0, 0
}

// insert adds a header. Its value may be cut, length is what it was.
func (t *table) insert(h header, nameLength uint32, value []byte, length int) {
	e := entry{header: h, nameLength: nameLength, size: nameLength + uint32(length) + entryCost}
	if e.size > t.max() {
		t.forget()
		return
	}
	t.size += e.size
	if t.n == len(t.ring) {
		larger := make([]entry, max(2*t.n, 8))
		for i := range t.n {
			larger[t.n-1-i] = t.ring[(t.last-i)&(len(t.ring)-1)]
		}
		t.ring, t.last = larger, t.n-1
	}
	t.last = (t.last + 1) & (len(t.ring) - 1)
	t.n++
	slot := &t.ring[t.last]
	e.value = append(slot.value[:0], value...)
	*slot = e
	t.evict()
}

// block reads a header block into f and the table. What was read before an error
// is good, but the table is not from then on.
func (d *Decoder) block(t *table, b []byte, f *fields) bool {
	defer d.literal.wipe()
	for len(b) > 0 {
		kind := b[0]
		var i uint64
		var ok bool
		switch {
		case kind&0x80 != 0: // an entry
			if i, b, ok = integer(b, 7); !ok || i == 0 {
				return false
			}
			e := t.at(i)
			d.take(f, e.header, e.value)
		case kind&0xe0 == 0x20: // another size
			if i, b, ok = integer(b, 5); !ok {
				return false
			}
			t.resize(i)
		default: // a value, with the name of an entry or its own
			prefix, insert := 4, kind&0xc0 == 0x40
			if insert {
				prefix = 6
			}
			if i, b, ok = integer(b, prefix); !ok {
				return false
			}
			e := t.at(i)
			h, nameLength := e.header, e.nameLength
			if i == 0 {
				if b, ok = d.literal.read(b, true); !ok {
					return false
				}
				h, nameLength = headerOf(d.literal), uint32(len(d.literal))
			}
			if b, ok = d.literal.read(b, insert || h > headerUnknown); !ok {
				return false
			}
			value := []byte(nil)
			if h > headerUnknown {
				value = d.kept(h, d.literal)
			}
			d.take(f, h, value)
			if insert {
				t.insert(h, nameLength, value, len(d.literal))
			}
		}
	}
	return true
}

// kept is what may be remembered of a value.
func (d *Decoder) kept(h header, value []byte) []byte {
	if h == headerPath {
		value = d.Redact.Path(value)
	}
	return value[:min(len(value), maxPath)]
}

// fields is what is read of the headers of one block.
type fields struct {
	method, path, host, requestID string
	status                        uint16
	traces                        traces
	packing                       packing
	unknown                       bool // some could not be known
}

func (d *Decoder) take(f *fields, h header, value []byte) {
	switch h {
	case headerUnknown:
		f.unknown = true
	case headerMethod:
		f.method = d.text(value, maxHost)
	case headerPath:
		f.path = d.text(value, maxPath)
	case headerAuthority, headerHost:
		f.host = d.text(value, maxHost)
	case headerRequestID:
		f.requestID = d.text(value, maxRequestID)
	case headerContentEncoding:
		f.packing = packingOf(value)
	case headerStatus:
		f.status = 0
		if len(value) == 3 {
			for _, c := range value {
				if c < '0' || c > '9' {
					f.status = 0
					break
				}
				f.status = 10*f.status + uint16(c-'0')
			}
		}
	default:
		f.traces.add(h, value)
	}
}

// integer reads a number that begins in the low bits of the first byte (RFC
// 7541, 5.1).
func integer(b []byte, bits int) (v uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	full := uint64(1)<<bits - 1
	v = uint64(b[0]) & full
	b = b[1:]
	if v < full {
		return v, b, true
	}
	for shift := 0; len(b) > 0 && shift < 28; shift += 7 {
		c := b[0]
		b = b[1:]
		v += uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			return v, b, true
		}
	}
	return 0, nil, false
}

// literal is a string of a header block, decoded.
type literal []byte

func (l *literal) Write(b []byte) (int, error) {
	*l = append(*l, b...)
	return len(b), nil
}

func (l *literal) wipe() {
	clear(*l)
	*l = (*l)[:0]
}

// read takes the string at the begin of b, or only steps over it.
func (l *literal) read(b []byte, wanted bool) (rest []byte, ok bool) {
	l.wipe()
	if len(b) == 0 {
		return nil, false
	}
	packed := b[0]&0x80 != 0
	n, b, ok := integer(b, 7)
	if !ok || n > uint64(len(b)) {
		return nil, false
	}
	switch {
	case !wanted:
	case packed:
		if _, err := hpack.HuffmanDecode(l, b[:n]); err != nil {
			return nil, false
		}
	default:
		*l = append(*l, b[:n]...)
	}
	return b[n:], true
}

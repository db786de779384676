package tetragon

import (
	"fmt"
	"strconv"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// errDigest bounds what the arguments of a hook may come to: the names of enums
// are longer than their numbers.
var errDigest = fmt.Errorf("%w: arguments over %d bytes", scan.ErrLimit, scan.MaxRecord)

// argumentsWire reads the KprobeArguments that msg has in the fields of a tag.
func (d *Decoder) argumentsWire(tag uint64, msg []byte, a *arguments) {
	w := scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag != tag {
			continue
		}
		d.argumentWire(w.Bytes, a)
		if len(d.digest) > scan.MaxRecord {
			d.p.Fail(errDigest)
			return
		}
	}
}

// argumentWire reads one KprobeArgument as readArgument does: what it adds to the
// digest is what its JSON adds, member for member.
func (d *Decoder) argumentWire(msg []byte, a *arguments) {
	p := &d.p
	var body, label []byte
	var num, which uint64
	w := scan.Wire{Buf: msg}
	for w.Next() {
		i := w.Tag >> 3
		switch {
		case i >= uint64(len(argumentFields)) || w.Tag&7 != argumentFields[i].kind.wire():
		case i == argLabel:
			label = w.Bytes
		case argumentFields[i].kind == fieldMessage && which == i:
			body = p.Merge(body, w.Bytes)
		default: // of a oneof the last counts
			which, body, num = i, w.Bytes, w.Num
		}
	}
	p.End(&w)
	d.mixTag('(')
	f := &argumentFields[which]
	num = f.kind.number(num)
	switch which {
	case 0:
	case argSock:
		d.sockWire(&a.sock, f.message, sockPlaces, body)
	case argSkb:
		d.sockWire(&a.skb, f.message, skbPlaces, body)
	case argSockaddr:
		d.sockaddrWire(a, f.message, body)
	case argFile, argPath, argUnix:
		d.fileWire(a, f.message, 2, body)
	case argBinprm:
		d.fileWire(a, f.message, 1, body)
	case argString:
		d.readString(a, p.Text(body))
	case argInt, argLong, argUint, argSize:
		d.readNumber(a, int64(num))
	default:
		d.mixName(f.name)
		d.mixField(f, body, num)
	}
	if label = p.Text(label); len(label) > 0 {
		d.mixName("label")
		d.mixTag('=')
		d.mix(label)
	}
	d.mixTag(')')
}

// ends are the numbers of the fields that a KprobeSock and a KprobeSkb have in
// common; 0 is none.
type ends struct{ protocol, saddr, daddr, sport, dport, cookie int }

var (
	sockPlaces = ends{3, 6, 7, 8, 9, 10}
	skbPlaces  = ends{protocol: 12, saddr: 5, daddr: 6, sport: 7, dport: 8}
)

func (d *Decoder) sockWire(first *endpoints, m *message, at ends, msg []byte) {
	p := &d.p
	var v values
	d.collect(m, msg, &v)
	d.mixTag('k')
	d.mixFields(m, msg, &v)
	d.keepEnds(first, &endpoints{
		seen: true, proto: protoOf(p.Text(v[at.protocol].bytes)), saddr: p.Addr(v[at.saddr].bytes), daddr: p.Addr(v[at.daddr].bytes),
		sport: p.Uint16(v[at.sport].num), dport: p.Uint16(v[at.dport].num), addr: event.SockAddr(v[at.cookie].num),
	})
}

func (d *Decoder) sockaddrWire(a *arguments, m *message, msg []byte) {
	const addr, port = 2, 3
	var v values
	d.collect(m, msg, &v)
	d.mixTag('p')
	d.mixFields(m, msg, &v)
	d.keepPeer(a, d.p.Addr(v[addr].bytes), d.p.Uint16(v[port].num))
}

// fileWire reads a message whose path has a number.
func (d *Decoder) fileWire(a *arguments, m *message, path int, msg []byte) {
	var v values
	d.collect(m, msg, &v)
	d.mixTag('f')
	d.mixFields(m, msg, &v)
	d.keepFile(a, d.p.Text(v[path].bytes))
}

// values are the fields of a message by number. That of 0 is always empty.
type values [maxField + 1]struct {
	bytes []byte
	num   uint64
	set   bool
}

// collect reads the fields of a message, of a list only that there is one.
func (d *Decoder) collect(m *message, msg []byte, v *values) {
	w := scan.Wire{Buf: msg}
	for w.Next() {
		i := w.Tag >> 3
		if i >= uint64(len(m)) || m[i].name == "" {
			continue
		}
		f, x := &m[i], &v[i]
		switch {
		case f.list:
		case w.Tag&7 != f.kind.wire():
			continue
		case f.kind.embedded():
			x.bytes = d.p.Merge(x.bytes, w.Bytes)
		default:
			x.bytes, x.num = w.Bytes, f.kind.number(w.Num)
		}
		x.set = true
	}
	d.p.End(&w)
}

// mixFields adds the fields of a message that are not kept, as JSON has them:
// in order, without those that have their default.
func (d *Decoder) mixFields(m *message, msg []byte, v *values) {
	for i := range m {
		f, x := &m[i], &v[i]
		switch {
		case !x.set || f.kept:
		case f.list:
			d.mixList(f, uint64(i), msg)
		case f.kind.embedded() || x.num != 0 || f.kind.wire() == scan.WireBytes && len(x.bytes) > 0:
			d.mixName(f.name)
			d.mixField(f, x.bytes, x.num)
		}
	}
}

// mixField adds the value of a field.
func (d *Decoder) mixField(f *field, b []byte, num uint64) {
	if f.kind == fieldMessage {
		var v values
		d.collect(f.message, b, &v)
		d.mixTag('{')
		d.mixFields(f.message, b, &v)
		d.mixTag('}')
		return
	}
	d.mixTag('=')
	switch f.kind {
	case fieldText:
		d.mix(d.p.Text(b))
	case fieldBytes:
		d.mixBase64(b)
	case fieldUint32, fieldUint64:
		d.mixUnsigned(num)
	case fieldInt32, fieldInt64:
		d.mixSigned(int64(num))
	case fieldEnum:
		if name := f.names[int32(num)]; name != "" {
			d.mixName(name)
			return
		}
		d.mixSigned(enum(num))
	case fieldUint32Value:
		d.mixUnsigned(uint64(uint32(d.p.Wrapped(b))))
	case fieldInt32Value:
		d.mixSigned(enum(d.p.Wrapped(b)))
	case fieldBool:
		d.mixBool(num != 0)
	case fieldBoolValue:
		d.mixBool(d.p.Wrapped(b) != 0)
	}
}

// mixList adds a list of enums, packed or not.
func (d *Decoder) mixList(f *field, number uint64, msg []byte) {
	open := false
	add := func(n uint64) {
		if !open {
			open = true
			d.mixName(f.name)
			d.mixTag('[')
		}
		d.mixField(f, nil, f.kind.number(n))
		if len(d.digest) > scan.MaxRecord {
			d.p.Fail(errDigest)
		}
	}
	w := scan.Wire{Buf: msg}
	for w.Next() && d.p.Err() == nil {
		switch w.Tag {
		case number<<3 | scan.WireVarint:
			add(w.Num)
		case number<<3 | scan.WireBytes:
			for packed := (scan.Wire{Buf: w.Bytes}); len(packed.Buf) > 0 && d.p.Err() == nil; {
				add(packed.Varint())
				d.p.End(&packed)
			}
		}
	}
	if open {
		d.mixTag(']')
	}
}

func (d *Decoder) mixUnsigned(n uint64) {
	d.buf = strconv.AppendUint(d.buf[:0], n, 10)
	d.mix(d.buf)
}

func (d *Decoder) mixSigned(n int64) {
	d.buf = strconv.AppendInt(d.buf[:0], n, 10)
	d.mix(d.buf)
}

func (d *Decoder) mixBool(b bool) {
	d.buf = strconv.AppendBool(d.buf[:0], b)
	d.mix(d.buf)
}

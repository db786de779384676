package tetragon

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// arguments is what is kept of a hook's arguments: the first socket, packet,
// socket address, file, string and number.
type arguments struct {
	sock, skb endpoints
	peer      netip.AddrPort // sockaddr_arg
	file      []byte
	str       []byte
	hasStr    bool
	number    int64
	hasNumber bool
}

// endpoints are those of a sock_arg or skb_arg.
type endpoints struct {
	seen         bool
	proto        event.Proto
	saddr, daddr netip.Addr
	sport, dport uint16
	addr         event.SockAddr
}

// readArgument reads one KprobeArgument. All of it goes into the digest, what
// is not kept value by value.
func (d *Decoder) readArgument(a *arguments) {
	s := &d.s
	d.mixTag('(')
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "sock_arg", "sockArg":
			d.readSock(&a.sock)
		case "skb_arg", "skbArg":
			d.readSock(&a.skb)
		case "sockaddr_arg", "sockaddrArg":
			d.readSockaddr(a)
		case "file_arg", "fileArg", "path_arg", "pathArg", "linux_binprm_arg", "linuxBinprmArg", "sockaddrun_arg", "sockaddrunArg":
			d.readFile(a)
		case "string_arg", "stringArg":
			d.readString(a, s.BytesIn(&d.arena))
		case "int_arg", "intArg", "long_arg", "longArg":
			d.readNumber(a, s.Int64())
		case "uint_arg", "uintArg", "size_arg", "sizeArg":
			d.readNumber(a, int64(s.Uint()))
		default:
			d.mixMember()
		}
	}
	d.mixTag(')')
}

func (d *Decoder) readString(a *arguments, b []byte) {
	d.mixTag('s')
	d.mix(b)
	if !a.hasStr {
		a.str, a.hasStr = b, true
	}
}

func (d *Decoder) readNumber(a *arguments, v int64) {
	d.mixTag('n')
	d.mixUint(uint64(v))
	if !a.hasNumber {
		a.number, a.hasNumber = v, true
	}
}

// readSock reads a KprobeSock, or what a KprobeSkb has in common with one.
func (d *Decoder) readSock(first *endpoints) {
	s := &d.s
	var e endpoints
	e.seen = s.Peek() == '{'
	d.mixTag('k')
	s.Object()
	for i := s.Member(sockNames, 0); i >= 0; i = s.Member(sockNames, i+1) {
		switch i {
		case sockProtocol:
			e.proto = protoOf(s.Bytes())
		case sockSaddr:
			e.saddr = s.Addr()
		case sockDaddr:
			e.daddr = s.Addr()
		case sockSport:
			e.sport = s.Uint16()
		case sockDport:
			e.dport = s.Uint16()
		case sockCookie:
			e.addr = event.SockAddr(s.Uint())
		case sockFamily, sockType: // what they say is in the addresses and the protocol
			s.Skip()
		default:
			d.mixMember()
		}
	}
	d.keepEnds(first, &e)
}

func (d *Decoder) keepEnds(first, e *endpoints) {
	d.digest = append(d.digest, byte(e.proto))
	d.mixAddr(e.saddr)
	d.mixAddr(e.daddr)
	d.mixUint(uint64(e.sport)<<16 | uint64(e.dport))
	d.mixUint(uint64(e.addr))
	if !first.seen {
		*first = *e
	}
}

func (d *Decoder) readSockaddr(a *arguments) {
	s := &d.s
	var addr netip.Addr
	var port uint16
	d.mixTag('p')
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "addr":
			addr = s.Addr()
		case "port":
			port = s.Uint16()
		default:
			d.mixMember()
		}
	}
	d.keepPeer(a, addr, port)
}

func (d *Decoder) keepPeer(a *arguments, addr netip.Addr, port uint16) {
	d.mixAddr(addr)
	d.mixUint(uint64(port))
	if !a.peer.IsValid() {
		a.peer = end(addr, port)
	}
}

func (d *Decoder) readFile(a *arguments) {
	s := &d.s
	var path []byte
	d.mixTag('f')
	for s.Object(); s.Next(); {
		if string(s.Key()) == "path" {
			path = s.BytesIn(&d.arena)
			continue
		}
		d.mixMember()
	}
	d.keepFile(a, path)
}

func (d *Decoder) keepFile(a *arguments, path []byte) {
	d.mix(path)
	if len(a.file) == 0 {
		a.file = path
	}
}

// protoOf reads Tetragon's name of a protocol ("IPPROTO_TCP"). MPTCP is TCP on
// the wire; what has no ports and is not ICMP is none.
func protoOf(b []byte) event.Proto {
	switch string(bytes.TrimPrefix(b, []byte("IPPROTO_"))) {
	case "TCP", "MPTCP":
		return event.ProtoTCP
	case "UDP", "UDPLITE":
		return event.ProtoUDP
	case "SCTP":
		return event.ProtoSCTP
	case "ICMP":
		return event.ProtoICMP
	case "ICMPV6":
		return event.ProtoICMPv6
	}
	return event.ProtoNone
}

// end is one end of a connection; the unspecified address without a port says
// nothing.
func end(a netip.Addr, port uint16) netip.AddrPort {
	if !a.IsValid() || a.IsUnspecified() && port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}

// tuple puts the ends that a hook named together: local end first, for a packet
// its source. A socket that is not connected yet has its peer from the
// socket address the call was given; for bind that one is the local end.
func (a *arguments) tuple(function []byte) event.Tuple {
	e := &a.sock
	if !e.seen {
		e = &a.skb
	}
	t := event.Tuple{Proto: e.proto, Src: end(e.saddr, e.sport), Dst: end(e.daddr, e.dport)}
	switch {
	case !a.peer.IsValid():
	case bytes.Contains(function, []byte("bind")):
		if !t.Src.IsValid() {
			t.Src = a.peer
		}
	case !t.Dst.IsValid():
		t.Dst = a.peer
	}
	return t
}

// The digest tells apart calls whose kept fields are equal. Every part of it is
// of known length or carries its own.

func (d *Decoder) mixTag(tag byte) { d.digest = append(d.digest, tag) }

func (d *Decoder) mix(b []byte) {
	d.digest = binary.AppendUvarint(d.digest, uint64(len(b)))
	d.digest = append(d.digest, b...)
}

// mixName is mix of a string.
func (d *Decoder) mixName(s string) {
	d.digest = binary.AppendUvarint(d.digest, uint64(len(s)))
	d.digest = append(d.digest, s...)
}

func (d *Decoder) mixUint(v uint64) { d.digest = binary.LittleEndian.AppendUint64(d.digest, v) }

func (d *Decoder) mixAddr(a netip.Addr) {
	if !a.IsValid() {
		d.mixTag(0)
		return
	}
	raw := a.As16()
	d.mixTag(16)
	d.digest = append(d.digest, raw[:]...)
}

// mixMember adds the current member, name and value, in a form that does not
// depend on white space, on the case style of names, nor on quotes around
// numbers.
func (d *Decoder) mixMember() {
	d.buf = d.buf[:0]
	for _, c := range d.s.Key() {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != '_' {
			d.buf = append(d.buf, c)
		}
	}
	d.mix(d.buf)
	d.mixValue()
}

func (d *Decoder) mixValue() {
	s := &d.s
	switch s.Peek() {
	case '{':
		d.mixTag('{')
		for s.Object(); s.Next(); {
			d.mixMember()
		}
		d.mixTag('}')
	case '[':
		d.mixTag('[')
		for s.Array(); s.Next(); {
			d.mixValue()
		}
		d.mixTag(']')
	case '"':
		d.mixTag('=')
		d.mix(s.Bytes())
	default:
		d.mixTag('=')
		d.mix(s.Raw())
	}
}

package scan

import (
	"bytes"
	"net/netip"
)

// AddrPort reads an address with its port ("10.0.0.1:80", "[::1]:80"); null and
// the empty string are zero.
func (s *JSON) AddrPort() netip.AddrPort {
	b := s.Bytes()
	if len(b) == 0 || s.err != nil {
		return netip.AddrPort{}
	}
	a, ok := AddrPort(b)
	if !ok {
		s.wrongType("an IP address and port")
	}
	return a
}

// AddrPort parses an address with its port into the canonical form of Addr. An
// IPv6 address stands in brackets.
func AddrPort(b []byte) (netip.AddrPort, bool) {
	i := bytes.LastIndexByte(b, ':')
	if i < 0 {
		return netip.AddrPort{}, false
	}
	port, ok := Uint(b[i+1:])
	if !ok || port > 65535 {
		return netip.AddrPort{}, false
	}
	host := b[:i]
	bracketed := len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']'
	if bracketed {
		host = host[1 : len(host)-1]
	}
	if bracketed != (bytes.IndexByte(host, ':') >= 0) {
		return netip.AddrPort{}, false
	}
	a, ok := Addr(host)
	return netip.AddrPortFrom(a, uint16(port)), ok
}

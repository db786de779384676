package scan

import (
	"bytes"
	"net/netip"
)

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

package otlp

import (
	"bytes"
	"math"
	"net/netip"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// readNetwork reads who talked to whom about what. An address that is none (a
// path of a unix socket) is left out.
func (d *Decoder) readNetwork(s *event.Span, a *attrs) {
	s.Peer = addrPort(a, slotPeerAddr, slotPeerPort)
	s.Local = addrPort(a, slotLocalAddr, slotLocalPort)
	if s.Local.Port() == 0 && a.set.has(slotLocalAddr) && a.rank[slotLocalAddr] > 0 {
		// net.host.port is the listener's; it belongs to the old addresses only.
		s.Local = addrPort(a, slotLocalAddr, slotHostPort)
	}
	if a.set.has(slotClient) {
		s.Client, _ = scan.Addr(a.text(slotClient))
	}
	s.Cookie = event.SocketCookie(a.uint(slotCookie, math.MaxUint64))
	s.Protocol = protocol(d.str(a.text(slotProtocol)))

	s.HTTP.Method = d.str(a.text(slotMethod))
	s.HTTP.Status = uint16(a.uint(slotStatus, math.MaxUint16))
	var host, path []byte
	if a.set.has(slotURL) {
		host, path = d.Redact.SplitURL(a.text(slotURL))
	}
	if a.set.has(slotPath) {
		// An HTTP/1 target may be a whole URL.
		_, path = d.Redact.SplitURL(a.text(slotPath))
		if d.Redact.URLQueries && a.set.has(slotQuery) && bytes.IndexByte(path, '?') < 0 {
			path = d.join(path, '?', a.text(slotQuery))
		}
	}
	switch {
	case len(path) > 0:
	case a.set.has(slotRoute):
		path = d.Redact.Path(a.text(slotRoute)) // a template: better than nothing
	case a.set.has(slotRPCMethod):
		// gRPC's path on the wire is /service/method; newer conventions give
		// the method with its service.
		path = a.text(slotRPCMethod)
		if a.set.has(slotRPCService) {
			path = d.join(a.text(slotRPCService), '/', path)
		}
		if len(path) > 0 && path[0] != '/' {
			path = d.join(nil, '/', path)
		}
	}
	if len(host) == 0 {
		host = a.text(slotHost)
	}
	s.HTTP.Host, s.HTTP.Path = d.str(host), d.str(path)
	d.readServer(s, a, host)
}

// readServer finds the logical server: the one a client asked for, or what a
// server calls itself.
func (d *Decoder) readServer(s *event.Span, a *attrs, host []byte) {
	name, port := a.text(slotServer), uint16(a.uint(slotServerPort, math.MaxUint16))
	if len(name) == 0 {
		if s.Kind == event.SpanKindServer || s.Kind == event.SpanKindConsumer {
			name = a.text(slotHostName)
			port = uint16(a.uint(slotHostPort, math.MaxUint16))
		} else {
			name = a.text(slotPeerName)
			port = uint16(a.uint(slotPeerPort, math.MaxUint16))
		}
	}
	if len(name) == 0 {
		name, port = splitHostPort(host)
	}
	if len(name) > 0 {
		s.Server, s.ServerPort = d.str(name), port
	}
}

// redactName keeps the query out of a span's name, where libraries that name
// spans by their target put it, and user information out of a URL in it.
func (d *Decoder) redactName(name []byte, network bool) []byte {
	if i := bytes.Index(name, []byte("://")); i >= 0 {
		i = bytes.LastIndexByte(name[:i], ' ') + 1
		host, path := d.Redact.SplitURL(name[i:])
		n := len(d.arena)
		d.arena = append(append(append(d.arena, name[:i]...), host...), path...)
		return d.arena[n:len(d.arena):len(d.arena)]
	}
	if i := bytes.IndexByte(name, '?'); i >= 0 && network && !d.Redact.URLQueries {
		return name[:i]
	}
	return name
}

func addrPort(a *attrs, addr, port slot) netip.AddrPort {
	if !a.set.has(addr) {
		return netip.AddrPort{}
	}
	ip, ok := scan.Addr(a.text(addr))
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, uint16(a.uint(port, math.MaxUint16)))
}

// protocol is the version as network.protocol.version has it; http.flavor wrote
// "2.0" and "HTTP/2".
func protocol(v string) string {
	switch v {
	case "2.0", "HTTP/2", "HTTP/2.0":
		return "2"
	case "3.0", "HTTP/3", "QUIC":
		return "3"
	case "HTTP/1.1":
		return "1.1"
	case "HTTP/1.0":
		return "1.0"
	}
	return v
}

// splitHostPort splits "name", "name:port" and "[v6]:port".
func splitHostPort(host []byte) (name []byte, port uint16) {
	i := bytes.LastIndexByte(host, ':')
	if i < 0 || bytes.IndexByte(host[i:], ']') >= 0 || host[0] != '[' && bytes.IndexByte(host[:i], ':') >= 0 {
		return bytes.Trim(host, "[]"), 0
	}
	if v, ok := decimal(host[i+1:]); ok && v <= math.MaxUint16 {
		port = uint16(v)
	}
	return bytes.Trim(host[:i], "[]"), port
}

// join makes one text of two in the arena.
func (d *Decoder) join(a []byte, sep byte, b []byte) []byte {
	n := len(d.arena)
	d.arena = append(append(append(d.arena, a...), sep), b...)
	return d.arena[n:len(d.arena):len(d.arena)]
}

package socket

import "encoding/binary"

// hello is what a TLS ClientHello says of where it goes.
type hello struct{ name, protocols []byte }

// parseHello reads the server's name and the protocols (the raw list of
// RFC 7301) of a ClientHello's record, of which the end may be missing. A hello
// without a name is one; what is no hello is not. Source: RFC 8446, 4.1.2.
func parseHello(b []byte) (h hello, ok bool) {
	const record, handshake, versionAndRandom = 5, 4, 2 + 32
	if len(b) < record+handshake+versionAndRandom || b[0] != 0x16 || b[1] != 3 || b[5] != 1 {
		return hello{}, false
	}
	b = b[record+handshake+versionAndRandom:]
	for _, width := range [...]int{1, 2, 1} { // session id, ciphers, compression
		if _, b, ok = field(b, width); !ok {
			return hello{}, false
		}
	}
	if len(b) < 2 {
		return hello{}, len(b) == 0
	}
	if n := int(binary.BigEndian.Uint16(b)); n < len(b)-2 {
		b = b[:n+2]
	}
	for b = b[2:]; len(b) >= 4; {
		kind := binary.BigEndian.Uint16(b)
		var body []byte
		if body, b, ok = field(b[2:], 2); !ok {
			break // cut: what came before is good
		}
		switch list, _, whole := field(body, 2); {
		case !whole:
		case kind == 0 && len(list) > 3 && list[0] == 0:
			if name, _, ok := field(list[1:], 2); ok && printable(name) {
				h.name = name
			}
		case kind == 16:
			h.protocols = list
		}
	}
	return h, true
}

// alpn writes the protocols with commas between.
func (h *hello) alpn(out []byte) []byte {
	for b := h.protocols; len(b) > 0; {
		name, rest, ok := field(b, 1)
		if !ok || !printable(name) {
			return out
		}
		if len(out) > 0 {
			out = append(out, ',')
		}
		out, b = append(out, name...), rest
	}
	return out
}

// field cuts off a vector whose length stands before it in width bytes.
func field(b []byte, width int) (value, rest []byte, ok bool) {
	if len(b) < width {
		return nil, nil, false
	}
	n := 0
	for _, c := range b[:width] {
		n = n<<8 | int(c)
	}
	b = b[width:]
	if len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(b) > 0
}

package socket

import (
	"bytes"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// head is what is read of an HTTP/1 head. Its slices point into the packet.
type head struct {
	method, target, host, requestID []byte
	status                          uint16
	old                             bool // HTTP/1.0
	trace                           event.TraceContext
	// size is the length of the head with its empty line, 0 where the packet
	// ended before it, or what was captured of it.
	size    int
	length  int64 // Content-Length, -1 without
	chunked bool
	packing packing
}

// cutLine is bytes.Cut at "\r\n", for lines in which "\n" is rare.
func cutLine(b []byte) (line, rest []byte, whole bool) {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return b, nil, false
		}
		if i += from; i > 0 && b[i-1] == '\r' {
			return b[:i-1], b[i+1:], true
		}
		from = i + 1
	}
}

// parseHead reads a request's or response's head. It is strict about the first
// line, so that a body which begins with a method's name is no request.
func parseHead(b []byte, response bool) (h head, ok bool) {
	line, rest, whole := cutLine(b)
	if !whole {
		return head{}, false
	}
	if response {
		ok = h.statusLine(line)
	} else {
		ok = h.requestLine(line)
	}
	if !ok {
		return head{}, false
	}
	h.length = -1
	var t traces
	for {
		if line, rest, whole = cutLine(rest); !whole {
			break // a header that was cut is not read
		}
		if len(line) == 0 {
			h.size = len(b) - len(rest)
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		f := headerOf(line[:colon])
		if f == headerOther {
			continue
		}
		value := trim(line[colon+1:])
		switch f {
		case headerContentLength:
			n, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil || n < 0 || h.length >= 0 && h.length != n {
				return head{}, false // nobody knows where such a message ends
			}
			h.length = n
		case headerTransferEncoding:
			h.chunked = true
		case headerContentEncoding:
			h.packing = packingOf(value)
		case headerHost:
			h.host = value
		case headerRequestID:
			h.requestID = value
		default:
			t.add(f, value)
		}
	}
	h.trace = t.best()
	return h, true
}

// trim takes off the blanks around a value.
func trim(b []byte) []byte {
	blank := func(c byte) bool { return c == ' ' || c == '\t' }
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func (h *head) requestLine(line []byte) bool {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || len(method) == 0 || len(method) > 16 || len(target) == 0 || !h.version(version) {
		return false
	}
	for _, c := range method {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	for _, c := range target {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	h.method, h.target = method, target
	return true
}

func (h *head) statusLine(line []byte) bool {
	version, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || !h.version(version) || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return false
	}
	for _, c := range rest[:3] {
		if c < '0' || c > '9' {
			return false
		}
		h.status = 10*h.status + uint16(c-'0')
	}
	return h.status >= 100
}

func (h *head) version(b []byte) bool {
	h.old = string(b) == "HTTP/1.0"
	return h.old || string(b) == "HTTP/1.1"
}

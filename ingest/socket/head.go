package socket

import (
	"bytes"
	"strconv"

	"github.com/sennit-io/sennit/ingest/scan"
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
}

var crlf = []byte("\r\n")

// parseHead reads a request's or response's head. It is strict about the first
// line, so that a body which begins with a method's name is no request.
func parseHead(b []byte, response bool) (h head, ok bool) {
	line, rest, whole := bytes.Cut(b, crlf)
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
	var b3 struct{ trace, span []byte }
	var parent, cloud event.TraceContext
	for {
		at := len(b) - len(rest)
		if line, rest, whole = bytes.Cut(rest, crlf); !whole {
			break // a header that was cut is not read
		}
		if len(line) == 0 {
			h.size = at + len(crlf)
			break
		}
		name, value, colon := bytes.Cut(line, []byte(":"))
		if !colon {
			continue
		}
		value = bytes.Trim(value, " \t")
		switch {
		case is(name, "content-length"):
			n, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil || n < 0 || h.length >= 0 && h.length != n {
				return head{}, false // nobody knows where such a message ends
			}
			h.length = n
		case is(name, "transfer-encoding"):
			h.chunked = true
		case is(name, "host"):
			h.host = value
		case is(name, "x-request-id"):
			h.requestID = value
		case is(name, "traceparent"):
			if parent.TraceID.IsZero() {
				parent, _ = scan.TraceParent(value)
			}
		case is(name, "x-cloud-trace-context"):
			cloud, _ = scan.CloudTrace(value)
		case is(name, "b3"):
			if tc, ok := scan.B3(value); ok {
				h.trace = tc
			}
		case is(name, "x-b3-traceid"):
			b3.trace = value
		case is(name, "x-b3-spanid"):
			b3.span = value
		}
	}
	switch {
	case !parent.TraceID.IsZero():
		h.trace = parent
	case !cloud.TraceID.IsZero():
		h.trace = cloud
	case h.trace.TraceID.IsZero():
		if id, ok := scan.B3TraceID(b3.trace); ok {
			h.trace = event.TraceContext{TraceID: id, Format: "b3"}
			h.trace.SpanID, _ = scan.B3SpanID(b3.span)
		}
	}
	return h, true
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

// is compares a header's name, whose case does not matter, with a lower-case one.
func is(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

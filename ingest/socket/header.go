package socket

// header is a header that is read; of all others not even the name is kept.
type header uint8

const (
	headerOther   header = iota
	headerUnknown        // its name was in a packet that was not seen
	headerMethod
	headerPath
	headerAuthority
	headerStatus
	headerHost
	headerContentLength
	headerTransferEncoding
	headerContentEncoding
	headerRequestID
	headerTraceParent
	headerCloudTrace
	headerB3
	headerB3TraceID
	headerB3SpanID
)

var headerNames = [...]struct {
	name string
	header
}{
	{":method", headerMethod},
	{":path", headerPath},
	{":authority", headerAuthority},
	{":status", headerStatus},
	{"host", headerHost},
	{"content-length", headerContentLength},
	{"transfer-encoding", headerTransferEncoding},
	{"content-encoding", headerContentEncoding},
	{"x-request-id", headerRequestID},
	{"traceparent", headerTraceParent},
	{"x-cloud-trace-context", headerCloudTrace},
	{"b3", headerB3},
	{"x-b3-traceid", headerB3TraceID},
	{"x-b3-spanid", headerB3SpanID},
}

// headersOf are the places of the headers in headerNames, by the length of their
// names.
var headersOf = func() (of [len("x-cloud-trace-context") + 1][]uint8) {
	for i := range headerNames {
		n := len(headerNames[i].name)
		of[n] = append(of[n], uint8(i))
	}
	return of
}()

// headerOf knows a header by its name, whose case does not matter.
func headerOf(name []byte) header {
	if len(name) >= len(headersOf) {
		return headerOther
	}
	for _, i := range headersOf[len(name)] {
		if is(name, headerNames[i].name) {
			return headerNames[i].header
		}
	}
	return headerOther
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

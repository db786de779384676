package socket

import (
	"fmt"
	"strings"
	"testing"
)

func TestHead(t *testing.T) {
	f := func(in string, response bool, want string) {
		t.Helper()
		got := "none"
		if h, ok := parseHead([]byte(in), response); ok {
			got = fmt.Sprintf("%s %s %s %d size=%d length=%d chunked=%v %s %s %s", h.method, h.target, h.host, h.status,
				h.size, h.length, h.chunked, h.requestID, h.trace.Format, h.trace.TraceID.String()[:4])
		}
		if got != want {
			t.Errorf("%.60q\n got %s\nwant %s", in, got, want)
		}
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	f("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", false, "GET /a?b=c x 0 size=32 length=-1 chunked=false   0000")
	f("POST / HTTP/1.1\r\ncontent-LENGTH: 12\r\nX-Request-Id: r1\r\n\r\nbody", false, "POST /  0 size=57 length=12 chunked=false r1  0000")
	f("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nTraceparent:  00-"+trace+"-00f067aa0ba902b7-01 \r\n", false,
		"POST /  0 size=0 length=-1 chunked=true  traceparent 4bf9")
	f("GET / HTTP/1.1\r\nX-Cloud-Trace-Context: "+trace+"/1;o=1\r\n\r\n", false, "GET /  0 size=81 length=-1 chunked=false  cloud 4bf9")
	f("GET / HTTP/1.1\r\nX-B3-SpanId: 00f067aa0ba902b7\r\nX-B3-TraceId: "+trace+"\r\n\r\n", false, "GET /  0 size=97 length=-1 chunked=false  b3 4bf9")
	// traceparent wins; a malformed one does not.
	f("GET / HTTP/1.1\r\nb3: 00f067aa0ba902b7-00f067aa0ba902b7\r\ntraceparent: 00-"+trace+"-00f067aa0ba902b7-01\r\n\r\n", false,
		"GET /  0 size=127 length=-1 chunked=false  traceparent 4bf9")
	f("GET / HTTP/1.1\r\ntraceparent: 00-"+strings.Repeat("0", 32)+"-00f067aa0ba902b7-01\r\n\r\n", false, "GET /  0 size=88 length=-1 chunked=false   0000")
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, "   200 size=38 length=5 chunked=false   0000")
	f("HTTP/1.1 204\r\n\r\n", true, "   204 size=16 length=-1 chunked=false   0000")
	// What only begins like a head, and what nobody knows the end of.
	f("GET me some tea, please\r\n", false, "none")
	f("GET / HTTP/2.0\r\n\r\n", false, "none")
	f(" / HTTP/1.1\r\n\r\n", false, "none")
	f("get / HTTP/1.1\r\n\r\n", false, "none")
	f("GET / HTTP/1.1", false, "none")
	f("GET /\x1b[31m HTTP/1.1\r\n\r\n", false, "none")
	f("HTTP/1.1 20 OK\r\n\r\n", true, "none")
	f("HTTP/1.1 2000 OK\r\n\r\n", true, "none")
	f("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", false, "none")
	f("POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", false, "none")
	f("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", false, "none")
}

func FuzzHead(f *testing.F) {
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: x\r\ncontent-length: 5\r\n\r\nhello"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, b []byte, response bool) {
		h, ok := parseHead(b, response)
		if !ok {
			return
		}
		if h.size < 0 || h.size > len(b) || h.size > 0 && !strings.HasSuffix(string(b[:h.size]), "\r\n\r\n") {
			t.Errorf("the head of %q ends at %d", b, h.size)
		}
		if response == (h.status == 0) || response == (len(h.method) > 0) {
			t.Errorf("%q as response %v: status %d, method %q", b, response, h.status, h.method)
		}
	})
}

package convert

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
)

// pair is one request and its response on a connection: what was in the heads
// that an exchange carries, and when the bytes came.
type pair struct {
	http                  event.HTTP
	trace                 event.TraceContext
	start, firstByte, end event.Time
	request, response     int // bytes, heads included
}

// pairs reads the requests and responses of a connection that is known to be
// HTTP/1. A request whose response is not whole gives none, since its end was
// not seen.
func pairs(c *connection) ([]pair, error) {
	up, down := newMessages(&c.ends[client].sent), newMessages(&c.ends[server].sent)
	var out []pair
	for !up.empty() {
		var p pair
		from := up.offset()
		req, err := http.ReadRequest(up.buf)
		if err == nil {
			_, err = io.Copy(io.Discard, req.Body)
		}
		if cut(err) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("read request %d: %w", len(out)+1, err)
		}
		p.start, p.request = up.s.at(from), up.offset()-from
		p.http = event.HTTP{Method: req.Method, Host: req.Host, Path: req.URL.EscapedPath()}
		p.trace = traceparent(req.Header.Get("Traceparent"))

		from = down.offset()
		var resp *http.Response
		for informational := true; informational; {
			if down.empty() {
				return out, nil
			}
			if resp, err = http.ReadResponse(down.buf, req); err != nil {
				break
			}
			informational = resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols
		}
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		if cut(err) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("read response %d: %w", len(out)+1, err)
		}
		p.http.Status = uint16(resp.StatusCode)
		p.firstByte, p.end, p.response = down.s.at(from), down.s.at(down.offset()-1), down.offset()-from
		out = append(out, p)
	}
	return out, nil
}

// cut reports whether the bytes ended within a message.
func cut(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) }

// messages reads one direction and knows how far it is.
type messages struct {
	s    *stream
	left *bytes.Reader
	buf  *bufio.Reader
}

func newMessages(s *stream) *messages {
	left := bytes.NewReader(s.data)
	return &messages{s: s, left: left, buf: bufio.NewReader(left)}
}

func (m *messages) offset() int { return len(m.s.data) - m.left.Len() - m.buf.Buffered() }

func (m *messages) empty() bool { return m.offset() == len(m.s.data) }

// traceparent reads version 00 of the header (W3C Trace Context, section 3.2);
// zero for anything else.
func traceparent(s string) (t event.TraceContext) {
	parts := strings.Split(s, "-")
	if len(parts) != 4 || parts[0] != "00" || len(parts[1]) != 32 || len(parts[2]) != 16 {
		return t
	}
	if _, err := hex.Decode(t.TraceID[:], []byte(parts[1])); err != nil {
		return event.TraceContext{}
	}
	if _, err := hex.Decode(t.SpanID[:], []byte(parts[2])); err != nil {
		return event.TraceContext{}
	}
	t.Format = "traceparent"
	return t
}

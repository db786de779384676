package hubble

import (
	"unicode/utf8"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// maxRequestID is the longest x-request-id that is kept; clients choose it.
const maxRequestID = 128

func (d *Decoder) layer7() {
	s, r := &d.s, &d.r
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "type":
			r.l7Type = d.layer7Type()
		case "latency_ns", "latencyNs":
			r.latencyNS = s.Uint()
		case "http":
			if s.Peek() != 'n' {
				r.l7 = l7HTTP
			}
			d.http()
		case "dns":
			if s.Peek() != 'n' {
				r.l7 = l7DNS
			}
			d.dns()
		default: // kafka and what else there may be: a plain flow
			s.Skip()
		}
	}
}

func (d *Decoder) http() {
	s, h := &d.s, &d.r.http
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "code":
			h.Status = s.Uint16()
		case "method":
			h.Method = d.names.String(s.Bytes())
		case "url":
			host, path := d.Redact.SplitURL(s.Bytes())
			h.Host, h.Path = d.names.String(host), d.paths.String(path)
		case "headers":
			for s.Array(); s.Next(); {
				d.header()
			}
		default:
			s.Skip()
		}
	}
}

// header reads one {"key","value"} pair.
func (d *Decoder) header() {
	s := &d.s
	h, keyed, valued := headerOther, false, false
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "key":
			h, keyed = headerOf(s.Bytes()), true
			if valued {
				d.headerValue(h, d.value)
			}
		case "value":
			b := s.Bytes()
			switch {
			case keyed:
				d.headerValue(h, b)
			default: // its key is still to come
				d.value, valued = append(d.value[:0], b...), true
			}
		default:
			s.Skip()
		}
	}
}

// header is a header that we read.
type header uint8

const (
	headerOther header = iota
	headerTraceParent
	headerCloudTrace
	headerB3
	headerB3Trace
	headerB3Span
	headerRequestID
)

func headerOf(key []byte) header {
	switch len(key) {
	case 2:
		if equalFold(key, "b3") {
			return headerB3
		}
	case 11:
		if equalFold(key, "traceparent") {
			return headerTraceParent
		}
		if equalFold(key, "x-b3-spanid") {
			return headerB3Span
		}
	case 12:
		if equalFold(key, "x-request-id") {
			return headerRequestID
		}
		if equalFold(key, "x-b3-traceid") {
			return headerB3Trace
		}
	case 21:
		if equalFold(key, "x-cloud-trace-context") {
			return headerCloudTrace
		}
	}
	return headerOther
}

// equalFold compares b with a name in lower case.
func equalFold(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

// headerValue keeps the first readable value of each header.
func (d *Decoder) headerValue(h header, b []byte) {
	v := &d.r.headers
	switch h {
	case headerTraceParent:
		if tc, ok := scan.TraceParent(b); ok && v.traceparent.TraceID.IsZero() {
			v.traceparent = tc
		}
	case headerCloudTrace:
		if tc, ok := scan.CloudTrace(b); ok && v.cloud.TraceID.IsZero() {
			v.cloud = tc
		}
	case headerB3:
		if tc, ok := scan.B3(b); ok && v.b3.TraceID.IsZero() {
			v.b3 = tc
		}
	case headerB3Trace:
		if id, ok := scan.B3TraceID(b); ok && v.b3Trace.IsZero() {
			v.b3Trace = id
		}
	case headerB3Span:
		if id, ok := scan.B3SpanID(b); ok && v.b3Span.IsZero() {
			v.b3Span = id
		}
	case headerRequestID:
		// "HUBBLE_REDACTED" is what Cilium puts in place of a value.
		if v.requestID == "" && len(b) <= maxRequestID && utf8.Valid(b) && string(b) != "HUBBLE_REDACTED" {
			// Not interned: the ids never repeat but for their response, and
			// would evict the names.
			v.requestID = string(b)
		}
	}
}

// trace returns the trace context of an HTTP flow. Cilium's own trace_context has
// no span id; the header it was taken from, if it is there, has.
func (r *record) trace() event.TraceContext {
	h := &r.headers
	switch {
	case !r.traceParent.IsZero():
		tc := event.TraceContext{TraceID: r.traceParent, Format: "hubble"}
		if h.traceparent.TraceID == tc.TraceID {
			tc.SpanID = h.traceparent.SpanID
		}
		return tc
	case !h.traceparent.TraceID.IsZero():
		return h.traceparent
	case !h.cloud.TraceID.IsZero():
		return h.cloud
	case !h.b3.TraceID.IsZero():
		return h.b3
	case !h.b3Trace.IsZero() && !h.b3Span.IsZero():
		return event.TraceContext{TraceID: h.b3Trace, SpanID: h.b3Span, Format: "b3"}
	}
	return event.TraceContext{}
}

func (d *Decoder) dns() {
	s, r := &d.s, &d.r
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "query":
			r.query = d.lower.Lower(trimDot(s.Bytes()))
		case "ips":
			for s.Array(); s.Next(); {
				if a := s.Addr(); a.IsValid() {
					d.answers = append(d.answers, a)
				}
			}
		case "rcode":
			r.rcode = s.Uint16()
		case "qtypes":
			for s.Array(); s.Next(); {
				if r.qtype != "" {
					s.Skip()
					continue
				}
				r.qtype = d.names.String(s.Bytes())
			}
		default:
			s.Skip()
		}
	}
}

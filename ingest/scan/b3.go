package scan

import "github.com/sennit-io/sennit/schemas/event"

// B3 reads the single b3 header ("<trace>-<span>-<sampled>-<parent>", the last two
// optional). A header that only carries a sampling decision ("0") has no trace.
// Source: github.com/openzipkin/b3-propagation.
func B3(b []byte) (event.TraceContext, bool) {
	cut := func() []byte {
		for i, c := range b {
			if c == '-' {
				part := b[:i]
				b = b[i+1:]
				return part
			}
		}
		part := b
		b = nil
		return part
	}
	tc := event.TraceContext{Format: "b3"}
	var ok1, ok2 bool
	tc.TraceID, ok1 = B3TraceID(cut())
	tc.SpanID, ok2 = B3SpanID(cut())
	if !ok1 || !ok2 {
		return event.TraceContext{}, false
	}
	return tc, true
}

// B3TraceID reads an X-B3-TraceId header: 32 hex digits, or 16, which are the
// low half. All zero is invalid.
func B3TraceID(b []byte) (id event.TraceID, ok bool) {
	if len(b) == 16 {
		ok = Hex(id[8:], b)
	} else {
		ok = Hex(id[:], b)
	}
	if !ok || id.IsZero() {
		return event.TraceID{}, false
	}
	return id, true
}

// B3SpanID reads an X-B3-SpanId header: 16 hex digits. All zero is invalid.
func B3SpanID(b []byte) (id event.SpanID, ok bool) {
	if !Hex(id[:], b) || id.IsZero() {
		return event.SpanID{}, false
	}
	return id, true
}

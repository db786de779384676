package socket

import (
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// traces are the trace contexts that one head may carry, in all formats.
type traces struct {
	parent, cloud, single, multi event.TraceContext
}

// add takes in a header that may be one of theirs. The first traceparent counts.
func (t *traces) add(f header, value []byte) {
	switch f {
	case headerTraceParent:
		if t.parent.TraceID.IsZero() {
			t.parent, _ = scan.TraceParent(value)
		}
	case headerCloudTrace:
		t.cloud, _ = scan.CloudTrace(value)
	case headerB3:
		if tc, ok := scan.B3(value); ok {
			t.single = tc
		}
	case headerB3TraceID:
		if id, ok := scan.B3TraceID(value); ok {
			t.multi.TraceID, t.multi.Format = id, "b3"
		}
	case headerB3SpanID:
		t.multi.SpanID, _ = scan.B3SpanID(value)
	}
}

// best is the one that counts.
func (t *traces) best() event.TraceContext {
	for _, tc := range [...]*event.TraceContext{&t.parent, &t.cloud, &t.single, &t.multi} {
		if !tc.TraceID.IsZero() {
			return *tc
		}
	}
	return event.TraceContext{}
}

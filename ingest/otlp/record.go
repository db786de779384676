package otlp

import (
	"errors"
	"math"
	"unsafe"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// MaxAttributes is the number of attributes of one span, event, log record or
// resource, and of the links of one span, beyond which the record is bad.
const MaxAttributes = 1024

// maxText is the number of bytes kept of one name or id.
const maxText = 1024

// What makes a record bad although its text is sound.
var (
	errTraceID    = errors.New("trace id is missing or not 16 bytes")
	errSpanID     = errors.New("span id is missing or not 8 bytes")
	errParentID   = errors.New("parent span id is not 8 bytes")
	errNoTime     = errors.New("neither start nor end time")
	errTimeRange  = errors.New("time after the year 2262")
	errBackwards  = errors.New("ends before it starts")
	errLogNoTime  = errors.New("log record has neither a time nor an observed time")
	errAttributes = errors.New("limit exceeded: attributes over 1024")
	errLinks      = errors.New("limit exceeded: links over 1024")
)

// spanRecord is one span as read, before it is judged.
type spanRecord struct {
	traceID, spanID, parentID []byte // as written: hex or base64 in JSON, bytes in protobuf
	name                      []byte
	kind                      int64
	status                    int64
	start, end                uint64
	exception                 []byte
	attrs                     attrs
	links                     []event.SpanLink
}

func (r *spanRecord) reset() {
	r.traceID, r.spanID, r.parentID, r.name, r.exception = nil, nil, nil, nil, nil
	r.kind, r.status, r.start, r.end = 0, 0, 0, 0
	r.attrs.reset()
	r.links = r.links[:0]
}

// logRecord is one log record as read. content is a canonical form of body and
// attributes: never kept, only hashed.
type logRecord struct {
	traceID, spanID []byte
	time, observed  uint64
	name            []byte
	severity        int64
	severityText    []byte
	content         []byte
	attrs           attrs
}

func (r *logRecord) reset() {
	r.traceID, r.spanID, r.name, r.severityText = nil, nil, nil, nil
	r.time, r.observed, r.severity = 0, 0, 0
	r.content = r.content[:0]
	r.attrs.reset()
}

// resource is what the spans of one resource have in common.
type resource struct {
	service  string
	pid      uint32
	workload event.Workload
}

func (d *Decoder) readResource(a *attrs) {
	d.res = resource{
		service: d.str(a.text(slotService)),
		pid:     uint32(a.uint(slotPID, math.MaxUint32)),
		workload: event.Workload{
			Cluster:   d.str(a.text(slotCluster)),
			Namespace: d.str(a.text(slotNamespace)),
			Pod:       d.str(a.text(slotPod)),
			PodUID:    d.str(a.text(slotPodUID)),
			Container: d.str(a.text(slotContainer)),
			Node:      d.str(a.text(slotNode)),
		},
	}
}

// str keeps a name or id, at most maxText bytes of it.
func (d *Decoder) str(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > maxText {
		b = cut(b, maxText)
	}
	// Fast path: the few names of one program, without the intern table's hash.
	i := (uint(len(b))*31 + uint(b[0])*7 + uint(b[len(b)-1])*3 + uint(b[len(b)/2])) % uint(len(d.recent))
	if s := d.recent[i]; s == string(b) {
		return s
	}
	s := d.names.String(b)
	d.recent[i] = s
	return s
}

// cut shortens b to at most n bytes on a rune boundary.
func cut(b []byte, n int) []byte {
	for n > 0 && b[n]&0xc0 == 0x80 {
		n--
	}
	return b[:n]
}

// decimal reads digits and nothing else.
func decimal(b []byte) (uint64, bool) { return scan.Uint(b) }

// view is b as a string without a copy, for calls that do not keep it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

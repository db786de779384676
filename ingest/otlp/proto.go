package otlp

import (
	"fmt"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// Field tags of opentelemetry-proto 1.11: number << 3 | wire type.
const (
	tagResourceItems = 1<<3 | wireBytes // ExportTraceServiceRequest, ExportLogsServiceRequest

	tagResource     = 1<<3 | wireBytes    // ResourceSpans, ResourceLogs
	tagScopes       = 2<<3 | wireBytes    //
	tagOldScopes    = 1000<<3 | wireBytes // instrumentation_library_spans, _logs
	tagScope        = 1<<3 | wireBytes    // ScopeSpans, ScopeLogs
	tagItems        = 2<<3 | wireBytes    //
	tagAttributes   = 1<<3 | wireBytes    // Resource
	tagScopeName    = 1<<3 | wireBytes    // InstrumentationScope
	tagKey          = 1<<3 | wireBytes    // KeyValue
	tagValue        = 2<<3 | wireBytes    //
	tagValues       = 1<<3 | wireBytes    // ArrayValue, KeyValueList
	tagStringValue  = 1<<3 | wireBytes    // AnyValue
	tagBoolValue    = 2<<3 | wireVarint   //
	tagIntValue     = 3<<3 | wireVarint   //
	tagDoubleValue  = 4<<3 | wireFixed64  //
	tagArrayValue   = 5<<3 | wireBytes    //
	tagKvlistValue  = 6<<3 | wireBytes    //
	tagBytesValue   = 7<<3 | wireBytes    //
	tagStatusCode   = 3<<3 | wireVarint   // Status
	tagEventAttrs   = 3<<3 | wireBytes    // Span.Event
	tagLinkTraceID  = 1<<3 | wireBytes    // Span.Link
	tagLinkSpanID   = 2<<3 | wireBytes    //
	tagSpanTraceID  = 1<<3 | wireBytes    // Span
	tagSpanID       = 2<<3 | wireBytes    //
	tagSpanParentID = 4<<3 | wireBytes    //
	tagSpanName     = 5<<3 | wireBytes    //
	tagSpanKind     = 6<<3 | wireVarint   //
	tagSpanStart    = 7<<3 | wireFixed64  //
	tagSpanEnd      = 8<<3 | wireFixed64  //
	tagSpanAttrs    = 9<<3 | wireBytes    //
	tagSpanEvents   = 11<<3 | wireBytes   //
	tagSpanLinks    = 13<<3 | wireBytes   //
	tagSpanStatus   = 15<<3 | wireBytes   //
	tagLogTime      = 1<<3 | wireFixed64  // LogRecord
	tagLogSeverity  = 2<<3 | wireVarint   //
	tagLogText      = 3<<3 | wireBytes    //
	tagLogBody      = 5<<3 | wireBytes    //
	tagLogAttrs     = 6<<3 | wireBytes    //
	tagLogTraceID   = 9<<3 | wireBytes    //
	tagLogSpanID    = 10<<3 | wireBytes   //
	tagLogObserved  = 11<<3 | wireFixed64 //
	tagLogEventName = 12<<3 | wireBytes   //
)

// DecodeProto appends the events of an ExportTraceServiceRequest (or
// TracesData, the same on the wire), and DecodeLogsProto those of an
// ExportLogsServiceRequest. The events are those that Decode makes of the JSON
// form. An empty message is an export of nothing.
func (d *Decoder) DecodeProto(rec []byte, b *event.Batch) (ingest.Tally, error) {
	return d.decodeProto(rec, b, traces)
}

// DecodeLogsProto is DecodeProto for an ExportLogsServiceRequest.
func (d *Decoder) DecodeLogsProto(rec []byte, b *event.Batch) (ingest.Tally, error) {
	return d.decodeProto(rec, b, logs)
}

func (d *Decoder) decodeProto(rec []byte, b *event.Batch, sig signal) (ingest.Tally, error) {
	d.begin(b, true)
	from := len(b.Events)
	w := wire{buf: rec}
	for w.next() {
		if w.tag == tagResourceItems && !d.resourceProto(w.bytes, sig) {
			w.fail()
		}
	}
	if w.bad {
		err := errWire
		if d.fault != nil {
			err = fmt.Errorf("%w (%w)", errWire, d.fault)
		}
		return d.whole(from, err)
	}
	return d.end(sig)
}

// resourceProto reads one ResourceSpans or ResourceLogs: the resource, wherever
// it stands, then the scopes. It reports whether the message is sound.
func (d *Decoder) resourceProto(msg []byte, sig signal) bool {
	d.other.reset()
	d.arena = d.arena[:0]
	w := wire{buf: msg}
	for w.next() {
		if w.tag != tagResource {
			continue
		}
		r := wire{buf: w.bytes}
		for r.next() {
			if r.tag != tagAttributes {
				continue
			}
			if err := d.attributeProto(&d.other, r.bytes); err != nil {
				if err != errWire {
					d.fault = err
				}
				return false
			}
		}
		if r.bad {
			return false
		}
	}
	if w.bad {
		return false
	}
	d.readResource(&d.other)
	w = wire{buf: msg}
	for w.next() {
		if (w.tag == tagScopes || w.tag == tagOldScopes) && !d.scopeProto(w.bytes, sig) {
			return false
		}
	}
	return true
}

// scopeProto reads one ScopeSpans or ScopeLogs.
func (d *Decoder) scopeProto(msg []byte, sig signal) bool {
	d.scope = ""
	w := wire{buf: msg}
	for w.next() {
		if w.tag != tagScope {
			continue
		}
		s := wire{buf: w.bytes}
		for s.next() {
			if s.tag == tagScopeName {
				d.scope = d.str(s.bytes)
			}
		}
		if s.bad {
			return false
		}
	}
	if w.bad {
		return false
	}
	w = wire{buf: msg}
	for w.next() {
		if w.tag != tagItems {
			continue
		}
		d.arena = d.arena[:0]
		var err error
		if sig == logs {
			err = d.logProto(w.bytes)
		} else {
			err = d.spanProto(w.bytes)
		}
		switch {
		case err == errWire:
			return false
		case err != nil:
			d.tally.In++
			d.bad(err)
		case sig == logs:
			d.addLog()
		default:
			d.addSpan()
		}
	}
	return true
}

func (d *Decoder) spanProto(msg []byte) error {
	r := &d.span
	r.reset()
	var fault error // the last of a sound message: read on, it may turn out unsound
	w := wire{buf: msg}
	// Fast path: both ids in front.
	if len(msg) > 28 && msg[0] == tagSpanTraceID && msg[1] == 16 && msg[18] == tagSpanID && msg[19] == 8 {
		r.traceID, r.spanID, w.buf = msg[2:18:18], msg[20:28:28], msg[28:]
	}
	for {
		// Fast path: attributes of less than 128 bytes.
		for len(w.buf) > 2 && w.buf[0] == tagSpanAttrs && w.buf[1] < 0x80 {
			n := int(w.buf[1]) + 2
			if n > len(w.buf) {
				break
			}
			err := d.attributeProto(&r.attrs, w.buf[2:n:n])
			if w.buf = w.buf[n:]; err == nil {
				continue
			}
			if err == errWire {
				return err
			}
			fault = err
		}
		if !w.next() {
			break
		}
		var err error
		switch w.tag {
		case tagSpanTraceID:
			r.traceID = w.bytes
		case tagSpanID:
			r.spanID = w.bytes
		case tagSpanParentID:
			r.parentID = w.bytes
		case tagSpanName:
			r.name = w.bytes
		case tagSpanKind:
			r.kind = int64(int32(w.num))
		case tagSpanStart:
			r.start = w.num
		case tagSpanEnd:
			r.end = w.num
		case tagSpanAttrs:
			err = d.attributeProto(&r.attrs, w.bytes)
		case tagSpanStatus:
			s := wire{buf: w.bytes}
			for s.next() {
				if s.tag == tagStatusCode {
					r.status = int64(int32(s.num))
				}
			}
			if s.bad {
				return errWire
			}
		case tagSpanEvents:
			err = d.eventProto(r, w.bytes)
		case tagSpanLinks:
			err = d.linkProto(r, w.bytes)
		}
		if err == errWire {
			return err
		}
		if err != nil {
			fault = err
		}
	}
	if w.bad {
		return errWire
	}
	return fault
}

func (d *Decoder) eventProto(r *spanRecord, msg []byte) error {
	d.other.reset()
	w := wire{buf: msg}
	for w.next() {
		if w.tag != tagEventAttrs {
			continue
		}
		if err := d.attributeProto(&d.other, w.bytes); err != nil {
			return err
		}
	}
	if w.bad {
		return errWire
	}
	if d.other.set.has(slotException) {
		r.exception = d.other.text(slotException)
	}
	return nil
}

func (d *Decoder) linkProto(r *spanRecord, msg []byte) error {
	var traceID, spanID []byte
	w := wire{buf: msg}
	for w.next() {
		switch w.tag {
		case tagLinkTraceID:
			traceID = w.bytes
		case tagLinkSpanID:
			spanID = w.bytes
		}
	}
	if w.bad {
		return errWire
	}
	return d.addLink(r, traceID, spanID)
}

func (d *Decoder) logProto(msg []byte) error {
	r := &d.log
	r.reset()
	var body []byte
	var hasBody bool
	w := wire{buf: msg}
	for w.next() {
		switch w.tag {
		case tagLogTraceID:
			r.traceID = w.bytes
		case tagLogSpanID:
			r.spanID = w.bytes
		case tagLogTime:
			r.time = w.num
		case tagLogObserved:
			r.observed = w.num
		case tagLogEventName:
			r.name = w.bytes
		case tagLogSeverity:
			r.severity = int64(int32(w.num))
		case tagLogText:
			r.severityText = w.bytes
		case tagLogBody:
			body, hasBody = w.bytes, true
		}
	}
	if w.bad {
		return errWire
	}
	var err error
	if hasBody {
		if r.content, err = renderProto(r.content, body, 0); err != nil {
			return err
		}
	}
	// The attributes are fields among others here, one object in the content.
	pairs := len(r.content)
	w = wire{buf: msg}
	for w.next() {
		if w.tag != tagLogAttrs {
			continue
		}
		if err := d.attributeProto(&r.attrs, w.bytes); err != nil {
			return err
		}
		r.content = append(r.content, sep(len(r.content) == pairs))
		if r.content, err = renderPairProto(r.content, w.bytes, 0); err != nil {
			return err
		}
	}
	if len(r.content) > pairs {
		r.content = append(r.content, '}')
	}
	return nil
}

func sep(first bool) byte {
	if first {
		return '{'
	}
	return ','
}

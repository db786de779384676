package otlp

import (
	"errors"
	"fmt"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// Field tags of opentelemetry-proto 1.11: number << 3 | wire type.
const (
	tagResourceItems = 1<<3 | scan.WireBytes // ExportTraceServiceRequest, ExportLogsServiceRequest

	tagResource     = 1<<3 | scan.WireBytes    // ResourceSpans, ResourceLogs
	tagScopes       = 2<<3 | scan.WireBytes    //
	tagOldScopes    = 1000<<3 | scan.WireBytes // instrumentation_library_spans, _logs
	tagScope        = 1<<3 | scan.WireBytes    // ScopeSpans, ScopeLogs
	tagItems        = 2<<3 | scan.WireBytes    //
	tagAttributes   = 1<<3 | scan.WireBytes    // Resource
	tagScopeName    = 1<<3 | scan.WireBytes    // InstrumentationScope
	tagKey          = 1<<3 | scan.WireBytes    // KeyValue
	tagValue        = 2<<3 | scan.WireBytes    //
	tagValues       = 1<<3 | scan.WireBytes    // ArrayValue, KeyValueList
	tagStringValue  = 1<<3 | scan.WireBytes    // AnyValue
	tagBoolValue    = 2<<3 | scan.WireVarint   //
	tagIntValue     = 3<<3 | scan.WireVarint   //
	tagDoubleValue  = 4<<3 | scan.WireFixed64  //
	tagArrayValue   = 5<<3 | scan.WireBytes    //
	tagKvlistValue  = 6<<3 | scan.WireBytes    //
	tagBytesValue   = 7<<3 | scan.WireBytes    //
	tagStatusCode   = 3<<3 | scan.WireVarint   // Status
	tagEventAttrs   = 3<<3 | scan.WireBytes    // Span.Event
	tagLinkTraceID  = 1<<3 | scan.WireBytes    // Span.Link
	tagLinkSpanID   = 2<<3 | scan.WireBytes    //
	tagSpanTraceID  = 1<<3 | scan.WireBytes    // Span
	tagSpanID       = 2<<3 | scan.WireBytes    //
	tagSpanParentID = 4<<3 | scan.WireBytes    //
	tagSpanName     = 5<<3 | scan.WireBytes    //
	tagSpanKind     = 6<<3 | scan.WireVarint   //
	tagSpanStart    = 7<<3 | scan.WireFixed64  //
	tagSpanEnd      = 8<<3 | scan.WireFixed64  //
	tagSpanAttrs    = 9<<3 | scan.WireBytes    //
	tagSpanEvents   = 11<<3 | scan.WireBytes   //
	tagSpanLinks    = 13<<3 | scan.WireBytes   //
	tagSpanStatus   = 15<<3 | scan.WireBytes   //
	tagLogTime      = 1<<3 | scan.WireFixed64  // LogRecord
	tagLogSeverity  = 2<<3 | scan.WireVarint   //
	tagLogText      = 3<<3 | scan.WireBytes    //
	tagLogBody      = 5<<3 | scan.WireBytes    //
	tagLogAttrs     = 6<<3 | scan.WireBytes    //
	tagLogTraceID   = 9<<3 | scan.WireBytes    //
	tagLogSpanID    = 10<<3 | scan.WireBytes   //
	tagLogObserved  = 11<<3 | scan.WireFixed64 //
	tagLogEventName = 12<<3 | scan.WireBytes   //
)

var errWire = errors.New("read OTLP protobuf: not a valid message")

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
	w := scan.Wire{Buf: rec}
	for w.Next() {
		if w.Tag == tagResourceItems && !d.resourceProto(w.Bytes, sig) {
			w.Fail()
		}
	}
	if w.Bad {
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
	w := scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag != tagResource {
			continue
		}
		r := scan.Wire{Buf: w.Bytes}
		for r.Next() {
			if r.Tag != tagAttributes {
				continue
			}
			if err := d.attributeProto(&d.other, r.Bytes); err != nil {
				if err != errWire {
					d.fault = err
				}
				return false
			}
		}
		if r.Bad {
			return false
		}
	}
	if w.Bad {
		return false
	}
	d.readResource(&d.other)
	w = scan.Wire{Buf: msg}
	for w.Next() {
		if (w.Tag == tagScopes || w.Tag == tagOldScopes) && !d.scopeProto(w.Bytes, sig) {
			return false
		}
	}
	return true
}

// scopeProto reads one ScopeSpans or ScopeLogs.
func (d *Decoder) scopeProto(msg []byte, sig signal) bool {
	d.scope = ""
	w := scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag != tagScope {
			continue
		}
		s := scan.Wire{Buf: w.Bytes}
		for s.Next() {
			if s.Tag == tagScopeName {
				d.scope = d.str(s.Bytes)
			}
		}
		if s.Bad {
			return false
		}
	}
	if w.Bad {
		return false
	}
	w = scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag != tagItems {
			continue
		}
		d.arena = d.arena[:0]
		var err error
		if sig == logs {
			err = d.logProto(w.Bytes)
		} else {
			err = d.spanProto(w.Bytes)
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
	w := scan.Wire{Buf: msg}
	// Fast path: both ids in front.
	if len(msg) > 28 && msg[0] == tagSpanTraceID && msg[1] == 16 && msg[18] == tagSpanID && msg[19] == 8 {
		r.traceID, r.spanID, w.Buf = msg[2:18:18], msg[20:28:28], msg[28:]
	}
	for {
		// Fast path: attributes of less than 128 bytes.
		for len(w.Buf) > 2 && w.Buf[0] == tagSpanAttrs && w.Buf[1] < 0x80 {
			n := int(w.Buf[1]) + 2
			if n > len(w.Buf) {
				break
			}
			err := d.attributeProto(&r.attrs, w.Buf[2:n:n])
			if w.Buf = w.Buf[n:]; err == nil {
				continue
			}
			if err == errWire {
				return err
			}
			fault = err
		}
		if !w.Next() {
			break
		}
		var err error
		switch w.Tag {
		case tagSpanTraceID:
			r.traceID = w.Bytes
		case tagSpanID:
			r.spanID = w.Bytes
		case tagSpanParentID:
			r.parentID = w.Bytes
		case tagSpanName:
			r.name = w.Bytes
		case tagSpanKind:
			r.kind = int64(int32(w.Num))
		case tagSpanStart:
			r.start = w.Num
		case tagSpanEnd:
			r.end = w.Num
		case tagSpanAttrs:
			err = d.attributeProto(&r.attrs, w.Bytes)
		case tagSpanStatus:
			s := scan.Wire{Buf: w.Bytes}
			for s.Next() {
				if s.Tag == tagStatusCode {
					r.status = int64(int32(s.Num))
				}
			}
			if s.Bad {
				return errWire
			}
		case tagSpanEvents:
			err = d.eventProto(r, w.Bytes)
		case tagSpanLinks:
			err = d.linkProto(r, w.Bytes)
		}
		if err == errWire {
			return err
		}
		if err != nil {
			fault = err
		}
	}
	if w.Bad {
		return errWire
	}
	return fault
}

func (d *Decoder) eventProto(r *spanRecord, msg []byte) error {
	d.other.reset()
	w := scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag != tagEventAttrs {
			continue
		}
		if err := d.attributeProto(&d.other, w.Bytes); err != nil {
			return err
		}
	}
	if w.Bad {
		return errWire
	}
	if d.other.set.has(slotException) {
		r.exception = d.other.text(slotException)
	}
	return nil
}

func (d *Decoder) linkProto(r *spanRecord, msg []byte) error {
	var traceID, spanID []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagLinkTraceID:
			traceID = w.Bytes
		case tagLinkSpanID:
			spanID = w.Bytes
		}
	}
	if w.Bad {
		return errWire
	}
	return d.addLink(r, traceID, spanID)
}

func (d *Decoder) logProto(msg []byte) error {
	r := &d.log
	r.reset()
	var body []byte
	var hasBody bool
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagLogTraceID:
			r.traceID = w.Bytes
		case tagLogSpanID:
			r.spanID = w.Bytes
		case tagLogTime:
			r.time = w.Num
		case tagLogObserved:
			r.observed = w.Num
		case tagLogEventName:
			r.name = w.Bytes
		case tagLogSeverity:
			r.severity = int64(int32(w.Num))
		case tagLogText:
			r.severityText = w.Bytes
		case tagLogBody:
			body, hasBody = w.Bytes, true
		}
	}
	if w.Bad {
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
	w = scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag != tagLogAttrs {
			continue
		}
		if err := d.attributeProto(&r.attrs, w.Bytes); err != nil {
			return err
		}
		r.content = append(r.content, sep(len(r.content) == pairs))
		if r.content, err = renderPairProto(r.content, w.Bytes, 0); err != nil {
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

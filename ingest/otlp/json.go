package otlp

import (
	"fmt"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// Decode appends the events of one OTLP/JSON request: traces or logs, names in
// camelCase or snake_case, ids in hex or base64, numbers bare or in quotes,
// enums by number or name. The error is nil unless the tally counts something
// bad or unknown; it wraps ingest.ErrUnknownType if nothing was bad.
func (d *Decoder) Decode(rec []byte, b *event.Batch) (ingest.Tally, error) {
	d.begin(b, false)
	from := len(b.Events)
	s := &d.json
	s.Reset(rec)
	sig, known, foreign := traces, false, ""
	if s.Peek() != '{' {
		if s.Skip(); s.End() != nil {
			return d.whole(from, fmt.Errorf("read OTLP JSON: %w", s.Err()))
		}
		foreign = "not an OTLP request"
	} else {
		for s.Object(); s.Next(); {
			switch string(s.Key()) {
			case "resourceSpans", "resource_spans":
				known = true
				for s.Array(); s.Next(); {
					d.resourceJSON(traces)
				}
			case "resourceLogs", "resource_logs":
				known, sig = true, logs
				for s.Array(); s.Next(); {
					d.resourceJSON(logs)
				}
			case "resourceMetrics", "resource_metrics":
				foreign = "OTLP metrics are not read"
				s.Skip()
			case "resourceProfiles", "resource_profiles":
				foreign = "OTLP profiles are not read"
				s.Skip()
			default:
				s.Skip()
			}
		}
		if err := s.End(); err != nil {
			return d.whole(from, fmt.Errorf("read OTLP JSON: %w", err))
		}
		if !known && foreign == "" {
			foreign = "not an OTLP request: neither resourceSpans nor resourceLogs"
		}
	}
	if foreign == "" {
		return d.end(sig)
	}
	d.tally.In++
	d.tally.UnknownType++
	if d.fault != nil {
		return d.end(sig)
	}
	d.batch = nil
	return d.tally, fmt.Errorf("%w: %s", ingest.ErrUnknownType, foreign)
}

// resourceJSON reads one ResourceSpans or ResourceLogs. Members come in any
// order, so what is met before its resource is passed over and read at the end.
func (d *Decoder) resourceJSON(sig signal) {
	s := &d.json
	d.res = resource{}
	known := false
	d.lateScopes = d.lateScopes[:0]
	for s.Object(); s.Next(); {
		switch key := s.Key(); {
		case string(key) == "resource":
			d.other.reset()
			for s.Object(); s.Next(); {
				if string(s.Key()) != "attributes" {
					s.Skip()
					continue
				}
				d.attributesJSON(&d.other)
			}
			d.readResource(&d.other)
			d.arena = d.arena[:0]
			known = true
		case !isScopes(key, sig):
			s.Skip()
		case known:
			d.scopesJSON(sig)
		default:
			d.lateScopes = append(d.lateScopes, s.Mark())
			s.Skip()
		}
	}
	if len(d.lateScopes) == 0 || s.Err() != nil {
		return
	}
	after := s.Mark()
	for _, m := range d.lateScopes {
		s.Rewind(m)
		if d.scopesJSON(sig); s.Err() != nil {
			return
		}
	}
	s.Rewind(after)
}

func isScopes(key []byte, sig signal) bool {
	if sig == logs {
		switch string(key) {
		case "scopeLogs", "scope_logs", "instrumentationLibraryLogs", "instrumentation_library_logs":
			return true
		}
		return false
	}
	switch string(key) {
	case "scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans":
		return true
	}
	return false
}

func isItems(key []byte, sig signal) bool {
	if sig == logs {
		return string(key) == "logRecords" || string(key) == "log_records" || string(key) == "logs"
	}
	return string(key) == "spans"
}

// scopesJSON reads a list of ScopeSpans or ScopeLogs.
func (d *Decoder) scopesJSON(sig signal) {
	s := &d.json
	for s.Array(); s.Next(); {
		d.scope = ""
		known := false
		d.lateItems = d.lateItems[:0]
		for s.Object(); s.Next(); {
			switch key := s.Key(); {
			case string(key) == "scope" || string(key) == "instrumentationLibrary" || string(key) == "instrumentation_library":
				for s.Object(); s.Next(); {
					if string(s.Key()) != "name" {
						s.Skip()
						continue
					}
					d.scope = d.str(s.Bytes())
				}
				known = true
			case !isItems(key, sig):
				s.Skip()
			case known:
				d.itemsJSON(sig)
			default:
				d.lateItems = append(d.lateItems, s.Mark())
				s.Skip()
			}
		}
		if len(d.lateItems) == 0 || s.Err() != nil {
			continue
		}
		after := s.Mark()
		for _, m := range d.lateItems {
			s.Rewind(m)
			if d.itemsJSON(sig); s.Err() != nil {
				return
			}
		}
		s.Rewind(after)
	}
}

// itemsJSON reads a list of spans or log records. A record with a value of the
// wrong type is bad by itself, if its text is sound.
func (d *Decoder) itemsJSON(sig signal) {
	s := &d.json
	for s.Array(); s.Next(); {
		start := s.Mark()
		d.arena = d.arena[:0]
		if sig == logs {
			d.logJSON()
		} else {
			d.spanJSON()
		}
		if err := s.Err(); err != nil {
			s.Rewind(start)
			if s.Skip(); s.Err() != nil {
				return
			}
			d.tally.In++
			d.bad(err)
			continue
		}
		if sig == logs {
			d.addLog()
		} else {
			d.addSpan()
		}
	}
}

func (d *Decoder) spanJSON() {
	s, r := &d.json, &d.span
	r.reset()
	start := s.Mark()
	if s.Object(); !d.spanHeadFast() {
		s.Rewind(start)
		s.Object()
	}
	for s.Next() {
		switch string(s.Key()) {
		case "traceId", "trace_id":
			r.traceID = s.BytesIn(&d.arena)
		case "spanId", "span_id":
			r.spanID = s.BytesIn(&d.arena)
		case "parentSpanId", "parent_span_id":
			r.parentID = s.BytesIn(&d.arena)
		case "name":
			r.name = s.BytesIn(&d.arena)
		case "kind":
			r.kind = enum(s, spanKind)
		case "startTimeUnixNano", "start_time_unix_nano":
			r.start = nanos(s)
		case "endTimeUnixNano", "end_time_unix_nano":
			r.end = nanos(s)
		case "attributes":
			d.attributesJSON(&r.attrs)
		case "status":
			for s.Object(); s.Next(); {
				if string(s.Key()) != "code" {
					s.Skip()
					continue
				}
				r.status = enum(s, statusCode)
			}
		case "events":
			for s.Array(); s.Next(); {
				d.eventJSON(r)
			}
		case "links":
			for s.Array(); s.Next(); {
				d.linkJSON(r)
			}
		default:
			s.Skip()
		}
	}
}

// spanHeadFast reads the first members of a span as far as they are those of
// the collector, in its order and spelling; the others follow by name. If it
// says false, the span must be read from its start.
func (d *Decoder) spanHeadFast() (ok bool) {
	s, r := &d.json, &d.span
	if s.Err() != nil || !s.Literal(`"traceId":"`) {
		return true
	}
	if r.traceID, ok = s.Plain(); !ok || !s.Literal(`,"spanId":"`) {
		return ok
	}
	if r.spanID, ok = s.Plain(); !ok {
		return false
	}
	if s.Literal(`,"parentSpanId":"`) {
		if r.parentID, ok = s.Plain(); !ok {
			return false
		}
	}
	if s.Literal(`,"flags":`) {
		s.Skip()
	}
	if !s.Literal(`,"name":"`) {
		return true
	}
	if r.name, ok = s.Plain(); !ok || !s.Literal(`,"kind":`) {
		return ok
	}
	if r.kind = enum(s, spanKind); s.Literal(`,"startTimeUnixNano":`) {
		r.start = nanos(s)
	}
	if s.Literal(`,"endTimeUnixNano":`) {
		r.end = nanos(s)
	}
	return true
}

// eventJSON reads of a span's event only the type of an exception.
func (d *Decoder) eventJSON(r *spanRecord) {
	s := &d.json
	d.other.reset()
	for s.Object(); s.Next(); {
		if string(s.Key()) != "attributes" {
			s.Skip()
			continue
		}
		d.attributesJSON(&d.other)
	}
	if d.other.set.has(slotException) {
		r.exception = d.other.text(slotException)
	}
}

func (d *Decoder) linkJSON(r *spanRecord) {
	s := &d.json
	var traceID, spanID []byte
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "traceId", "trace_id":
			traceID = s.BytesIn(&d.arena)
		case "spanId", "span_id":
			spanID = s.BytesIn(&d.arena)
		default:
			s.Skip()
		}
	}
	if err := d.addLink(r, traceID, spanID); err != nil {
		s.Fail(err)
	}
}

// addLink keeps a link that names a span; others say nothing.
func (d *Decoder) addLink(r *spanRecord, traceID, spanID []byte) error {
	var l event.SpanLink
	if !d.readID(l.TraceID[:], traceID) || !d.readID(l.SpanID[:], spanID) || l.TraceID.IsZero() || l.SpanID.IsZero() {
		return nil
	}
	if len(r.links) == MaxAttributes {
		return errLinks
	}
	r.links = append(r.links, l)
	return nil
}

func (d *Decoder) logJSON() {
	s, r := &d.json, &d.log
	r.reset()
	// The content is hashed in the order body, attributes, as protobuf numbers
	// them, whatever the order of the members.
	var body, attributes scan.Mark
	var hasBody, hasAttributes bool
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "traceId", "trace_id":
			r.traceID = s.BytesIn(&d.arena)
		case "spanId", "span_id":
			r.spanID = s.BytesIn(&d.arena)
		case "timeUnixNano", "time_unix_nano":
			r.time = nanos(s)
		case "observedTimeUnixNano", "observed_time_unix_nano":
			r.observed = nanos(s)
		case "eventName", "event_name":
			r.name = s.BytesIn(&d.arena)
		case "severityNumber", "severity_number":
			r.severity = enum(s, severityNumber)
		case "severityText", "severity_text":
			r.severityText = s.BytesIn(&d.arena)
		case "body":
			body, hasBody = s.Mark(), true
			s.Skip()
		case "attributes":
			attributes, hasAttributes = s.Mark(), true
			d.attributesJSON(&r.attrs)
		default:
			s.Skip()
		}
	}
	if s.Err() != nil {
		return
	}
	after := s.Mark()
	if hasBody {
		s.Rewind(body)
		r.content = d.renderJSON(r.content)
	}
	if hasAttributes && s.Err() == nil {
		s.Rewind(attributes)
		r.content = d.renderPairsJSON(r.content)
	}
	if s.Err() == nil {
		s.Rewind(after)
	}
}

// nanos reads a time in nanoseconds.
func nanos(s *scan.JSON) uint64 {
	if v, ok := s.QuotedUint(); ok {
		return v
	}
	return s.Uint64()
}

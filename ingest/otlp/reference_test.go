package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	respb "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// The reference reads requests (TracesData and LogsData: the same as the export
// requests on the wire, without their gRPC) with the generated types, one field after the
// other, and shares with the decoder only what judges a record once it is read.

func referenceTraces(req *trace.TracesData) ([]event.Event, ingest.Tally) {
	var d Decoder
	var b event.Batch
	d.begin(&b, true)
	for _, rs := range req.ResourceSpans {
		d.referenceResource(rs.Resource)
		for _, ss := range rs.ScopeSpans {
			d.scope = d.str([]byte(ss.GetScope().GetName()))
			for _, s := range ss.Spans {
				r := &d.span
				r.reset()
				d.arena = nil
				r.traceID, r.spanID, r.parentID, r.name = s.TraceId, s.SpanId, s.ParentSpanId, []byte(s.Name)
				r.kind, r.status = int64(s.Kind), int64(s.Status.GetCode())
				r.start, r.end = s.StartTimeUnixNano, s.EndTimeUnixNano
				ok := referenceAttrs(&r.attrs, s.Attributes)
				for _, e := range s.Events {
					var a attrs
					ok = referenceAttrs(&a, e.Attributes) && ok
					if a.set.has(slotException) {
						r.exception = a.text(slotException)
					}
				}
				for _, l := range s.Links {
					if len(l.TraceId) == 16 && len(l.SpanId) == 8 && !event.TraceID(l.TraceId).IsZero() && !event.SpanID(l.SpanId).IsZero() {
						r.links = append(r.links, event.SpanLink{TraceID: event.TraceID(l.TraceId), SpanID: event.SpanID(l.SpanId)})
					}
				}
				if !ok || len(r.links) > MaxAttributes {
					d.tally.In++
					d.tally.Bad++
					continue
				}
				d.addSpan()
			}
		}
	}
	return b.Events, d.tally
}

func referenceLogs(req *logspb.LogsData) ([]event.Event, ingest.Tally) {
	var d Decoder
	var b event.Batch
	d.begin(&b, true)
	for _, rl := range req.ResourceLogs {
		d.referenceResource(rl.Resource)
		for _, sl := range rl.ScopeLogs {
			d.scope = d.str([]byte(sl.GetScope().GetName()))
			for _, l := range sl.LogRecords {
				r := &d.log
				r.reset()
				r.traceID, r.spanID, r.time, r.observed = l.TraceId, l.SpanId, l.TimeUnixNano, l.ObservedTimeUnixNano
				r.name, r.severity, r.severityText = []byte(l.EventName), int64(l.SeverityNumber), []byte(l.SeverityText)
				if l.Body != nil {
					r.content = referenceText(r.content, l.Body)
				}
				ok := referenceAttrs(&r.attrs, l.Attributes)
				if len(l.Attributes) > 0 {
					r.content = referenceText(r.content, anyMap(l.Attributes...))
				}
				if !ok {
					d.tally.In++
					d.tally.Bad++
					continue
				}
				d.addLog()
			}
		}
	}
	return b.Events, d.tally
}

func (d *Decoder) referenceResource(r *respb.Resource) {
	var a attrs
	referenceAttrs(&a, r.GetAttributes())
	d.readResource(&a)
}

func referenceAttrs(a *attrs, kvs []*common.KeyValue) bool {
	for _, kv := range kvs {
		for i := range aliases {
			k := &aliases[i]
			if k.key != kv.GetKey() {
				continue
			}
			switch v := kv.GetValue().GetValue().(type) {
			case *common.AnyValue_StringValue:
				a.put(k, value{text: []byte(v.StringValue), kind: valueText})
			case *common.AnyValue_IntValue:
				a.put(k, value{num: v.IntValue, kind: valueNumber})
			case *common.AnyValue_DoubleValue:
				if f := v.DoubleValue; f == math.Trunc(f) && math.Abs(f) < 1<<53 {
					a.put(k, value{num: int64(f), kind: valueNumber})
				}
			case *common.AnyValue_ArrayValue:
				if k.slot == slotFinish {
					for _, e := range v.ArrayValue.GetValues() {
						if s := e.GetStringValue(); s != "" {
							a.put(k, value{text: []byte(s), kind: valueText})
							break
						}
					}
				}
				if k.slot == slotToolArgs {
					a.put(k, value{text: referenceText(nil, kv.Value), kind: valueText})
				}
			case *common.AnyValue_KvlistValue:
				if k.slot == slotToolArgs {
					a.put(k, value{text: referenceText(nil, kv.Value), kind: valueText})
				}
			}
		}
	}
	return len(kvs) <= MaxAttributes
}

// referenceText is the canonical text of a value.
func referenceText(dst []byte, v *common.AnyValue) []byte {
	quote := func(s string) {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			panic(err)
		}
		dst = append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
	}
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		quote(v.StringValue)
	case *common.AnyValue_BoolValue:
		dst = strconv.AppendBool(dst, v.BoolValue)
	case *common.AnyValue_IntValue:
		dst = strconv.AppendInt(dst, v.IntValue, 10)
	case *common.AnyValue_DoubleValue:
		if b, err := json.Marshal(v.DoubleValue); err == nil {
			dst = append(dst, b...)
		} else {
			dst = append(dst, '0')
		}
	case *common.AnyValue_ArrayValue:
		dst = append(dst, '[')
		for i, e := range v.ArrayValue.GetValues() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = referenceText(dst, e)
		}
		dst = append(dst, ']')
	case *common.AnyValue_KvlistValue:
		dst = append(dst, '{')
		for i, e := range v.KvlistValue.GetValues() {
			if i > 0 {
				dst = append(dst, ',')
			}
			quote(e.GetKey())
			dst = append(dst, ':')
			dst = referenceText(dst, e.GetValue())
		}
		dst = append(dst, '}')
	default:
		dst = append(dst, "null"...)
	}
	return dst
}

func sameEvents(t *testing.T, what string, want, got []event.Event, wantTally, gotTally ingest.Tally) {
	t.Helper()
	if wantTally != gotTally {
		t.Errorf("%s: tally %+v, want %+v", what, gotTally, wantTally)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b event.Event) bool {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		return bytes.Equal(x, y)
	})); diff != "" {
		x, _ := json.Marshal(want)
		y, _ := json.Marshal(got)
		t.Errorf("%s:\nwant %s\ngot  %s", what, x, y)
	}
}

func TestFormsAgree(t *testing.T) {
	options := map[string]protojson.MarshalOptions{
		"camelCase":  {},
		"numbers":    {UseEnumNumbers: true},
		"snake_case": {UseProtoNames: true},
		"indented":   {Multiline: true},
		"all fields": {EmitUnpopulated: true},
	}
	for name, req := range map[string]*trace.TracesData{
		"sample": sampleRequest(50), "odd": oddRequest(), "empty": {ResourceSpans: []*trace.ResourceSpans{}},
	} {
		want, wantTally := referenceTraces(req)
		if name != "empty" && len(want) == 0 {
			t.Fatalf("%s: no events", name)
		}
		var d Decoder
		var b event.Batch
		raw, err := proto.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		tally, _ := d.DecodeProto(raw, &b)
		sameEvents(t, name+" protobuf", want, b.Events, wantTally, tally)
		if name == "empty" {
			continue // {} is no request
		}
		for form, o := range options {
			var b event.Batch
			tally, _ := d.Decode(otlpJSON(t, req, o), &b)
			sameEvents(t, name+" "+form, want, b.Events, wantTally, tally)
		}
		var compact event.Batch
		tally, _ = d.Decode(compactJSON(t, req), &compact)
		sameEvents(t, name+" compact", want, compact.Events, wantTally, tally)
	}
	req := sampleLogs()
	want, wantTally := referenceLogs(req)
	var d Decoder
	var b event.Batch
	raw, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	tally, _ := d.DecodeLogsProto(raw, &b)
	sameEvents(t, "logs protobuf", want, b.Events, wantTally, tally)
	ids := map[event.ID]bool{}
	for i := range b.Events {
		ids[b.Events[i].ID] = true
	}
	if len(ids) != 5 || tally.Bad != 1 {
		t.Errorf("%d ids, %+v; want 5 log records and 1 bad", len(ids), tally)
	}
	for form, o := range options {
		var b event.Batch
		tally, _ := d.Decode(otlpJSON(t, req, o), &b)
		if form == "all fields" {
			continue // it spells out empty lists, which hash as such
		}
		sameEvents(t, "logs "+form, want, b.Events, wantTally, tally)
	}
}

func FuzzProto(f *testing.F) {
	for _, req := range []*trace.TracesData{sampleRequest(5), oddRequest()} {
		raw, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d Decoder
		var b event.Batch
		tally, err := d.DecodeProto(raw, &b)
		checkLaw(t, &b, tally, err)
		var req trace.TracesData
		if proto.Unmarshal(raw, &req) != nil || !inLimits(&req) {
			return
		}
		canonical, err := proto.Marshal(&req)
		if err != nil {
			t.Fatal(err)
		}
		want, wantTally := referenceTraces(&req)
		// A field given twice is merged by proto.Unmarshal and read last by
		// the decoder; then only the canonical form is compared.
		if len(canonical) == len(raw) {
			sameEvents(t, "as given", want, b.Events, wantTally, tally)
		}
		b.Reset()
		tally, _ = d.DecodeProto(canonical, &b)
		sameEvents(t, "canonical", want, b.Events, wantTally, tally)
	})
}

func FuzzLogsProto(f *testing.F) {
	raw, err := proto.Marshal(sampleLogs())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d Decoder
		var b event.Batch
		tally, err := d.DecodeLogsProto(raw, &b)
		checkLaw(t, &b, tally, err)
		var req logspb.LogsData
		if proto.Unmarshal(raw, &req) != nil || !inLimits(&req) {
			return
		}
		canonical, err := proto.Marshal(&req)
		if err != nil {
			t.Fatal(err)
		}
		want, wantTally := referenceLogs(&req)
		b.Reset()
		tally, _ = d.DecodeLogsProto(canonical, &b)
		sameEvents(t, "canonical", want, b.Events, wantTally, tally)
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(compactJSON(f, sampleRequest(5)))
	f.Add(compactJSON(f, oddRequest()))
	f.Add(otlpJSON(f, oddRequest(), protojson.MarshalOptions{UseProtoNames: true}))
	f.Add(compactJSON(f, sampleLogs()))
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00"}],"scope":{"name":"s"}}],"resource":{"attributes":[{"value":{"stringValue":"x"},"key":"service.name"}]}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d Decoder
		var b event.Batch
		tally, err := d.Decode(raw, &b)
		checkLaw(t, &b, tally, err)
		if !json.Valid(raw) {
			if tally != (ingest.Tally{In: 1, Bad: 1}) {
				t.Errorf("what is no JSON gives %+v, %v", tally, err)
			}
			return
		}
		// protojson cannot read hex ids: they are made base64 first.
		rewritten, ok := base64IDs(raw)
		var req trace.TracesData
		if !ok || (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(rewritten, &req) != nil || len(req.ResourceSpans) == 0 || !inLimits(&req) {
			return
		}
		if tally.UnknownType > 0 || bytes.Contains(raw, []byte("ogs")) || bytes.Contains(raw, []byte("nstrumentation")) || hasNull(raw) {
			return // read by more than the generated traces know
		}
		want, wantTally := referenceTraces(&req)
		sameEvents(t, "JSON", want, b.Events, wantTally, tally)
	})
}

func checkLaw(t *testing.T, b *event.Batch, tally ingest.Tally, err error) {
	t.Helper()
	if tally.In != len(b.Events)+tally.Bad+tally.UnknownType {
		t.Errorf("%d events do not balance %+v", len(b.Events), tally)
	}
	if (err != nil) != (tally.Bad+tally.UnknownType > 0) {
		t.Errorf("tally %+v and error %v", tally, err)
	}
	for i := range b.Events {
		if e := &b.Events[i]; e.Payload == nil || e.ID.IsZero() || e.Time == 0 {
			t.Errorf("half an event: %+v", e)
		}
	}
}

// inLimits reports whether no value nests so deep that only one of the two
// readers gives up, and whether resources hold as many attributes as they may.
func inLimits(m proto.Message) bool {
	raw, err := protojson.Marshal(m)
	depth, deepest := 0, 0
	for _, c := range raw {
		switch c {
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return err == nil && deepest < 48 && bytes.Count(raw, []byte(`"key"`)) <= MaxAttributes
}

func hasNull(raw []byte) bool { return bytes.Contains(raw, []byte("null")) }

// base64IDs rewrites the ids of an OTLP/JSON text as protobuf's JSON has them.
// It fails for ids that neither form allows.
func base64IDs(raw []byte) ([]byte, bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	ok := true
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for k, e := range v {
				switch k {
				case "traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id":
					s, isText := e.(string)
					id, err := hex.DecodeString(s)
					if !isText || err != nil || len(id) != 16 && len(id) != 8 && len(id) != 0 {
						ok = false
						continue
					}
					v[k] = base64.StdEncoding.EncodeToString(id)
				default:
					walk(e)
				}
			}
		}
	}
	walk(v)
	out, err := json.Marshal(v)
	return out, ok && err == nil
}

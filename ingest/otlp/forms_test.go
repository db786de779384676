package otlp

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	respb "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/schemas/event"
)

// TestRandomForms writes random requests in every form a writer may choose,
// members shuffled and spaced at will, and reads the same events from each.
func TestRandomForms(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var d Decoder // one for all: what is left over from a record must not show
	spans := 0
	for range 60 {
		req := &trace.TracesData{}
		for range 1 + rng.IntN(3) {
			req.ResourceSpans = append(req.ResourceSpans, randomResourceSpans(rng))
		}
		want, wantTally := referenceTraces(req)
		spans += len(want)
		raw, err := proto.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		var b event.Batch
		tally, _ := d.DecodeProto(raw, &b)
		sameEvents(t, "protobuf", want, b.Events, wantTally, tally)
		for _, o := range []protojson.MarshalOptions{{}, {UseProtoNames: true}, {UseEnumNumbers: true}} {
			line := shuffled(t, rng, otlpJSON(t, req, o))
			var b event.Batch
			tally, _ := d.Decode(line, &b)
			if sameEvents(t, string(line), want, b.Events, wantTally, tally); t.Failed() {
				return
			}
		}
	}
	if spans < 150 {
		t.Errorf("only %d spans were compared", spans)
	}
	for range 60 {
		req := &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
			Resource:  &respb.Resource{Attributes: randomAttributes(rng, 5)},
			ScopeLogs: []*logspb.ScopeLogs{{Scope: &common.InstrumentationScope{Name: randomText(rng)}}},
		}}}
		sl := req.ResourceLogs[0].ScopeLogs[0]
		for range rng.IntN(10) {
			sl.LogRecords = append(sl.LogRecords, &logspb.LogRecord{
				TimeUnixNano: rng.Uint64N(3), ObservedTimeUnixNano: rng.Uint64N(1 << 62), TraceId: pick(rng, id(16, 3), nil),
				SpanId: pick(rng, id(8, 4), nil), EventName: randomText(rng), SeverityNumber: logspb.SeverityNumber(rng.IntN(25)),
				SeverityText: randomText(rng), Body: randomValue(rng, 4), Attributes: randomAttributes(rng, 4),
			})
		}
		want, wantTally := referenceLogs(req)
		raw, err := proto.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		var b event.Batch
		tally, _ := d.DecodeLogsProto(raw, &b)
		sameEvents(t, "protobuf logs", want, b.Events, wantTally, tally)
		line := shuffled(t, rng, otlpJSON(t, req, protojson.MarshalOptions{}))
		var c event.Batch
		tally, _ = d.Decode(line, &c)
		if sameEvents(t, string(line), want, c.Events, wantTally, tally); t.Failed() {
			return
		}
	}
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func randomText(rng *rand.Rand) string {
	return pick(rng, "", "x", "10.0.0.1", "443", "https://u@h:1/p?q#f", "/p?q=1", "STOP", `["a"]`, "execute_tool", "chat", "invoke_agent x",
		"transfer_to_agent", "(merged tools)", `{"command":["a","b c"],"args":["d"]}`, `{"agent_name":"z"}`, "ä\t\"\\\u2028\x7f", "TOOL", "agent", "tools/call",
		strings.Repeat("long ", 300), "gcp.vertex.agent", "2.0")
}

func randomValue(rng *rand.Rand, depth int) *common.AnyValue {
	n := 8
	if depth == 0 {
		n = 6
	}
	switch rng.IntN(n) {
	case 0:
		return nil
	case 1:
		return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: pick[int64](rng, 0, 7, -7, 127, 128, 16383, 16384, 65535, 65536, 1<<63-1, -1<<63)}}
	case 2:
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: pick[float64](rng, 0, 200, -1, 1.5, 1e-9, 1e30, 1<<53)}}
	case 3:
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: rng.IntN(2) == 0}}
	case 4, 5:
		return anyText(randomText(rng))
	case 6:
		var v []*common.AnyValue
		for range rng.IntN(4) {
			e := randomValue(rng, depth-1)
			if e == nil {
				e = &common.AnyValue{}
			}
			v = append(v, e)
		}
		return anyList(v...)
	default:
		return anyMap(randomAttributes(rng, depth-1)...)
	}
}

func randomAttributes(rng *rand.Rand, depth int) (v []*common.KeyValue) {
	for range rng.IntN(8) {
		key := aliases[rng.IntN(len(aliases))].key
		if rng.IntN(4) == 0 {
			key = randomText(rng)
		}
		v = append(v, &common.KeyValue{Key: key, Value: randomValue(rng, max(depth, 0))})
	}
	return v
}

func randomResourceSpans(rng *rand.Rand) *trace.ResourceSpans {
	rs := &trace.ResourceSpans{}
	if rng.IntN(4) > 0 {
		rs.Resource = &respb.Resource{Attributes: randomAttributes(rng, 2)}
	}
	for range rng.IntN(3) {
		ss := &trace.ScopeSpans{}
		if rng.IntN(3) > 0 {
			ss.Scope = &common.InstrumentationScope{Name: pick(rng, adkScope, randomText(rng))}
		}
		for range rng.IntN(10) {
			start := rng.Uint64N(1 << 40)
			s := &trace.Span{
				TraceId: pick(rng, id(16, 1), id(16, 2), id(16, 3), id(16, 4), id(16, 5), id(16, 6), id(16, 7), make([]byte, 16), nil, id(15, 1)), SpanId: pick(rng, id(8, rng.Uint64()), id(8, 5), id(8, 6), id(8, 7), nil),
				ParentSpanId: pick(rng, nil, id(8, 9), id(8, 10), id(8, 11), id(8, 12), id(7, 9)), Flags: rng.Uint32N(600), Name: randomText(rng),
				Kind: trace.Span_SpanKind(rng.IntN(6)), StartTimeUnixNano: start * rng.Uint64N(2), EndTimeUnixNano: pick(rng, start, start+5, start+6, start+7, start+8, 0, start/2, 1<<63),
				Attributes: randomAttributes(rng, 3), TraceState: randomText(rng),
			}
			if rng.IntN(2) == 0 {
				s.Status = &trace.Status{Code: trace.Status_StatusCode(rng.IntN(3)), Message: randomText(rng)}
			}
			for range rng.IntN(3) {
				s.Events = append(s.Events, &trace.Span_Event{Name: randomText(rng), TimeUnixNano: start, Attributes: randomAttributes(rng, 1)})
				s.Links = append(s.Links, &trace.Span_Link{TraceId: id(16, rng.Uint64()), SpanId: pick(rng, id(8, 6), nil)})
			}
			ss.Spans = append(ss.Spans, s)
		}
		rs.ScopeSpans = append(rs.ScopeSpans, ss)
	}
	return rs
}

// shuffled writes a JSON text again, members in random order with foreign ones
// among them, blanks anywhere.
func shuffled(t *testing.T, rng *rand.Rand, text []byte) []byte {
	t.Helper()
	var v any
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	blank := func(b []byte) []byte { return append(b, pick(rng, "", "", "", " ", "\n\t")...) }
	var write func(b []byte, v any) []byte
	write = func(b []byte, v any) []byte {
		b = blank(b)
		switch v := v.(type) {
		case []any:
			b = append(b, '[')
			for i, e := range v {
				if i > 0 {
					b = append(blank(b), ',')
				}
				b = write(b, e)
			}
			b = append(blank(b), ']')
		case map[string]any:
			keys := make([]string, 0, len(v)+1)
			for k := range v {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			if rng.IntN(8) == 0 {
				keys = append(keys, "foreign")
			}
			rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			b = append(b, '{')
			for i, k := range keys {
				if i > 0 {
					b = append(blank(b), ',')
				}
				b = blank(append(append(append(blank(b), '"'), k...), '"'))
				b = append(b, ':')
				if k == "foreign" {
					b = append(b, `{"spans":[{"x":[null,true,-1.5e3,"\u00e4"]}]}`...)
					continue
				}
				b = write(b, v[k])
			}
			b = append(blank(b), '}')
		default:
			s, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, s...)
		}
		return blank(b)
	}
	return write(nil, v)
}

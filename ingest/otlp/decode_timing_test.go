package otlp

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

const lineSpans = 50 // spans a request, as SDKs send them

// lineJSON is a request in the spelling of the collector's file exporter.
func lineJSON(t testing.TB, n int) []byte { return collectorJSON(t, sampleRequest(n)) }

func lineProto(t testing.TB, n int) []byte {
	t.Helper()
	raw, err := proto.Marshal(sampleRequest(n))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func BenchmarkJSON(b *testing.B) {
	benchmark(b, lineJSON(b, lineSpans), (*Decoder).Decode)
}

func BenchmarkProto(b *testing.B) {
	benchmark(b, lineProto(b, lineSpans), (*Decoder).DecodeProto)
}

func benchmark(b *testing.B, rec []byte, decode func(*Decoder, []byte, *event.Batch) (ingest.Tally, error)) {
	var d Decoder
	var batch event.Batch
	b.ReportAllocs()
	b.SetBytes(int64(len(rec)))
	for b.Loop() {
		batch.Reset()
		tally, err := decode(&d, rec, &batch)
		if err != nil || tally.In != lineSpans {
			b.Fatal(tally, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lineSpans, "ns/span")
	b.ReportMetric(float64(len(rec))/lineSpans, "B/span")
}

func TestDecodeAllocatesNothing(t *testing.T) {
	f := func(name string, rec []byte, decode func(*Decoder, []byte, *event.Batch) (ingest.Tally, error)) {
		t.Helper()
		var d Decoder
		var b event.Batch
		run := func() {
			b.Reset()
			if _, err := decode(&d, rec, &b); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations a request of %d spans, want 0", name, n, len(b.Events))
		}
	}
	f("JSON", lineJSON(t, lineSpans), (*Decoder).Decode)
	f("JSON, members in another order", compactJSON(t, sampleRequest(lineSpans)), (*Decoder).Decode)
	f("protobuf", lineProto(t, lineSpans), (*Decoder).DecodeProto)
	f("JSON logs", collectorJSON(t, soundLogs()), (*Decoder).Decode)
	raw, err := proto.Marshal(soundLogs())
	if err != nil {
		t.Fatal(err)
	}
	f("protobuf logs", raw, (*Decoder).DecodeLogsProto)
}

func TestToolSpansAllocateNothing(t *testing.T) {
	rec := []byte(spanLine(attributes("gen_ai.operation.name", "execute_tool", "gen_ai.tool.name", "run_command",
		"gcp.vertex.agent.tool_call_args", `{"command":"curl -s https://example.com/a/rather/long/path?and=query | wc -c"}`)))
	var d Decoder
	var b event.Batch
	run := func() {
		b.Reset()
		if _, err := d.Decode(rec, &b); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations a tool span, want 0", n)
	}
}

// BenchmarkRecordedJSON reads spans of real agents, ids and all: what is new in
// each span is allocated.
func BenchmarkRecordedJSON(b *testing.B) {
	recs := readRecords(b, "adk-truth/adk-go-gemini.jsonl")
	var bytes int64
	for _, rec := range recs {
		bytes += int64(len(rec))
	}
	var d Decoder
	var batch event.Batch
	spans := 0
	b.ReportAllocs()
	b.SetBytes(bytes)
	for b.Loop() {
		d = Decoder{}
		spans = 0
		for _, rec := range recs {
			batch.Reset()
			tally, err := d.Decode(rec, &batch)
			if err != nil {
				b.Fatal(err)
			}
			spans += tally.In
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spans), "ns/span")
}

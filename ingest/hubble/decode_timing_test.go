package hubble

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

func BenchmarkDecode(b *testing.B) {
	benchmark(b, variants, (*Decoder).Decode)
}

// BenchmarkDecodeProto is the same of the records that come over gRPC.
func BenchmarkDecodeProto(b *testing.B) {
	benchmark(b, func(line string) (recs [][]byte) {
		for _, rec := range variants(line) {
			recs = append(recs, protoOf(b, rec))
		}
		return recs
	}, (*Decoder).DecodeProto)
}

func benchmark(b *testing.B, records func(line string) [][]byte, decode func(*Decoder, []byte, *event.Batch) (ingest.Tally, error)) {
	f := func(name, line string) {
		b.Run(name, func(b *testing.B) {
			var d Decoder
			var batch event.Batch
			recs := records(line)
			b.ReportAllocs()
			b.SetBytes(int64(len(recs[0])))
			for i := 0; b.Loop(); i++ {
				if i%256 == 0 {
					batch.Reset()
				}
				if _, err := decode(&d, recs[i%len(recs)], &batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	f("l4", lineTCP)
	f("verdict", lineVerdict)
	f("http", lineHTTP)
	f("dns", lineDNS)
	f("sock", lineSock)
	f("l4_old", lineOld)
}

// variants are 256 lines that differ in pods (100 of the node, 8 of others),
// addresses, ports and times, so that neither what the decoder remembers nor the
// branch predictor sees one line only.
func variants(line string) (recs [][]byte) {
	for i := range 256 {
		pod, other := i*7%100, i%8
		r := strings.NewReplacer(
			"x2k4p", fmt.Sprintf("x%04d", pod), `"ID":1207`, fmt.Sprintf(`"ID":%d`, 1207+pod), "10.20.3.47", fmt.Sprintf("10.20.1.%d", 10+pod),
			"gateway-0", fmt.Sprintf("gateway-%d", other), "10.20.5.12", fmt.Sprintf("10.20.5.%d", 12+other),
			`_port":48122`, fmt.Sprintf(`_port":%d`, 48122+i), "9:15:42.318204", fmt.Sprintf("9:15:42.%06d", 318204+i))
		recs = append(recs, []byte(r.Replace(line)))
	}
	return recs
}

// A warm decoder allocates nothing, but for the request id of an HTTP flow: that
// is new in each, and an event's strings are valid for ever.
func TestDecodeAllocs(t *testing.T) {
	f := func(line string, want float64) {
		t.Helper()
		allocations := func(rec []byte, decode func(*Decoder, []byte, *event.Batch) (ingest.Tally, error)) float64 {
			var d Decoder
			var batch event.Batch
			return testing.AllocsPerRun(200, func() {
				batch.Reset()
				if _, err := decode(&d, rec, &batch); err != nil {
					t.Fatal(err)
				}
			})
		}
		if got := allocations([]byte(line), (*Decoder).Decode); got > want {
			t.Errorf("%v allocations, want %v, for %s", got, want, line)
		}
		if got := allocations(protoOf(t, []byte(line)), (*Decoder).DecodeProto); got > want {
			t.Errorf("%v allocations of protobuf, want %v, for %s", got, want, line)
		}
	}
	f(lineTCP, 0)
	f(lineVerdict, 0)
	f(lineHTTP, 1)
	f(lineDNS, 0)
	f(lineSock, 0)
	f(lineOld, 0)
	f(lineLost, 0)
}

package hubble

import (
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
)

func BenchmarkDecode(b *testing.B) {
	f := func(name, line string) {
		b.Run(name, func(b *testing.B) {
			var d Decoder
			var batch event.Batch
			rec := []byte(line)
			b.ReportAllocs()
			b.SetBytes(int64(len(rec)))
			for i := 0; b.Loop(); i++ {
				if i%256 == 0 {
					batch.Reset()
				}
				if _, err := d.Decode(rec, &batch); err != nil {
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

// A warm decoder allocates nothing, but for the request id of an HTTP flow: that
// is new in each, and an event's strings are valid for ever.
func TestDecodeAllocs(t *testing.T) {
	f := func(line string, want float64) {
		t.Helper()
		var d Decoder
		var batch event.Batch
		rec := []byte(line)
		got := testing.AllocsPerRun(200, func() {
			batch.Reset()
			if _, err := d.Decode(rec, &batch); err != nil {
				t.Fatal(err)
			}
		})
		if got > want {
			t.Errorf("%v allocations, want %v, for %s", got, want, line)
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

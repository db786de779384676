package gcp

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
	f("edge", lineEdge)
	f("dns", lineDNS)
	f("policy", linePolicy)
	f("vpc", lineVPC)
}

// A warm decoder allocates nothing, nor does it for entries of unknown type.
func TestDecodeAllocs(t *testing.T) {
	f := func(line string) {
		t.Helper()
		var d Decoder
		var batch event.Batch
		rec := []byte(line)
		got := testing.AllocsPerRun(200, func() {
			batch.Reset()
			if tally, _ := d.Decode(rec, &batch); tally.Bad != 0 {
				t.Fatal("bad")
			}
		})
		if got != 0 {
			t.Errorf("%v allocations for %s", got, line)
		}
	}
	f(lineEdge)
	f(lineDenied)
	f(lineDNS)
	f(linePolicy)
	f(linePolicyEntry)
	f(lineVPC)
	f(lineRun)
}

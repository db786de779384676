package k8s

import (
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
)

func BenchmarkDecodePod(b *testing.B) {
	var d Decoder
	var batch event.Batch
	in := []byte(podJSON)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if _, err := d.Decode(in, &batch); err != nil {
			b.Fatal(err)
		}
	}
}

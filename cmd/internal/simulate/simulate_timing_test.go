package simulate

import (
	"context"
	"testing"
)

// BenchmarkRun writes a clean cluster at 64 in flight. An operation is one
// request; the events it makes are reported beside it.
func BenchmarkRun(b *testing.B) {
	b.ReportAllocs()
	sum, err := Run(context.Background(), Options{Requests: b.N, Concurrency: 64, Seed: 1}, b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(sum.Bytes / int64(b.N))
	b.ReportMetric(float64(sum.Events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(sum.Events)/float64(b.N), "events/op")
}

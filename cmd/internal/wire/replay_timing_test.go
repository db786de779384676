package wire

import (
	"io"
	"testing"

	"github.com/sennit-io/sennit/cmd/internal/simulate"
	"github.com/sennit-io/sennit/ingest/replay"
)

// BenchmarkReplay is the whole way from files to results, on the events of a
// simulated cluster: bytes of input, and CPU time of the process an event.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	made, err := simulate.Run(b.Context(), simulate.Options{Requests: 2000, Concurrency: 64, Seed: 1}, dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, form := range []Form{None, JSON, Compact, Text} {
		b.Run(string(form), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(made.Bytes)
			before, _ := usage()
			for b.Loop() {
				err := Replay(b.Context(), Options{
					Replay: replay.Options{Paths: []string{dir}}, Form: form, Out: io.Discard, Messages: io.Discard, Strict: true,
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			after, _ := usage()
			events := float64(made.Events) * float64(b.N)
			b.ReportMetric(float64((after-before).Microseconds())/events, "cpu-µs/event")
			b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
		})
	}
}

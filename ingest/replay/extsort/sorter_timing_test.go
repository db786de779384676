package extsort

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// BenchmarkSorter sorts records of 500 bytes with random keys, per record.
func BenchmarkSorter(b *testing.B) {
	f := func(name string, memory int64) {
		b.Run(name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			var key [24]byte
			payload := make([]byte, 476)
			for i := range payload {
				payload[i] = byte('a' + rng.IntN(8))
			}
			b.ReportAllocs()
			b.SetBytes(500)
			s := New(Options{Memory: memory, TempDir: b.TempDir()})
			defer s.Close()
			for range b.N {
				binary.BigEndian.PutUint64(key[:], rng.Uint64())
				if err := s.Add(b.Context(), key[:], payload); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			if err := s.Each(b.Context(), func(_, _ []byte) error { n++; return nil }); err != nil || n != b.N {
				b.Fatal(n, err)
			}
		})
	}
	f("memory", 8<<30)
	f("spill", 16<<20)
}

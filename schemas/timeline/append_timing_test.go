package timeline

import "testing"

func BenchmarkAppendJSON(b *testing.B) {
	tl := filled(1)
	for len(tl.Steps) < 32 {
		tl.Steps = append(tl.Steps, tl.Steps...)
	}
	buf := tl.AppendJSON(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = tl.AppendJSON(buf[:0])
	}
}

package event

import "testing"

func BenchmarkTimeAppend(b *testing.B) {
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	b.SetBytes(30)
	for b.Loop() {
		buf = Time(1795396215176140315).Append(buf[:0])
	}
}

func BenchmarkHasher(b *testing.B) {
	var h Hasher
	const part = "Z2tlLWFnZW50cy1kZWZhdWx0LXBvb2wtNzA0MWNhYzAtOXM5NToyNDY5ODI5ODg2MTQyOjUyNjk5"
	b.ReportAllocs()
	b.SetBytes(int64(len(part)))
	for b.Loop() {
		h.Reset(KindSyscall).String(part).Uint(1).Sum()
	}
}

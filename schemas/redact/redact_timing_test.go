package redact

import "testing"

func BenchmarkCommand(b *testing.B) {
	var h Hasher
	const args = `-c "curl -s https://example.com/invoices/2026/11"`
	b.ReportAllocs()
	b.SetBytes(int64(len(args)))
	for b.Loop() {
		h.Command("/bin/sh", args)
	}
}

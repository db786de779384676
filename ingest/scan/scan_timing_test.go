package scan

import (
	"strings"
	"testing"
)

// The parts of a record that decoders pass over: label maps, capability lists.
var skipped = []byte(`{"labels":{"app.kubernetes.io/name":"invoice-agent","pod-template-hash":"5d4f8c7b9"},"cap":{"permitted":["CAP_CHOWN","DAC_OVERRIDE","CAP_DAC_READ_SEARCH","CAP_FOWNER"],"effective":[]},"ns":{"net":{"inum":4026531840,"is_host":true}},"start_time":"2026-11-23T01:37:25.534966781Z","note":"` + strings.Repeat("long text ", 20) + `"}`)

func BenchmarkSkip(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(skipped)))
	var s JSON
	for b.Loop() {
		s.Reset(skipped)
		s.Skip()
		if s.End() != nil {
			b.Fatal(s.Err())
		}
	}
}

func BenchmarkTime(b *testing.B) {
	b.ReportAllocs()
	in := []byte("2026-11-23T01:37:25.534966781Z")
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, ok := Time(in); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkIntern(b *testing.B) {
	b.ReportAllocs()
	var t Intern
	names := [][]byte{[]byte("invoice-agent-5d4f8c7b9-x2x7q"), []byte("/usr/bin/curl"), []byte("gke-node-1")}
	i := 0
	for b.Loop() {
		t.String(names[i%3])
		i++
	}
}

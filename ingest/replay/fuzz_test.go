package replay

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// FuzzRun reads whatever there is: it must come to an end, and every record
// must be counted once (replayed holds that), in both orders, in memory and on
// disk.
func FuzzRun(f *testing.F) {
	seeds := [][]byte{
		[]byte(mixed),
		gz([]byte(mixed)),
		zst([]byte(mixed)),
		gz([]byte(mixed))[:200],
		[]byte("[" + strings.Join([]string{hubbleLine, otlpLine, policyLine}, ",\n")),
		[]byte("2026-11-23T08:00:00Z stdout P " + hubbleLine[:9] + "\n2026-11-23T08:00:00Z stdout F " + hubbleLine[9:]),
		[]byte(strings.ReplaceAll(mixed, `"`, "\x00")),
	}
	for i, s := range seeds {
		f.Add(s, i%2 == 0)
	}
	temp := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, arrival bool) {
		o := Options{Paths: []string{"-"}, Stdin: bytes.NewReader(data), Workers: 2, TempDir: temp}
		if arrival {
			o.Order = OrderArrival
		}
		_, want := replayed(t, o)
		o.Stdin, o.SortMemory, o.Workers = bytes.NewReader(data), 1, 1
		if _, got := replayed(t, o); !slices.Equal(want, got) {
			t.Errorf("sorting on disk changes the result:\n%q\n%q", want, got)
		}
	})
}

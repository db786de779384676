package replay

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzRun reads whatever there is: it must come to an end, and every record
// must be counted once (replayed holds that), in both orders, in memory and on
// disk.
func FuzzRun(f *testing.F) {
	f.Add([]byte(mixed))
	f.Add(gz([]byte(mixed)))
	f.Add(zst([]byte(mixed)))
	f.Add(gz([]byte(mixed))[:200])
	f.Add([]byte("[" + strings.Join([]string{hubbleLine, otlpLine, policyLine}, ",\n")))
	f.Add([]byte("2026-11-23T08:00:00Z stdout P " + hubbleLine[:9] + "\n2026-11-23T08:00:00Z stdout F " + hubbleLine[9:]))
	f.Add([]byte(strings.ReplaceAll(mixed, `"`, "\x00")))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want []string
		for i, o := range []Options{{}, {SortMemory: 1}, {Order: OrderArrival}, {Order: OrderArrival, SortMemory: 1}} {
			o.Paths, o.Stdin, o.Workers, o.TempDir = []string{"-"}, bytes.NewReader(data), 2, t.TempDir()
			_, got := replayed(t, o)
			if i%2 == 0 {
				want = got
			} else if strings.Join(want, "\n") != strings.Join(got, "\n") {
				t.Errorf("sorting on disk changes the result:\n%q\n%q", want, got)
			}
		}
	})
}

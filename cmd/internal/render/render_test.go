package render

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/timeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestWaterfallGolden(t *testing.T) {
	f := func(name string, tl *timeline.Timeline, o Options) {
		t.Helper()
		var out bytes.Buffer
		if err := Waterfall(&out, tl, o); err != nil {
			t.Fatal(err)
		}
		checkWidth(t, out.String(), o.width())
		golden(t, name, out.Bytes())
	}
	for _, columns := range []int{80, 120, 200} {
		f(fmt.Sprintf("incident-%d.txt", columns), incident(), Options{Width: columns})
		f(fmt.Sprintf("incident-%d-color.txt", columns), incident(), Options{Width: columns, Color: true})
	}
	f("deep-80.txt", deep(), Options{Width: 80, MaxRows: 20})
	f("deep-all-120.txt", deep(), Options{Width: 120, MaxRows: 35})
	f("empty-80.txt", &timeline.Timeline{ID: "x"}, Options{})
}

func TestCompactGolden(t *testing.T) {
	golden(t, "compact.txt", []byte(Compact(incident(), Options{})+"\n"+Compact(deep(), Options{})+"\n"+Compact(&timeline.Timeline{}, Options{})+"\n"))
	golden(t, "compact-color.txt", []byte(Compact(incident(), Options{Color: true})+"\n"))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s changed (go test ./cmd/internal/render -update writes it anew):\n%s", name, diff)
	}
}

var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// checkWidth holds what Waterfall promises: no line is wider than asked.
func checkWidth(t *testing.T, out string, columns int) {
	t.Helper()
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(ansi.ReplaceAllString(line, ""), "\n")
		if n := cells(line); n > columns {
			t.Errorf("line of %d columns at width %d: %q", n, columns, line)
		}
		for _, r := range line {
			if unicode.In(r, unicode.Cc, unicode.Cf) {
				t.Errorf("control character %U in %q", r, line)
			}
		}
	}
}

// Whatever a timeline holds, each line fits and no control character of it
// reaches the terminal.
func FuzzWaterfall(f *testing.F) {
	f.Add("name", "method", "claim\x1b]0;title\x07", uint8(80), uint8(3), int64(5))
	f.Add("\u202e\u2066", "\xff\xfe", "🧵 編み物", uint8(60), uint8(0), int64(-1))
	f.Fuzz(func(t *testing.T, name, method, text string, columns, rows uint8, ns int64) {
		tl := incident()
		tl.Steps[3].Name, tl.Steps[4].Join.Method, tl.Steps[5].Join.Evidence = name, method, []string{text}
		tl.Steps[6].ParentID, tl.Steps[5].ParentID = "s6", "s7" // a circle
		tl.Steps[7].Layer, tl.Steps[8].Status, tl.Steps[7].End = timeline.Layer(text), timeline.Status(name), tl.Start.Add(time.Duration(ns))
		tl.Request.Path, tl.Workload.Pod, tl.TraceID, tl.Alerts[0].Title = text, name, method, name
		o := Options{Width: int(columns), MaxRows: int(rows)}
		var out bytes.Buffer
		if err := Waterfall(&out, tl, o); err != nil {
			t.Fatal(err)
		}
		checkWidth(t, out.String(), o.width())
		checkWidth(t, Compact(tl, o), 1<<30)
	})
}

func TestEveryStepIsDrawnOnce(t *testing.T) {
	tl := incident()
	tl.Steps[0].ParentID = "s8" // everything hangs in one circle
	drawn := map[string]int{}
	for _, r := range rows(tl, false) {
		drawn[r.step.ID]++
	}
	for i := range tl.Steps {
		if drawn[tl.Steps[i].ID] != 1 {
			t.Errorf("step %s drawn %d times", tl.Steps[i].ID, drawn[tl.Steps[i].ID])
		}
	}
}

func TestEscape(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
	f("plain /path?x", "plain /path?x")
	f("naïve 編み", "naïve 編み")
	f("a\nb\r\tc", `a\nb\r\tc`)
	f("\x1b[2Jgone", `\x1b[2Jgone`)
	f("\u202egpj", `\u202egpj`)
	f("\u200bhidden\ufeff", `\u200bhidden\ufeff`)
	f("\u2028line", `\u2028line`)
	f("\u009b31m", `\u009b31m`)
	f("\xff\xc3", `\xff\xc3`)
	f("\U000e0041", `\U000e0041`)
}

func TestDuration(t *testing.T) {
	f := func(in time.Duration, want string) {
		t.Helper()
		if got := Duration(in); got != want || cells(got) > 6 {
			t.Errorf("Duration(%d) = %q, want %q", in, got, want)
		}
	}
	f(0, "0ns")
	f(999, "999ns")
	f(61*time.Microsecond, "61µs")
	f(4100*time.Microsecond, "4.1ms")
	f(9949*time.Microsecond, "9.9ms")
	f(9951*time.Microsecond, "9ms")
	f(412*time.Millisecond, "412ms")
	f(999999*time.Microsecond, "999ms")
	f(1250*time.Millisecond, "1.25s")
	f(59990*time.Millisecond, "59.9s")
	f(185*time.Second, "3m05s")
	f(127*time.Minute, "2h07m")
}

func TestShortID(t *testing.T) {
	f := func(id, short string) {
		t.Helper()
		if got := ShortID(id); got != short || !MatchesID(id, got) {
			t.Errorf("ShortID(%q) = %q, want %q (and it must match)", id, got, short)
		}
	}
	f("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f35")
	f("4bf92f3577b34da6a3ce929d0e0e4736-12", "4bf92f35-12")
	f("short", "short")
	if MatchesID("4bf92f3577b34da6a3ce929d0e0e4736-2", "4bf92f35-3") || MatchesID("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f35-2") {
		t.Error("a short form matches another request of its trace")
	}
}

func TestTerminalIsPlainForFiles(t *testing.T) {
	if o := Terminal(&bytes.Buffer{}, "auto", 0); o.Color || o.Width != 120 {
		t.Errorf("a buffer got %+v", o)
	}
	if o := Terminal(&bytes.Buffer{}, "always", 90); !o.Color || o.Width != 90 {
		t.Errorf("always at 90 gave %+v", o)
	}
}

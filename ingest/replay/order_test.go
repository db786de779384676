package replay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sennit-io/sennit/schemas/event"
)

// lines makes n lines of three writers, with many equal times, some equal ids
// of different content, and exact duplicates.
func lines(n int, rng *rand.Rand) []string {
	base := event.At(time.Date(2026, 11, 23, 7, 16, 0, 0, time.UTC))
	out := make([]string, 0, n)
	for i := range n {
		at := base.Add(time.Duration(rng.IntN(n/4+1)) * time.Millisecond)
		switch rng.IntN(5) {
		case 0:
			out = append(out, fmt.Sprintf(`{"flow":{"time":"%v","uuid":"c938628b-0000-4000-8000-%012x","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"TCP":{"source_port":%d,"destination_port":80}}},"node_name":"n1","time":"%v"}`, at, rng.IntN(n), 1024+i%60000, at))
		case 1:
			out = append(out, fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","name":"s%d","startTimeUnixNano":"%d","endTimeUnixNano":"%d"},{"traceId":"%032x","spanId":"%016x","name":"t%d","startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`,
				1+rng.IntN(5), 1+rng.IntN(n), i, at, at+5, 1+rng.IntN(5), 1+rng.IntN(n), i, at, at+9))
		case 2:
			if len(out) > 0 {
				out = append(out, out[rng.IntN(len(out))])
				continue
			}
			fallthrough
		default:
			out = append(out, fmt.Sprintf(`{"id":"%032x","kind":"socket_open","source":"socket","node":"n1","time":"%v","payload":{"socket_cookie":"%d"}}`, 1+rng.IntN(n), at, i))
		}
	}
	return out
}

// spread writes the lines to files.
func spread(t testing.TB, in []string, files int, rng *rand.Rand) []string {
	t.Helper()
	dir := t.TempDir()
	parts := make([]strings.Builder, files)
	for _, l := range in {
		p := &parts[rng.IntN(files)]
		p.WriteString(l)
		p.WriteByte('\n')
	}
	paths := make([]string, files)
	for i := range parts {
		paths[i] = write(t, dir, fmt.Sprintf("%d.json", i), []byte(parts[i].String()))
	}
	rng.Shuffle(files, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	return paths
}

// Any order of lines, any number of files and workers, and any memory give the
// same events in the same order.
func TestOrderEventIsCanonical(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	in := lines(2500, rng)
	_, want := replayed(t, Options{Paths: spread(t, in, 1, rng)})
	if len(want) < 2500 {
		t.Fatalf("%d events", len(want))
	}
	f := func(files, workers int, memory int64) {
		t.Helper()
		rng.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		res, got := replayed(t, Options{Paths: spread(t, in, files, rng), Workers: workers, SortMemory: memory, TempDir: t.TempDir()})
		if (res.Spilled > 0) != (memory > 0) {
			t.Errorf("%d bytes spilled with %d bytes of memory", res.Spilled, memory)
		}
		if !slices.Equal(want, got) {
			diff := cmp.Diff(want, got)
			t.Errorf("%d files, %d workers, %d bytes: (-want +got):\n%.2000s", files, workers, memory, diff)
		}
	}
	f(1, 1, 0)
	f(7, 3, 0)
	f(40, 2, 0)
	f(3, 2, 400_000)
	f(40, 4, 100_000)
	f(200, 2, 1) // a run of every block: more than are merged at once
}

// An event without a time can be spilled although a recording cannot say so.
func TestOrderWithoutTime(t *testing.T) {
	dir := t.TempDir()
	data := `{"flow":{"uuid":"c938628b-0000-4000-8000-000000000001","verdict":"DROPPED"}}` + "\n" + hubbleLine
	path := write(t, dir, "x.json", []byte(data))
	other := write(t, dir, "y.json", []byte(lostLine))
	for _, o := range []Order{OrderEvent, OrderArrival} {
		_, want := replayed(t, Options{Paths: []string{path, other}, Order: o})
		_, got := replayed(t, Options{Paths: []string{path, other}, Order: o, SortMemory: 1, TempDir: t.TempDir()})
		if diff := cmp.Diff(want, got); diff != "" || len(want) != 3 || !strings.Contains(want[0], `"time":""`) {
			t.Errorf("(-want +got):\n%s%q", diff, want)
		}
	}
}

func TestOrderArrival(t *testing.T) {
	sec := func(n int) string { return fmt.Sprintf("2026-11-23T07:16:%02d.000000000Z", n) }
	// rec is one event, at the second at, observed at the second seen unless 0.
	rec := func(id, at, seen int) string {
		observed := ""
		if seen > 0 {
			observed = fmt.Sprintf(`"observed":"%s",`, sec(seen))
		}
		return fmt.Sprintf(`{"id":"%032x","kind":"socket_open","source":"socket","time":"%s",%s"payload":{"socket_cookie":"%d"}}`, id, sec(at), observed, id)
	}
	f := func(name string, files []string, want ...string) {
		t.Helper()
		dir := t.TempDir()
		var paths []string
		for i, data := range files {
			paths = append(paths, write(t, dir, fmt.Sprintf("%d.json", i), []byte(data)))
		}
		for _, memory := range []int64{0, 1} {
			var got []string
			_, err := Run(t.Context(), Options{Paths: paths, Order: OrderArrival, SortMemory: memory, TempDir: t.TempDir()}, func(b *event.Batch, now event.Time) error {
				for _, e := range b.Events {
					got = append(got, fmt.Sprintf("%d@%d", e.ID[15], e.Time.Std().Second()))
				}
				got = append(got, fmt.Sprintf("now %d", now.Std().Second()))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, memory %d (-want +got):\n%s", name, memory, diff)
			}
		}
	}
	f("line order, late events where they stand", []string{rec(1, 10, 0) + "\n" + rec(2, 30, 0) + "\n" + rec(3, 20, 0) + "\n" + rec(4, 31, 0)},
		"1@10", "2@30", "3@20", "4@31", "now 31")
	f("files by the newest time", []string{
		rec(1, 10, 0) + "\n" + rec(2, 30, 0) + "\n" + rec(3, 5, 0),
		rec(4, 29, 0) + "\n" + rec(5, 30, 0) + "\n" + rec(6, 1, 0),
	}, "1@10", "4@29", "2@30", "3@5", "5@30", "6@1", "now 30")
	f("observed", []string{rec(1, 10, 40) + "\n" + rec(2, 11, 20) + "\n" + rec(3, 15, 0)}, "3@15", "2@11", "1@10", "now 40")
	f("cri", []string{
		sec(50) + " stdout F " + rec(1, 10, 0) + "\n" + sec(52) + " stdout F " + rec(2, 5, 0),
		sec(51) + " stdout F " + rec(3, 2, 0) + "\n" + sec(53) + " stdout F " + rec(4, 3, 12),
	}, "4@3", "1@10", "3@2", "2@5", "now 52")
}

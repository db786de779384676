package wire

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/ingest/replay/extsort"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/schemas/timeline/timelinetest"
)

func revision(id string, rev uint32, start event.Time, superseded string) *timeline.Timeline {
	return &timeline.Timeline{
		ID: id, Revision: rev, State: timeline.Closed, Start: start, End: start.Add(time.Second), SupersededBy: superseded,
		Workload: timeline.Workload{Proof: "socket"},
	}
}

// The result is the last revision of each timeline in order of start, whatever
// order the timelines came in and whether it fits in memory or not.
func TestResultsKeepLastRevisionsInOrder(t *testing.T) {
	const n = 300
	histories := make([][]*timeline.Timeline, n)
	var want []string
	for i := range n {
		id, start := fmt.Sprintf("%032x", (i*7919)%n), event.Time(1e18+i/2) // pairs start together
		histories[i] = append(histories[i], revision(id, 1, start+5, ""))
		switch i % 3 {
		case 0:
			histories[i] = append(histories[i], revision(id, 2, start, "elsewhere"))
			continue
		case 1:
			histories[i] = append(histories[i], revision(id, 2, start+1, ""), revision(id, 3, start, ""))
		case 2:
			histories[i][0].Start = start
		}
		last := histories[i][len(histories[i])-1]
		want = append(want, fmt.Sprintf("%020d %s", last.Start, last.AppendJSON(nil)))
	}
	slices.Sort(want)
	for i := range want {
		want[i] = want[i][21:]
	}
	for _, memory := range []int64{1 << 20, 2 << 10} {
		r := newResults(context.Background(), JSON, render.Options{}, extsort.Options{Memory: memory, TempDir: t.TempDir()})
		at := make([]int, n)
		for left := n; left > 0; {
			i := rand.IntN(n)
			if at[i] < len(histories[i]) {
				r.timeline(histories[i][at[i]])
				if at[i]++; at[i] == len(histories[i]) {
					left--
				}
			}
		}
		var out bytes.Buffer
		count, err := r.writeLines(&out)
		if err != nil {
			t.Fatal(err)
		}
		if count != len(want) {
			t.Errorf("%d lines, want %d", count, len(want))
		}
		if diff := cmp.Diff(strings.Join(want, "\n")+"\n", out.String()); diff != "" {
			t.Fatalf("with %d bytes of memory:\n%s", memory, diff)
		}
		timelinetest.Validate(t, out.Bytes())
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResultsOfNoTimelines(t *testing.T) {
	r := newResults(context.Background(), Text, render.Options{}, extsort.Options{})
	defer r.close()
	var out bytes.Buffer
	if n, err := r.writeText(&out, "hint"); n != 0 || err != nil || out.Len() != 0 {
		t.Errorf("no timelines gave %d, %v, %q", n, err, out.String())
	}
}

func TestTextShowsTheMostInteresting(t *testing.T) {
	step := func(l timeline.Layer, st timeline.Status) timeline.Step {
		return timeline.Step{ID: string(l), Layer: l, Status: st, Name: string(l)}
	}
	plain := revision("aaaa", 1, 10, "")
	long := revision("bbbb", 1, 20, "")
	long.End = long.Start.Add(time.Hour)
	layers := revision("cccc", 1, 30, "")
	layers.Steps = []timeline.Step{step("edge", "ok"), step("server", "ok"), step("model", "ok")}
	failed := revision("dddd", 1, 40, "")
	failed.Steps = []timeline.Step{step("server", "error")}
	denied := revision("eeee", 1, 50, "")
	denied.Steps = []timeline.Step{step("policy", "denied")}
	alerted := revision("ffff", 1, 60, "")
	alerted.Alerts = []timeline.AlertRef{{Severity: "low"}}
	withdrawn := revision("9999", 1, 70, "")
	withdrawn.Alerts = []timeline.AlertRef{{Severity: "critical", State: "withdrawn"}}
	unclaimed := revision("8888", 1, 80, "")
	unclaimed.Steps = []timeline.Step{step("process", "unclaimed")}
	all := []*timeline.Timeline{plain, long, layers, failed, denied, alerted, withdrawn, unclaimed}

	r := newResults(context.Background(), Text, render.Options{}, extsort.Options{})
	defer r.close()
	for _, tl := range all {
		r.timeline(tl)
	}
	var out bytes.Buffer
	n, err := r.writeText(&out, "HINT")
	if err != nil || n != len(all) {
		t.Fatal(n, err)
	}
	var order []string
	for line := range strings.Lines(out.String()) {
		words := strings.Fields(line)
		for _, tl := range all {
			if len(words) > 0 && (words[0] == tl.ID || words[len(words)-1] == tl.ID) {
				order = append(order, tl.ID)
			}
		}
	}
	want := []string{"eeee", "8888", "ffff", "dddd", "cccc", "bbbb"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("order of interest (-want +got):\n%s\n%s", diff, out.String())
	}
	if !strings.HasSuffix(out.String(), "HINT\n") {
		t.Errorf("no hint at the end of %q", out.String())
	}
}

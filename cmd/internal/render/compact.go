package render

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// Compact returns one line about a request, without its newline, in the order
// of `hubble observe`: time, who, whom, what, then what came of it.
func Compact(t *timeline.Timeline, o Options) string {
	client := Escape(t.Request.Client)
	if client == "" {
		client = "?"
	}
	workload := WorkloadName(t)
	if workload == "" {
		workload = "?"
	}
	parts := []string{
		t.Start.Std().Format("Jan _2 15:04:05.000") + ": " + client + " -> " + o.paint(cyan, workload),
		requestName(t),
	}
	if t.Request.Status != 0 {
		st := green
		if t.Request.Status >= 400 {
			st = red
		}
		parts = append(parts, o.paint(st, strconv.Itoa(int(t.Request.Status))))
	}
	parts = append(parts, Duration(t.End.Sub(t.Start)))
	if n := count(t, timeline.LayerModel); n > 0 {
		parts = append(parts, fmt.Sprintf("models %d (%s tok)", n, Count(t.Tokens.Input+t.Tokens.Output)))
	}
	if n := count(t, timeline.LayerTool); n > 0 {
		parts = append(parts, "tools "+strconv.Itoa(n))
	}
	if n := count(t, timeline.LayerProcess); n > 0 {
		parts = append(parts, "processes "+strconv.Itoa(n))
	}
	for _, st := range []timeline.Status{timeline.Denied, timeline.Killed, timeline.Error, timeline.Unclaimed} {
		if n, first := countStatus(t, st); n > 0 {
			text := statusMark(st) + " " + string(st) + " " + Escape(first.Name)
			if n > 1 {
				text += " (+" + strconv.Itoa(n-1) + ")"
			}
			parts = append(parts, o.paint(statusStyle(st), text))
		}
	}
	if n := len(t.Alerts); n > 0 {
		parts = append(parts, o.paint(redBold, fmt.Sprintf("alerts %d", n)))
	}
	if n := len(t.Completeness.Gaps); n > 0 {
		parts = append(parts, o.paint(yellow, fmt.Sprintf("gaps %d", n)))
	}
	if t.State == timeline.Open {
		parts = append(parts, "open")
	}
	return strings.Join(append(parts, o.paint(dim, ShortID(Escape(t.ID)))), "  ")
}

func countStatus(t *timeline.Timeline, st timeline.Status) (n int, first *timeline.Step) {
	for i := range t.Steps {
		if t.Steps[i].Status == st {
			if n++; n == 1 {
				first = &t.Steps[i]
			}
		}
	}
	return n, first
}

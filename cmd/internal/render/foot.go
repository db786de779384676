package render

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// most is how many entries of a list below the waterfall are shown.
const most = 8

// writeFoot lists alerts, gaps and ambiguous events, and explains the marks.
func writeFoot(b *strings.Builder, t *timeline.Timeline, o Options) {
	names := make(map[string]string, len(t.Steps))
	for i := range t.Steps {
		names[t.Steps[i].ID] = t.Steps[i].Name
	}
	for i := range t.Alerts {
		a := &t.Alerts[i]
		text := "alert " + a.Severity + "  " + a.RuleID + "  " + a.Title
		if a.State == "withdrawn" {
			text += "  (withdrawn)"
		}
		if len(a.StepIDs) > 0 && names[a.StepIDs[0]] != "" {
			text += "  at " + names[a.StepIDs[0]]
		}
		b.WriteString(o.paint(redBold, fit(Escape(text), o.width())) + "\n")
	}
	list(b, len(t.Completeness.Gaps), "gaps", o, func(i int) string {
		g := &t.Completeness.Gaps[i]
		lost := "an unknown number of events"
		if g.Lost > 0 {
			lost = Grouped(g.Lost) + " events"
		}
		text := fmt.Sprintf("%s lost %s", g.Source, lost)
		if g.Node != "" {
			text += " on " + g.Node
		}
		text += fmt.Sprintf(", %s to %s", Clock(g.Start), Clock(g.End))
		if g.Reason != "" {
			text += " (" + g.Reason + ")"
		}
		return text
	})
	list(b, len(t.Ambiguous), "ambiguous: belongs to one of several requests, attached to none", o, func(i int) string {
		a := &t.Ambiguous[i]
		var of []string
		for _, c := range a.Candidates {
			of = append(of, ShortID(c.TimelineID)+" "+strconv.FormatFloat(c.Confidence, 'f', 2, 64))
		}
		return "event " + a.EventID + ": " + strings.Join(of, ", ")
	})
	writeLegend(b, t, o)
}

func list(b *strings.Builder, n int, title string, o Options, entry func(int) string) {
	if n == 0 {
		return
	}
	b.WriteString(o.paint(yellow, fit(title, o.width())) + "\n")
	for i := range min(n, most) {
		b.WriteString("  " + fit(Escape(entry(i)), o.width()-2) + "\n")
	}
	if n > most {
		fmt.Fprintf(b, "  … and %d more\n", n-most)
	}
}

func writeLegend(b *strings.Builder, t *timeline.Timeline, o Options) {
	text := legend
	if cells(text) > o.width() {
		text = markExact + " exact   " + markInferred + " inferred   " + markClaim + " claim only, or unclaimed"
	}
	marks := marksOf(t)
	if marks != "" && cells(text)+cells(marks) > o.width() {
		b.WriteString(o.paint(dim, text) + "\n")
		text, marks = strings.TrimLeft(marks, " "), ""
	}
	b.WriteString(o.paint(dim, fit(text+marks, o.width())) + "\n")
}

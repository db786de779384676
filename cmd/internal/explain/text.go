package explain

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// WriteText writes an account, as Of and All return it, for people.
func WriteText(w io.Writer, account any) error {
	var b strings.Builder
	switch a := account.(type) {
	case *Step:
		a.write(&b)
	case *Event:
		a.write(&b)
	case *Timeline:
		a.write(&b)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write account: %w", err)
	}
	return nil
}

func (s *Step) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s\n", s.Layer, render.Escape(s.Name))
	fmt.Fprintf(b, "  step %s of %s, revision %d\n", render.Escape(s.StepID), render.Escape(s.TimelineID), s.Revision)
	fmt.Fprintf(b, "  from %s, took %s, seen by %s", render.Clock(s.Start), render.Duration(s.End.Sub(s.Start)), render.Escape(s.Source))
	if s.Node != "" {
		fmt.Fprintf(b, " on %s", render.Escape(s.Node))
	}
	if s.Status != timeline.OK {
		fmt.Fprintf(b, ", %s", s.Status)
	}
	b.WriteString("\n\nhow it is known\n")
	if s.Join.Exact {
		fmt.Fprintf(b, "  %s, exact: an identifier was equal, within the time in which it was valid\n", render.Escape(s.Join.Method))
	} else {
		fmt.Fprintf(b, "  %s, inferred: right in %s of 100 cases, %s in question\n",
			render.Escape(s.Join.Method), percent(s.Join.Confidence), render.Many(uint64(s.Join.Candidates), "request"))
	}
	for _, e := range s.Join.Evidence {
		fmt.Fprintf(b, "  evidence: %s\n", render.Escape(e))
	}
	b.WriteString("\nwhat was tried, strongest first\n")
	width := 0
	for _, r := range s.Tried {
		width = max(width, len(r.Method))
	}
	for _, r := range s.Tried {
		mark := "-"
		if r.Held {
			mark = "✓"
		}
		fmt.Fprintf(b, "  %s %-*s  %s\n", mark, width, render.Escape(r.Method), render.Escape(r.Why))
	}
	if len(s.Join.Rejected) > 0 {
		b.WriteString("\nwhat it was not\n")
		for _, r := range s.Join.Rejected {
			fmt.Fprintf(b, "  %s  %s %%  %s: %s\n", render.ShortID(r.TimelineID), percent(r.Confidence), render.Escape(r.Method), render.Escape(r.Why))
		}
	}
	if len(s.Above) > 0 {
		b.WriteString("\nwhat it hangs below\n")
		writeLinks(b, s.Above)
	}
	b.WriteString("\nevents\n")
	for _, id := range s.EventIDs {
		fmt.Fprintf(b, "  %s\n", render.Escape(id))
	}
}

func writeLinks(b *strings.Builder, links []Link) {
	for _, l := range links {
		sure := "exact"
		if !l.Exact {
			sure = percent(l.Confidence) + " %"
		}
		fmt.Fprintf(b, "  %-16.16s  %s %s  (%s, %s)\n", render.Escape(l.StepID), l.Layer, render.Escape(l.Name), render.Escape(l.Method), sure)
	}
}

func (e *Event) write(b *strings.Builder) {
	fmt.Fprintf(b, "event %s belongs to one of several requests, if to any, and is a step of none\n\n", render.Escape(e.EventID))
	writeCandidates(b, e.Candidates)
}

func writeCandidates(b *strings.Builder, list []timeline.Candidate) {
	rest := 1.0
	for _, c := range list {
		rest -= c.Confidence
		fmt.Fprintf(b, "  %s  %s %%\n", render.ShortID(c.TimelineID), percent(c.Confidence))
	}
	fmt.Fprintf(b, "  another, or none  %s %%\n", percent(max(rest, 0)))
}

// mostListed bounds the lists of a whole timeline's account.
const mostListed = 12

func (t *Timeline) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s, revision %d, %s\n\nhow its steps are known\n", render.Escape(t.TimelineID), t.Revision, render.Many(uint64(t.Steps), "step"))
	width := 0
	for _, m := range t.Methods {
		width = max(width, len(m.Method))
	}
	for _, m := range t.Methods {
		sure := "exact"
		if !m.Exact {
			sure = "inferred, at least " + percent(m.Least) + " %"
		}
		fmt.Fprintf(b, "  %-*s  %4d  %s\n", width, m.Method, m.Steps, sure)
	}
	if len(t.Inferred) > 0 {
		b.WriteString("\nleast sure\n")
		writeLinks(b, t.Inferred[:min(len(t.Inferred), mostListed)])
		more(b, len(t.Inferred))
	}
	if len(t.Ambiguous) > 0 {
		b.WriteString("\nambiguous: may belong here, or elsewhere\n")
		for _, a := range t.Ambiguous[:min(len(t.Ambiguous), mostListed)] {
			fmt.Fprintf(b, "  event %s\n", render.Escape(a.EventID))
			for _, c := range a.Candidates {
				fmt.Fprintf(b, "    %s  %s %%\n", render.ShortID(c.TimelineID), percent(c.Confidence))
			}
		}
		more(b, len(t.Ambiguous))
	}
	if len(t.Missing) > 0 {
		fmt.Fprintf(b, "\nmissing: %s\n", render.Escape(strings.Join(t.Missing, ", ")))
	}
	for _, g := range t.Gaps {
		fmt.Fprintf(b, "gap: %s on %s from %s to %s (%s)\n", render.Escape(g.Source), render.Escape(g.Node), render.Clock(g.Start), render.Clock(g.End), render.Escape(g.Reason))
	}
	fmt.Fprintf(b, "\none step: sennit explain %s/STEP\n", render.ShortID(t.TimelineID))
}

func more(b *strings.Builder, n int) {
	if n > mostListed {
		fmt.Fprintf(b, "  … and %d more\n", n-mostListed)
	}
}

// percent renders a confidence, which has three decimals, in hundredths.
func percent(v float64) string {
	return strconv.FormatFloat(math.Round(v*1000)/10, 'f', -1, 64)
}

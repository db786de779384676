package wire

import (
	"fmt"
	"io"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/schemas/alert"
)

// compare says which alerts appear and vanish when the rules of before give way to
// those of now: one line each, by time, and a line that counts them. An alert is the
// same where its rule's id and the first event it rests on are.
func compare(w io.Writer, before, now *alerts) {
	was, is := map[string]*alert.Alert{}, map[string]bool{}
	old, list := before.all(), now.all()
	for i := range old {
		was[old[i].ID] = &old[i]
	}
	line := func(mark string, a *alert.Alert, more string) {
		fmt.Fprintf(w, "%s %-9s %-28s %s  %s%s\n", mark, a.Severity, a.RuleID, render.Escape(or(a.TimelineID, "-")), render.Escape(a.Title), more)
	}
	appear, vanish, change := 0, 0, 0
	for i := range list {
		a := &list[i]
		is[a.ID] = true
		switch o := was[a.ID]; {
		case o == nil:
			appear++
			line("+", a, "")
		case o.Severity != a.Severity:
			change++
			line("~", a, fmt.Sprintf(" (was %s)", o.Severity))
		}
	}
	for i := range old {
		if !is[old[i].ID] {
			vanish++
			line("-", &old[i], "")
		}
	}
	fmt.Fprintf(w, "compared    %d alerts appear, %d vanish, %d change their severity, %d stay\n", appear, vanish, change, len(list)-appear-change)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

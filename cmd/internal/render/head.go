package render

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// writeHead says what the request was and how much of it is known.
func writeHead(b *strings.Builder, t *timeline.Timeline, o Options) {
	columns := o.width()
	title := o.paint(bold, ShortID(Escape(t.ID))) + "  " + o.paint(bold, fit(requestName(t), columns/2))
	if t.Request.Status != 0 {
		st := green
		if t.Request.Status >= 400 {
			st = red
		}
		title += "  " + o.paint(st, strconv.Itoa(int(t.Request.Status)))
	}
	used := cells(ShortID(Escape(t.ID))) + 2 + cells(fit(requestName(t), columns/2)) + 5
	rest := []string{Duration(t.End.Sub(t.Start))}
	if w := WorkloadName(t); w != "" {
		rest = append(rest, w)
	}
	if t.State == timeline.Open {
		rest = append(rest, "still open")
	}
	title += "  " + fit(strings.Join(rest, "  "), columns-used-2)
	b.WriteString(title + "\n")

	facts := []string{}
	if t.TraceID != "" {
		facts = append(facts, "trace "+t.TraceID)
	}
	facts = append(facts, "from "+Clock(t.Start)+" UTC")
	if t.Request.Client != "" {
		facts = append(facts, "client "+t.Request.Client)
	}
	if t.Revision > 1 {
		facts = append(facts, "revision "+strconv.FormatUint(uint64(t.Revision), 10))
	}
	if t.SupersededBy != "" {
		facts = append(facts, "superseded by "+t.SupersededBy)
	}
	if len(t.Related) > 0 {
		facts = append(facts, "related "+relatedIDs(t.Related))
	}
	writeFacts(b, facts, o)

	facts = facts[:0]
	if n := count(t, timeline.LayerModel); n > 0 {
		facts = append(facts, Many(uint64(n), "model call")+in(t.Models))
	}
	if n := count(t, timeline.LayerTool); n > 0 {
		facts = append(facts, Many(uint64(n), "tool use")+in(t.Tools))
	}
	if t.Tokens != (timeline.Tokens{}) {
		facts = append(facts, fmt.Sprintf("tokens %s in, %s out", Grouped(t.Tokens.Input), Grouped(t.Tokens.Output)))
	}
	if len(t.Agents) > 0 {
		facts = append(facts, "agents "+strings.Join(t.Agents, " → "))
	}
	writeFacts(b, facts, o)

	c := &t.Completeness
	facts = append(facts[:0], "complete "+strconv.FormatFloat(c.Score*100, 'f', 0, 64)+" %")
	if len(c.Missing) > 0 {
		facts = append(facts, "missing "+strings.Join(c.Missing, ", "))
	}
	if len(c.Gaps) > 0 {
		facts = append(facts, Many(uint64(len(c.Gaps)), "gap")+" (below)")
	}
	if t.Truncated > 0 {
		facts = append(facts, fmt.Sprintf("truncated: %d steps left out", t.Truncated))
	}
	writeFacts(b, facts, o)
}

// relatedIDs names the first few other requests of the trace.
func relatedIDs(ids []string) string {
	const most = 3
	var short []string
	for _, id := range ids[:min(len(ids), most)] {
		short = append(short, ShortID(id))
	}
	if len(ids) > most {
		short = append(short, fmt.Sprintf("and %d more", len(ids)-most))
	}
	return strings.Join(short, " ")
}

// writeFacts writes short statements on as many lines as they need.
func writeFacts(b *strings.Builder, facts []string, o Options) {
	line := ""
	flush := func() {
		if line != "" {
			b.WriteString(o.paint(dim, "  "+line) + "\n")
		}
		line = ""
	}
	for _, f := range facts {
		f = fit(Escape(f), o.width()-2)
		if line != "" && cells(line)+3+cells(f)+2 > o.width() {
			flush()
		}
		if line != "" {
			line += " · "
		}
		line += f
	}
	flush()
}

// requestName is the method and path, else what the timeline began with.
func requestName(t *timeline.Timeline) string {
	if t.Request.Method != "" || t.Request.Path != "" {
		return strings.TrimSpace(Escape(t.Request.Method + " " + t.Request.Path))
	}
	if len(t.Steps) > 0 {
		return Escape(t.Steps[0].Name)
	}
	return "(no request seen)"
}

// WorkloadName names the workload as "namespace/pod", with its service or node
// where that is all that is known.
func WorkloadName(t *timeline.Timeline) string {
	w := &t.Workload
	name := w.Pod
	if name == "" {
		name = w.Service
	}
	switch {
	case name != "" && w.Namespace != "":
		name = w.Namespace + "/" + name
	case name == "":
		name = w.Node
	}
	return Escape(name)
}

func in(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

func count(t *timeline.Timeline, l timeline.Layer) int {
	n := 0
	for i := range t.Steps {
		if t.Steps[i].Layer == l {
			n++
		}
	}
	return n
}

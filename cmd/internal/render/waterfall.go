package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// Waterfall draws one timeline: its head, a row for every step, and below them
// what is ambiguous, missing or alarming. No line is wider than o.Width columns.
func Waterfall(w io.Writer, t *timeline.Timeline, o Options) error {
	var b strings.Builder
	writeHead(&b, t, o)
	writeRows(&b, t, o)
	writeFoot(&b, t, o)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write waterfall: %w", err)
	}
	return nil
}

// layout is the widths of the columns.
type layout struct {
	layer, name, bar, duration, join, status, detail int
	narrow                                           bool // branches take one column a level
}

const (
	minName, minBar = 16, 8
	maxBar          = 48
	minDetail       = 20
)

// arrange gives each column what it needs and shares the rest between name and
// bar; a wide terminal has room for the evidence too.
func arrange(all []row, columns int) layout {
	var l layout
	name, deepest := 0, 0
	for i := range all {
		s := all[i].step
		mark, label := Certainty(s)
		l.layer = max(l.layer, cells(layerName(s)))
		l.duration = max(l.duration, cells(all[i].duration()))
		l.join = max(l.join, cells(mark+" "+label))
		if s.Status != timeline.OK && columns >= 100 {
			l.status = max(l.status, 1+cells(statusName(s)))
		}
		name = max(name, cells(all[i].name(false)))
		deepest = max(deepest, cells(all[i].lines(false)))
	}
	// mark, blank, layer, blank, name, blank, ▕bar▏, blank, duration, blank, join, status
	rest := columns - (2 + l.layer + 1 + 1 + 2 + 1 + l.duration + 1 + l.join + l.status)
	l.bar = min(max(rest*2/5, minBar), maxBar)
	if name > rest-l.bar { // long names and deep trees are worth more than a fine bar
		l.bar = min(max(rest*3/10, minBar), maxBar)
	}
	l.name = min(name, max(rest-l.bar, minName))
	l.narrow = name > l.name && deepest > l.name/3
	rest -= l.name + l.bar
	if grow := min(rest, maxBar-l.bar); grow > 0 {
		l.bar += grow
		rest -= grow
	}
	if rest-1 >= minDetail {
		l.detail = rest - 1
	}
	if rest < 0 { // too narrow for the names of the methods: the bar gives way, then they do
		bar := max(l.bar+rest, 4)
		rest += l.bar - bar
		l.bar = bar
		l.join = max(l.join+min(rest, 0), 6)
	}
	return l
}

func writeRows(b *strings.Builder, t *timeline.Timeline, o Options) {
	all := rows(t, false)
	hidden := 0
	if o.MaxRows > 0 && len(all) > o.MaxRows {
		all = rows(t, true)
		if len(all) > o.MaxRows {
			all, hidden = shorten(all, o.MaxRows)
		}
	}
	over := span{t.Start, t.End}
	for i := range all {
		if over.start.IsZero() || (all[i].start < over.start && !all[i].start.IsZero()) {
			over.start = all[i].start
		}
		over.end = max(over.end, all[i].end)
	}
	l := arrange(all, o.width())
	for i := range all {
		writeRow(b, &all[i], over, l, o)
	}
	if hidden > 0 {
		fmt.Fprintf(b, "  … %d more steps\n", hidden)
	}
}

// shorten keeps the first rows, and every row of a step that did not go well as
// long as there is room.
func shorten(all []row, limit int) (kept []row, hidden int) {
	bad := 0
	for i := range all {
		if all[i].step.Status != timeline.OK {
			bad++
		}
	}
	good := max(limit-bad, limit/2)
	bad = limit - good
	for i := range all {
		room := &good
		if all[i].step.Status != timeline.OK {
			room = &bad
			if bad == 0 {
				room = &good
			}
		}
		if *room == 0 {
			hidden += all[i].count
			continue
		}
		*room--
		kept = append(kept, all[i])
	}
	return kept, hidden
}

func writeRow(b *strings.Builder, r *row, over span, l layout, o Options) {
	s := r.step
	mark, label := Certainty(s)
	status := statusStyle(s.Status)
	layer := layerStyle(s.Layer)
	barStyle := layer
	if status != plain {
		barStyle = status
	}
	line := o.paint(status, statusMark(s.Status)) + " " +
		o.paint(layer, pad(layerName(s), l.layer)) + " " +
		o.paint(status, pad(r.nameIn(l.name, l.narrow), l.name)) + " " +
		o.paint(dim, "▕") + o.paint(barStyle, over.bar(r.start, r.end, l.bar)) + o.paint(dim, "▏") + " " +
		padLeft(r.duration(), l.duration) + " " +
		o.paint(markStyle(mark), mark) + " " + fit(label, l.join-2)
	tail := ""
	if l.status > 0 && s.Status != timeline.OK {
		tail = " " + statusName(s)
	}
	detail := ""
	if l.detail > 0 && len(s.Join.Evidence) > 0 {
		detail = fit(Escape(strings.Join(s.Join.Evidence, ", ")), l.detail)
	}
	if tail != "" || detail != "" {
		line += strings.Repeat(" ", l.join-2-cells(fit(label, l.join-2)))
		line += o.paint(status, tail)
		if detail != "" {
			line += strings.Repeat(" ", l.status-cells(tail)) + " " + o.paint(dim, detail)
		}
	}
	b.WriteString(strings.TrimRight(line, " "))
	b.WriteByte('\n')
}

// layerName and statusName are words of ours, but a result read from a file may
// hold anything.
func layerName(s *timeline.Step) string  { return fit(Escape(string(s.Layer)), 8) }
func statusName(s *timeline.Step) string { return fit(Escape(string(s.Status)), 10) }

// duration is blank for what happened at one moment.
func (r *row) duration() string {
	if r.start == r.end {
		return ""
	}
	return Duration(r.end.Sub(r.start))
}

// marksOf returns the marks of status that the steps use, for the legend.
func marksOf(t *timeline.Timeline) string {
	var seen []timeline.Status
	for i := range t.Steps {
		if s := t.Steps[i].Status; statusMark(s) != " " && !slices.Contains(seen, s) {
			seen = append(seen, s)
		}
	}
	slices.Sort(seen)
	var b strings.Builder
	for _, s := range seen {
		b.WriteString("   " + statusMark(s) + " " + string(s))
	}
	return b.String()
}

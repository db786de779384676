package render

import (
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// row is one line of the waterfall: a step with its place in the tree, or a run
// of like steps.
type row struct {
	step       *timeline.Step
	branch     string // one of "│", "├", "└" and " " for each level
	count      int    // how many like steps the row stands for
	start, end event.Time
}

// name is the step's name behind its branch. A wide branch takes two columns a
// level, a narrow one takes one.
func (r *row) name(narrow bool) string {
	return r.lines(narrow) + r.label()
}

func (r *row) label() string {
	name := Escape(r.step.Name)
	if name == "" {
		name = string(r.step.Layer)
	}
	if r.count > 1 {
		name += " ×" + strconv.Itoa(r.count)
	}
	return name
}

func (r *row) lines(narrow bool) string {
	if r.branch == "" {
		return ""
	}
	if narrow {
		return r.branch + " "
	}
	var b strings.Builder
	for _, c := range r.branch {
		b.WriteRune(c)
		b.WriteByte(' ')
	}
	return b.String()
}

// nameIn is the name in n columns: a deep branch is cut on its left, so that half
// of the columns stay for the name itself.
func (r *row) nameIn(n int, narrow bool) string {
	lines := []rune(r.lines(narrow))
	if len(lines) > n/2 {
		return fit("…"+string(lines[len(lines)-n/2+1:])+r.label(), n)
	}
	return fit(string(lines)+r.label(), n)
}

// maxDepth is how deep the tree is drawn; what lies deeper is drawn at this
// depth, so that names keep some room.
const maxDepth = 24

// rows lays the steps out as a tree in depth-first order. Steps whose parent is
// not in the timeline are roots. Nothing is lost when parents form a circle.
func rows(t *timeline.Timeline, fold bool) []row {
	index := make(map[string]int, len(t.Steps))
	for i := range t.Steps {
		index[t.Steps[i].ID] = i
	}
	children := make([][]int, len(t.Steps))
	var roots []int
	for i := range t.Steps {
		parent, known := index[t.Steps[i].ParentID]
		if t.Steps[i].ParentID == "" || !known || parent == i {
			roots = append(roots, i)
		} else {
			children[parent] = append(children[parent], i)
		}
	}
	w := walk{steps: t.Steps, children: children, seen: make([]bool, len(t.Steps)), fold: fold}
	w.level(roots, "", 0)
	for i := range t.Steps { // circles hang on no root
		if !w.seen[i] {
			w.level([]int{i}, "", 0)
		}
	}
	return w.out
}

type walk struct {
	steps    []timeline.Step
	children [][]int
	seen     []bool
	fold     bool
	out      []row
}

func (w *walk) level(steps []int, indent string, depth int) {
	for at := 0; at < len(steps); {
		i, run := steps[at], 1
		if w.fold {
			run = w.run(steps[at:])
		}
		s := &w.steps[i]
		r := row{step: s, count: run, start: s.Start, end: s.End}
		for _, j := range steps[at : at+run] {
			w.seen[j] = true
			r.start, r.end = min(r.start, w.steps[j].Start), max(r.end, w.steps[j].End)
		}
		at += run
		next := indent
		if depth > 0 {
			if at < len(steps) {
				r.branch, next = indent+"├", indent+"│"
			} else {
				r.branch, next = indent+"└", indent+" "
			}
		}
		w.out = append(w.out, r)
		if kids := w.unseen(w.children[i]); len(kids) > 0 {
			if depth >= maxDepth {
				next = indent
			}
			w.level(kids, next, depth+1)
		}
	}
}

// run counts the steps at the head of a level that look alike and have nothing
// below them.
func (w *walk) run(level []int) int {
	a := &w.steps[level[0]]
	n := 0
	for _, j := range level {
		b := &w.steps[j]
		if len(w.children[j]) > 0 || b.Layer != a.Layer || b.Name != a.Name || b.Status != a.Status ||
			b.Source != a.Source || b.Join.Method != a.Join.Method {
			break
		}
		n++
	}
	return max(n, 1)
}

func (w *walk) unseen(steps []int) []int {
	out := steps[:0:0]
	for _, i := range steps {
		if !w.seen[i] {
			out = append(out, i)
		}
	}
	return out
}

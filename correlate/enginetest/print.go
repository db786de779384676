package enginetest

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Names says what the identifiers of a script stand for.
type Names struct{ events map[string]string }

// NewNames names events by kind and time.
func NewNames(events []event.Event) *Names {
	n := &Names{events: make(map[string]string)}
	for i := range events {
		n.events[events[i].ID.String()] = Title(&events[i])
	}
	return n
}

// Title names an event by what tells it apart in a script.
func Title(e *event.Event) string {
	s := e.Kind.String() + "@" + Since(e.Time)
	switch p := e.Payload.(type) {
	case *event.Exchange:
		s = fmt.Sprintf("%s cookie=%d", s, p.Cookie)
	case *event.Span:
		s = fmt.Sprintf("%s span=%s", s, spelled(p.SpanID[:]))
	}
	if e.Node != "" {
		s += " node=" + e.Node
	}
	return s
}

// Since is the distance of t from Base.
func Since(t event.Time) string {
	if t == 0 {
		return "-"
	}
	return t.Sub(Base).String()
}

func spelled(id []byte) string { return strings.TrimRight(string(id), "\x00") }

// ID names a timeline: its trace's name, or the event that it begins with.
func (n *Names) ID(id string) string {
	base, number, _ := strings.Cut(id, "-")
	if number != "" {
		number = "-" + number
	}
	if title, ok := n.events[base]; ok {
		return "local(" + title + ")" + number
	}
	raw, err := hex.DecodeString(base)
	if err != nil {
		return id
	}
	return spelled(raw) + number
}

func (n *Names) ids(ids []string) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = n.ID(id)
	}
	return strings.Join(names, " ")
}

// Timeline draws a timeline as a tree of steps.
func (n *Names) Timeline(t *timeline.Timeline) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s r%d", n.ID(t.ID), t.Revision)
	if t.SupersededBy != "" {
		fmt.Fprintf(&b, " superseded by %s\n", n.ID(t.SupersededBy))
		return b.String()
	}
	if t.State == timeline.Open {
		fmt.Fprintf(&b, " open update=%d", t.Update)
	}
	fmt.Fprintf(&b, " %s..%s", Since(t.Start), Since(t.End))
	word := func(k, v string) {
		if v != "" && v != "0" {
			fmt.Fprintf(&b, " %s=%s", k, v)
		}
	}
	word("truncated", fmt.Sprint(t.Truncated))
	word("client", t.Request.Client)
	if w := t.Workload; w.Pod != "" {
		word("workload", w.Namespace+"/"+w.Pod+"("+w.Proof+")")
	}
	if len(t.TraceIDs) > 1 {
		word("traces", n.ids(t.TraceIDs))
	}
	word("related", n.ids(t.Related))
	word("agents", strings.Join(t.Agents, ","))
	word("models", strings.Join(t.Models, ","))
	word("tools", strings.Join(t.Tools, ","))
	if t.Tokens != (timeline.Tokens{}) {
		word("tokens", fmt.Sprintf("%d/%d", t.Tokens.Input, t.Tokens.Output))
	}
	word("missing", strings.Join(t.Completeness.Missing, ","))
	b.WriteByte('\n')
	n.steps(&b, t, "", 1)
	for _, g := range t.Completeness.Gaps {
		fmt.Fprintf(&b, "  gap: %s node=%s %s..%s lost=%d %s\n", g.Source, g.Node, Since(g.Start), Since(g.End), g.Lost, g.Reason)
	}
	for _, a := range t.Ambiguous {
		fmt.Fprintf(&b, "  ambiguous: %s:", n.events[a.EventID])
		for _, c := range a.Candidates {
			fmt.Fprintf(&b, " %s=%g", n.ID(c.TimelineID), c.Confidence)
		}
		b.WriteByte('\n')
	}
	for _, a := range t.Alerts {
		fmt.Fprintf(&b, "  alert: %s %s\n", a.RuleID, a.Severity)
	}
	return b.String()
}

func (n *Names) steps(b *strings.Builder, t *timeline.Timeline, parent string, depth int) {
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.ParentID != parent || depth > 40 {
			continue
		}
		fmt.Fprintf(b, "%s%s %q %s..%s %s %s", strings.Repeat("  ", depth), s.Layer, s.Name, Since(s.Start), Since(s.End), s.Status, joinWord(&s.Join))
		if s.Node != "" {
			fmt.Fprintf(b, " node=%s", s.Node)
		}
		if s.SpanID != "" {
			raw, _ := hex.DecodeString(s.SpanID)
			fmt.Fprintf(b, " span=%s", spelled(raw))
		}
		if s.SocketCookie != "" {
			fmt.Fprintf(b, " cookie=%s", s.SocketCookie)
		}
		if a, ok := s.Attributes.Get("http2.stream_id"); ok {
			fmt.Fprintf(b, " stream=%d", a.Num)
		}
		if s.PID != 0 {
			fmt.Fprintf(b, " pid=%d", s.PID)
		}
		if c := s.Connection; c != nil {
			fmt.Fprintf(b, " shared=%d", c.Shared)
			if c.Verdict != "" {
				fmt.Fprintf(b, " verdict=%s", c.Verdict)
			}
			if c.SNI != "" {
				fmt.Fprintf(b, " sni=%s", c.SNI)
			}
		}
		if len(s.EventIDs) > 1 {
			fmt.Fprintf(b, " events=%d", len(s.EventIDs))
		}
		for _, e := range s.Join.Evidence {
			if strings.HasPrefix(e, "clock skew") {
				fmt.Fprintf(b, " (%s)", e)
			}
		}
		b.WriteByte('\n')
		n.steps(b, t, s.ID, depth+1)
	}
}

// Duration is a distance from Base as an instant.
func Duration(d time.Duration) event.Time { return Base + event.Time(d) }

// joinWord names the method of a join, and how sure an inferred one is of how
// many candidates.
func joinWord(j *timeline.Join) string {
	if j.Exact {
		return j.Method
	}
	return fmt.Sprintf("%s(%.3f/%d)", j.Method, j.Confidence, j.Candidates)
}

package timeline

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/sennit-io/sennit/schemas/event"
)

// ReadJSON reads a timeline into t. The canonical form, which AppendJSON writes, is
// read in one pass; whatever else is JSON, by encoding/json, ten times as slowly.
func (t *Timeline) ReadJSON(b []byte) error {
	if t.read(string(b)) {
		return nil
	}
	return json.Unmarshal(b, t)
}

// ViewJSON is ReadJSON without a copy of b, for who is done with t before b changes:
// the strings of t are parts of it.
func (t *Timeline) ViewJSON(b []byte) error {
	if t.read(unsafe.String(unsafe.SliceData(b), len(b))) {
		return nil
	}
	return json.Unmarshal(b, t)
}

// read reads the canonical form; after another t is empty. All strings are parts of s.
func (t *Timeline) read(s string) bool {
	r := reader{s: s}
	*t = Timeline{}
	if r.timeline(t); !r.bad && r.i == len(r.s) {
		return true
	}
	*t = Timeline{}
	return false
}

// reader reads members in the order in which they are written. What is not as
// AppendJSON writes it makes it bad, and what it read then is worth nothing.
type reader struct {
	s   string
	i   int
	bad bool

	// What a list is read into before it is known how long it is.
	texts []string
	attrs []Attribute
}

func (r *reader) timeline(t *Timeline) {
	t.ID = r.str(`{"timeline_id":`)
	t.TraceID = r.str(`,"trace_id":`)
	t.TraceIDs = r.strs(`,"trace_ids":`)
	t.Related = r.strs(`,"related":`)
	t.SupersededBy = r.str(`,"superseded_by":`)
	t.Revision = uint32(r.num(`,"revision":`, math.MaxUint32))
	t.Update = uint32(r.num(`,"update":`, math.MaxUint32))
	t.State = State(r.str(`,"state":`))
	t.Truncated = uint32(r.num(`,"truncated":`, math.MaxUint32))
	t.Start, t.End = r.instant(`,"start":`), r.instant(`,"end":`)
	t.Request.Method = r.str(`,"request":{"method":`)
	t.Request.Path = r.str(`,"path":`)
	t.Request.Status = uint16(r.num(`,"status":`, math.MaxUint16))
	t.Request.Client = r.str(`,"client":`)
	t.Workload.Cluster = r.str(`},"workload":{"cluster":`)
	t.Workload.Namespace = r.str(`,"namespace":`)
	t.Workload.Pod = r.str(`,"pod":`)
	t.Workload.Node = r.str(`,"node":`)
	t.Workload.Service = r.str(`,"service":`)
	t.Workload.Proof = r.str(`,"proof":`)
	t.Agents = r.strs(`},"agents":`)
	t.Models = r.strs(`,"models":`)
	t.Tools = r.strs(`,"tools":`)
	t.Tokens.Input = r.num(`,"tokens":{"input":`, math.MaxUint64)
	t.Tokens.Output = r.num(`,"output":`, math.MaxUint64)
	t.Completeness.Score = r.score(`},"completeness":{"score":`)
	t.Completeness.Missing = r.strs(`,"missing":`)
	for r.list(`,"gaps":`, len(t.Completeness.Gaps)) {
		t.Completeness.Gaps = append(t.Completeness.Gaps, Gap{
			Source: r.str(`{"source":`), Node: r.str(`,"node":`), Start: r.instant(`,"start":`), End: r.instant(`,"end":`),
			Lost: r.num(`,"lost":`, math.MaxUint64), Reason: r.str(`,"reason":`),
		})
		r.text("}")
	}
	// In a string the quotes would have backslashes before them.
	t.Steps = make([]Step, 0, strings.Count(r.s[r.i:], `{"step_id":"`))
	for r.list(`},"steps":`, len(t.Steps)) {
		t.Steps = append(t.Steps, Step{})
		r.step(&t.Steps[len(t.Steps)-1])
	}
	for r.list(`,"ambiguous":`, len(t.Ambiguous)) {
		a := Ambiguous{EventID: r.str(`{"event_id":`)}
		for r.list(`,"candidates":`, len(a.Candidates)) {
			a.Candidates = append(a.Candidates, Candidate{r.str(`{"timeline_id":`), r.score(`,"confidence":`)})
			r.text("}")
		}
		t.Ambiguous = append(t.Ambiguous, a)
		r.text("}")
	}
	for r.list(`,"alerts":`, len(t.Alerts)) {
		t.Alerts = append(t.Alerts, AlertRef{
			AlertID: r.str(`{"alert_id":`), RuleID: r.str(`,"rule_id":`), Severity: r.str(`,"severity":`),
			Title: r.str(`,"title":`), State: r.str(`,"state":`), StepIDs: r.strs(`,"step_ids":`),
		})
		r.text("}")
	}
	r.text("}")
}

func (r *reader) step(s *Step) {
	s.ID = r.str(`{"step_id":`)
	s.ParentID = r.str(`,"parent_step_id":`)
	s.Layer = Layer(r.str(`,"layer":`))
	s.Name = r.str(`,"name":`)
	s.Start, s.End = r.instant(`,"start":`), r.instant(`,"end":`)
	s.Status = Status(r.str(`,"status":`))
	s.Source = r.str(`,"source":`)
	s.Node = r.str(`,"node":`)
	s.PID = uint32(r.num(`,"pid":`, math.MaxUint32))
	s.SocketCookie = r.str(`,"socket_cookie":`)
	s.TraceID = r.str(`,"trace_id":`)
	s.SpanID = r.str(`,"span_id":`)
	s.Attributes = r.attributes()
	s.EventIDs = r.strs(`,"event_ids":`)
	if strings.HasPrefix(r.s[r.i:], `,"connection":`) {
		s.Connection = &Connection{
			SocketCookie: r.str(`,"connection":{"socket_cookie":`), Shared: uint32(r.num(`,"shared":`, math.MaxUint32)),
			Verdict: r.str(`,"verdict":`), Opened: r.instant(`,"opened":`), SNI: r.str(`,"sni":`),
		}
		r.text("}")
	}
	s.Join.Method = r.str(`,"join":{"method":`)
	s.Join.Exact = r.flag(`,"exact":`)
	s.Join.Confidence = r.score(`,"confidence":`)
	s.Join.Candidates = uint32(r.num(`,"candidates":`, math.MaxUint32))
	s.Join.Evidence = r.strs(`,"evidence":`)
	for r.list(`,"rejected":`, len(s.Join.Rejected)) {
		s.Join.Rejected = append(s.Join.Rejected, Rejected{
			TimelineID: r.str(`{"timeline_id":`), Method: r.str(`,"method":`), Confidence: r.score(`,"confidence":`), Why: r.str(`,"why":`),
		})
		r.text("}")
	}
	r.text("}}")
}

func (r *reader) attributes() Attributes {
	r.text(`,"attributes":{`)
	if r.is('}') {
		return nil
	}
	list := r.attrs[:0]
	for !r.bad {
		a := Attribute{Key: r.str("")}
		r.text(":")
		if r.i < len(r.s) && r.s[r.i] == '"' {
			a.Str = r.str("")
		} else {
			a.IsNum = true
			digits := r.digits()
			var err error
			if a.Num, err = strconv.ParseInt(digits, 10, 64); err != nil || digits == "-0" {
				r.bad = true
			}
		}
		if list = append(list, a); r.is('}') {
			break
		}
		r.text(",")
	}
	r.attrs = list
	return slices.Clone(list)
}

// text passes over what has to stand here.
func (r *reader) text(s string) {
	if r.bad || !strings.HasPrefix(r.s[r.i:], s) {
		r.bad = true
		return
	}
	r.i += len(s)
}

// is passes over a character, if it stands here.
func (r *reader) is(c byte) bool {
	if r.i < len(r.s) && r.s[r.i] == c {
		r.i++
		return true
	}
	return false
}

// list steps into a list, or to its next element, and is false at its end. n is how
// many were read.
func (r *reader) list(name string, n int) bool {
	if n == 0 {
		r.text(name)
		r.text("[")
		return !r.bad && !r.is(']')
	}
	if r.is(']') {
		return false
	}
	r.text(",")
	return !r.bad
}

func (r *reader) str(name string) string {
	r.text(name)
	r.text(`"`)
	if r.bad {
		return ""
	}
	s, start, i := r.s, r.i, r.i
	for i < len(s) && plain[s[i]] {
		i++
	}
	ascii := true
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			r.i, r.bad = i+1, !ascii && !utf8.ValidString(s[start:i])
			return s[start:i]
		case c == '\\':
			r.i = i
			return r.escaped(start)
		case c < ' ':
			r.bad = true
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.bad = true
	return ""
}

// plain marks what stands in a string as it is and is all of a rune.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// escaped reads a string with escapes, which few have.
func (r *reader) escaped(start int) (s string) {
	for ; r.i < len(r.s) && r.s[r.i] != '"'; r.i++ {
		if r.s[r.i] == '\\' {
			r.i++
		}
	}
	if r.i >= len(r.s) { // an escape may have passed over the end
		r.i, r.bad = len(r.s), true
		return ""
	}
	r.i++
	r.bad = json.Unmarshal([]byte(r.s[start-1:r.i]), &s) != nil
	return s
}

func (r *reader) strs(name string) []string {
	list := r.texts[:0]
	for r.list(name, len(list)) {
		list = append(list, r.str(""))
	}
	if r.texts = list; len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}

// digits passes over a whole number.
func (r *reader) digits() string {
	start := r.i
	r.is('-')
	first := r.i
	for r.i < len(r.s) && r.s[r.i] >= '0' && r.s[r.i] <= '9' {
		r.i++
	}
	if n := r.i - first; n == 0 || n > 1 && r.s[first] == '0' {
		r.bad = true
	}
	return r.s[start:r.i]
}

func (r *reader) num(name string, limit uint64) uint64 {
	r.text(name)
	n, err := strconv.ParseUint(r.digits(), 10, 64)
	r.bad = r.bad || err != nil || n > limit
	return n
}

func (r *reader) score(name string) float64 {
	r.text(name)
	start := r.i
	r.digits()
	if r.is('.') {
		first := r.i
		for r.i < len(r.s) && r.s[r.i] >= '0' && r.s[r.i] <= '9' {
			r.i++
		}
		r.bad = r.bad || r.i == first
	}
	f, err := strconv.ParseFloat(r.s[start:r.i], 64)
	r.bad = r.bad || err != nil
	return f
}

func (r *reader) flag(name string) bool {
	r.text(name)
	if strings.HasPrefix(r.s[r.i:], "true") {
		r.i += len("true")
		return true
	}
	r.text("false")
	return false
}

func (r *reader) instant(name string) (t event.Time) {
	s := r.str(name)
	if r.bad || s == "" {
		return 0
	}
	r.bad = t.UnmarshalText([]byte(s)) != nil
	return t
}

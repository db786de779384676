package timeline

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/jsontext"
)

// AppendJSON appends the timeline's canonical form, one JSON object without a
// line end: members in the order of the struct, lists never null, times RFC
// 3339 with nine digits (empty for zero), scores rounded to three decimals, no
// HTML escaping. Equal timelines give equal bytes. It does not allocate when b
// has room.
func (t *Timeline) AppendJSON(b []byte) []byte {
	b = str(append(b, '{'), `"timeline_id":`, t.ID)
	b = str(b, `,"trace_id":`, t.TraceID)
	b = strs(b, `,"trace_ids":`, t.TraceIDs)
	b = strs(b, `,"related":`, t.Related)
	b = str(b, `,"superseded_by":`, t.SupersededBy)
	b = num(b, `,"revision":`, uint64(t.Revision))
	b = num(b, `,"update":`, uint64(t.Update))
	b = str(b, `,"state":`, string(t.State))
	b = num(b, `,"truncated":`, uint64(t.Truncated))
	b = instant(b, `,"start":`, t.Start)
	b = instant(b, `,"end":`, t.End)
	b = t.Request.append(append(b, `,"request":`...))
	b = t.Workload.append(append(b, `,"workload":`...))
	b = strs(b, `,"agents":`, t.Agents)
	b = strs(b, `,"models":`, t.Models)
	b = strs(b, `,"tools":`, t.Tools)
	b = num(b, `,"tokens":{"input":`, t.Tokens.Input)
	b = num(b, `,"output":`, t.Tokens.Output)
	b = t.Completeness.append(append(b, `},"completeness":`...))
	b = append(b, `,"steps":[`...)
	for i := range t.Steps {
		b = append(t.Steps[i].AppendJSON(b), ',')
	}
	b = append(jsontext.Close(b, ']'), `,"ambiguous":[`...)
	for i := range t.Ambiguous {
		b = append(t.Ambiguous[i].append(b), ',')
	}
	b = append(jsontext.Close(b, ']'), `,"alerts":[`...)
	for i := range t.Alerts {
		b = append(t.Alerts[i].append(b), ',')
	}
	return append(jsontext.Close(b, ']'), '}')
}

// MarshalJSON returns the canonical form. (encoding/json then escapes <, > and
// & in it unless it was told not to.)
func (t *Timeline) MarshalJSON() ([]byte, error) { return t.AppendJSON(nil), nil }

var _ json.Marshaler = (*Timeline)(nil)

func (r *Request) append(b []byte) []byte {
	b = str(append(b, '{'), `"method":`, r.Method)
	b = str(b, `,"path":`, r.Path)
	b = num(b, `,"status":`, uint64(r.Status))
	b = str(b, `,"client":`, r.Client)
	return append(b, '}')
}

func (w *Workload) append(b []byte) []byte {
	b = str(append(b, '{'), `"cluster":`, w.Cluster)
	b = str(b, `,"namespace":`, w.Namespace)
	b = str(b, `,"pod":`, w.Pod)
	b = str(b, `,"node":`, w.Node)
	b = str(b, `,"service":`, w.Service)
	b = str(b, `,"proof":`, w.Proof)
	return append(b, '}')
}

func (c *Completeness) append(b []byte) []byte {
	b = score(append(b, '{'), `"score":`, c.Score)
	b = strs(b, `,"missing":`, c.Missing)
	b = append(b, `,"gaps":[`...)
	for i := range c.Gaps {
		b = append(c.Gaps[i].append(b), ',')
	}
	return append(jsontext.Close(b, ']'), '}')
}

func (g *Gap) append(b []byte) []byte {
	b = str(append(b, '{'), `"source":`, g.Source)
	b = str(b, `,"node":`, g.Node)
	b = instant(b, `,"start":`, g.Start)
	b = instant(b, `,"end":`, g.End)
	b = num(b, `,"lost":`, g.Lost)
	b = str(b, `,"reason":`, g.Reason)
	return append(b, '}')
}

func (a *Ambiguous) append(b []byte) []byte {
	b = str(append(b, '{'), `"event_id":`, a.EventID)
	b = append(b, `,"candidates":[`...)
	for i := range a.Candidates {
		b = str(append(b, '{'), `"timeline_id":`, a.Candidates[i].TimelineID)
		b = score(b, `,"confidence":`, a.Candidates[i].Confidence)
		b = append(b, "},"...)
	}
	return append(jsontext.Close(b, ']'), '}')
}

func (a *AlertRef) append(b []byte) []byte {
	b = str(append(b, '{'), `"alert_id":`, a.AlertID)
	b = str(b, `,"rule_id":`, a.RuleID)
	b = str(b, `,"severity":`, a.Severity)
	b = str(b, `,"title":`, a.Title)
	b = str(b, `,"state":`, a.State)
	b = strs(b, `,"step_ids":`, a.StepIDs)
	return append(b, '}')
}

// The member functions append a name, with the comma before it, and a value.

func str(b []byte, name, v string) []byte { return jsontext.String(append(b, name...), v) }

func num(b []byte, name string, v uint64) []byte {
	return strconv.AppendUint(append(b, name...), v, 10)
}

func instant(b []byte, name string, t event.Time) []byte {
	return append(t.Append(append(append(b, name...), '"')), '"')
}

func flag(b []byte, name string, v bool) []byte { return strconv.AppendBool(append(b, name...), v) }

func score(b []byte, name string, v float64) []byte {
	return jsontext.Float(append(b, name...), math.Round(v*1000)/1000)
}

func strs(b []byte, name string, v []string) []byte {
	b = append(append(b, name...), '[')
	for _, s := range v {
		b = append(jsontext.String(b, s), ',')
	}
	return jsontext.Close(b, ']')
}

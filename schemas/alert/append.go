package alert

import (
	"math"
	"strconv"

	"github.com/sennit-io/sennit/schemas/jsontext"
)

// AppendJSON appends the alert's canonical form, one JSON object without a line
// end: members in the order of the struct, lists never null, the confidence
// rounded to three decimals, no HTML escaping.
func (a *Alert) AppendJSON(b []byte) []byte {
	b = jsontext.String(append(b, `{"alert_id":`...), a.ID)
	b = jsontext.String(append(b, `,"rule_id":`...), a.RuleID)
	b = jsontext.String(append(b, `,"severity":`...), string(a.Severity))
	b = jsontext.String(append(b, `,"title":`...), a.Title)
	b = jsontext.String(append(b, `,"state":`...), string(a.State))
	b = strconv.AppendUint(append(b, `,"revision":`...), uint64(a.Revision), 10)
	b = a.Time.Append(append(b, `,"time":"`...))
	b = jsontext.String(append(b, `","timeline_id":`...), a.TimelineID)
	b = list(append(b, `,"step_ids":`...), a.StepIDs)
	b = list(append(b, `,"event_ids":`...), a.EventIDs)
	b = strconv.AppendBool(append(b, `,"exact":`...), a.Exact)
	b = jsontext.Float(append(b, `,"confidence":`...), math.Round(a.Confidence*1000)/1000)
	b = list(append(b, `,"gaps":`...), a.Gaps)
	b = list(append(b, `,"tags":`...), a.Tags)
	return append(b, '}')
}

// MarshalJSON returns the canonical form.
func (a *Alert) MarshalJSON() ([]byte, error) { return a.AppendJSON(nil), nil }

func list(b []byte, v []string) []byte {
	b = append(b, '[')
	for _, s := range v {
		b = append(jsontext.String(b, s), ',')
	}
	return jsontext.Close(b, ']')
}

package tables

import (
	"encoding/json"
	"fmt"

	"github.com/sennit-io/sennit/schemas/alert"
)

// Alerts has one row a revision of an alert.
var Alerts = Table{
	Name: "alerts", Doc: "One row a revision of an alert; the view alerts_current has the last ones.",
	Columns: columns(alertColumns),
	Cluster: []string{"rule_id", "severity", "timeline_id"},
}

var alertColumns = []source[alert.Alert]{
	{must(Day, Date, "day of its time, UTC"), func(a *alert.Alert) Value { return day(a.Time) }},
	{must("alert_id", String, ""), func(a *alert.Alert) Value { return Value{Set: true, Str: a.ID} }},
	{must("revision", Integer, ""), func(a *alert.Alert) Value { return count(a.Revision) }},
	{one("rule_id", String, ""), func(a *alert.Alert) Value { return text(a.RuleID) }},
	{one("severity", String, "info, low, medium, high or critical"), func(a *alert.Alert) Value { return text(string(a.Severity)) }},
	{one("title", String, ""), func(a *alert.Alert) Value { return text(a.Title) }},
	{one("state", String, "open, or withdrawn when later evidence refuted it"), func(a *alert.Alert) Value { return text(string(a.State)) }},
	{one("event_time", Timestamp, "of the first event that triggered it"), func(a *alert.Alert) Value { return instant(a.Time) }},
	{one("timeline_id", String, ""), func(a *alert.Alert) Value { return text(a.TimelineID) }},
	{many("step_ids", ""), func(a *alert.Alert) Value { return list(a.StepIDs) }},
	{many("event_ids", ""), func(a *alert.Alert) Value { return list(a.EventIDs) }},
	{one("exact", Bool, "every join it rests on is exact"), func(a *alert.Alert) Value { return truth(a.Exact) }},
	{one("confidence", Float, "the least of its joins"), func(a *alert.Alert) Value { return real(a.Confidence) }},
	{many("gaps", "sources that lost events in its time"), func(a *alert.Alert) Value { return list(a.Gaps) }},
	{many("tags", "MITRE ATT&CK and ATLAS, OWASP"), func(a *alert.Alert) Value { return list(a.Tags) }},
}

// OfAlert returns the row of an alert's published JSON.
func OfAlert(data []byte) (Rows, error) {
	var a alert.Alert
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("read alert: %w", err)
	}
	return func(yield func(*Table, Row) bool) { yield(&Alerts, fill(nil, alertColumns, &a)) }, nil
}

package webhook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
)

// Format is the shape of the body.
type Format string

// Formats. Standard is a CloudEvent, what this package's documentation is about; the
// others are what programs of those names take.
const (
	Standard      Format = ""
	Slack         Format = "slack"         // an incoming webhook
	PagerDuty     Format = "pagerduty"     // Events API v2, needs the key of an integration
	Alertmanager  Format = "alertmanager"  // POST /api/v2/alerts
	Falcosidekick Format = "falcosidekick" // an event as Falco's
)

// Formats are all of them.
var Formats = []Format{Standard, Slack, PagerDuty, Alertmanager, Falcosidekick}

// body is what is posted of an alert, and its content type.
func (c *Config) body(a *alert.Alert) (body []byte, contentType string, err error) {
	contentType = "application/json"
	var v any
	switch c.Format {
	case Slack:
		v = slackBody(a)
	case PagerDuty:
		v = pagerDutyBody(a, c.Key)
	case Alertmanager:
		v = alertmanagerBody(a)
	case Falcosidekick:
		v = falcosidekickBody(a)
	default:
		v, contentType = standardBody(a), "application/cloudevents+json"
	}
	body, err = encode(v)
	return body, contentType, err
}

// word is the name that another system has for a severity; words are least first.
func word(s alert.Severity, words ...string) string { return words[max(0, s.Rank())] }

// joins says how sure what an alert rests on is.
func joins(a *alert.Alert) string {
	if a.Exact {
		return "exact joins"
	}
	return fmt.Sprintf("joins of confidence %.3g", a.Confidence)
}

// slackBody is a line of text. Slack gives meaning to &, < and >.
func slackBody(a *alert.Alert) any {
	text := fmt.Sprintf("*%s* %s\nrule `%s`, timeline `%s`, %s", strings.ToUpper(string(a.Severity)), headline(a), a.RuleID, a.TimelineID, joins(a))
	if len(a.Gaps) > 0 {
		text += ", gaps in " + strings.Join(a.Gaps, ", ")
	}
	return map[string]string{"text": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)}
}

// pagerDutyBody triggers or resolves; the alert's id keeps its revisions together.
func pagerDutyBody(a *alert.Alert, key string) any {
	type payload struct {
		Summary   string       `json:"summary"`
		Source    string       `json:"source"`
		Severity  string       `json:"severity"`
		Timestamp event.Time   `json:"timestamp"`
		Class     string       `json:"class"`
		Details   *alert.Alert `json:"custom_details"`
	}
	action := "trigger"
	if a.State == alert.Withdrawn {
		action = "resolve"
	}
	const longestSummary = 1024
	summary := headline(a)
	summary = strings.ToValidUTF8(summary[:min(len(summary), longestSummary)], "")
	return &struct {
		RoutingKey string  `json:"routing_key"`
		Action     string  `json:"event_action"`
		DedupKey   string  `json:"dedup_key"`
		Client     string  `json:"client"`
		Payload    payload `json:"payload"`
	}{key, action, a.ID, "Sennit", payload{summary, "sennit", word(a.Severity, "info", "info", "warning", "error", "critical"), a.Time, a.RuleID, a}}
}

// firing is how long Alertmanager shows an alert that nothing more is heard of: it is
// told once, not every few minutes.
const firing = 24 * time.Hour

func alertmanagerBody(a *alert.Alert) any {
	type one struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    event.Time        `json:"startsAt"`
		EndsAt      event.Time        `json:"endsAt"`
	}
	ends := a.Time.Add(firing)
	if a.State == alert.Withdrawn {
		ends = a.Time
	}
	return []one{{
		Labels:      map[string]string{"alertname": a.RuleID, "severity": string(a.Severity), "alert_id": a.ID, "source": "sennit"},
		Annotations: map[string]string{"summary": headline(a), "timeline_id": a.TimelineID, "certainty": joins(a), "gaps": strings.Join(a.Gaps, ", ")},
		StartsAt:    a.Time, EndsAt: ends,
	}}
}

// falcosidekickBody is an event; there is no taking back, so a withdrawn alert is one
// that informs.
func falcosidekickBody(a *alert.Alert) any {
	priority := word(a.Severity, "Informational", "Notice", "Warning", "Error", "Critical")
	if a.State == alert.Withdrawn {
		priority = "Informational"
	}
	return &struct {
		UUID     string            `json:"uuid"`
		Output   string            `json:"output"`
		Priority string            `json:"priority"`
		Rule     string            `json:"rule"`
		Time     event.Time        `json:"time"`
		Source   string            `json:"source"`
		Tags     []string          `json:"tags"`
		Fields   map[string]string `json:"output_fields"`
	}{
		messageID(a), headline(a), priority, a.RuleID, a.Time, "sennit", append([]string{}, a.Tags...),
		map[string]string{"sennit.alert_id": a.ID, "sennit.timeline_id": a.TimelineID, "sennit.state": string(a.State), "sennit.certainty": joins(a), "sennit.gaps": strings.Join(a.Gaps, ", ")},
	}
}

func (c *Config) checkFormat() error {
	switch {
	case !slices.Contains(Formats, c.Format):
		return fmt.Errorf("there is no format %q", c.Format)
	case c.Format == PagerDuty && c.Key == "":
		return fmt.Errorf("the format %s needs the key of an integration", c.Format)
	}
	return nil
}

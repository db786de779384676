package webhook_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/webhook"
)

func TestFormats(t *testing.T) {
	f := func(format webhook.Format, change func(*alert.Alert), want string) {
		t.Helper()
		url, got := receive(t, func(int, http.ResponseWriter) {})
		a := sample()
		change(a)
		s := open(t, webhook.Config{URL: url, Format: format, Key: "K"})
		if err := s.Write(t.Context(), []sinks.Record{record(a)}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, string((*got)[0].body)); d != "" || (*got)[0].header.Get("Content-Type") != "application/json" {
			t.Errorf("%s, %s (-want +got):\n%s", format, (*got)[0].header.Get("Content-Type"), d)
		}
	}
	as := func(*alert.Alert) {}
	withdrawn := func(a *alert.Alert) { a.State, a.Revision, a.Severity = alert.Withdrawn, 2, alert.Medium }
	unsure := func(a *alert.Alert) {
		a.Exact, a.Confidence, a.Gaps, a.Severity = false, 0.962, []string{"hubble"}, "?"
	}
	const whole = `{"alert_id":"9f2c","rule_id":"agent_metadata","severity":"high","title":"a tool asked for <credentials>","state":"open","revision":1,"time":"2025-11-23T09:00:00.123000000Z","timeline_id":"4bf92f35",` +
		`"step_ids":["a1","b2"],"event_ids":["e1"],"exact":true,"confidence":1,"gaps":[],"tags":["attack.t1552.005","owasp.llm06"]}`

	f(webhook.Slack, as, `{"text":"*HIGH* a tool asked for &lt;credentials&gt;\nrule `+"`agent_metadata`, timeline `4bf92f35`"+`, exact joins"}`)
	f(webhook.Slack, withdrawn, `{"text":"*MEDIUM* Withdrawn: a tool asked for &lt;credentials&gt;\nrule `+"`agent_metadata`, timeline `4bf92f35`"+`, exact joins"}`)
	f(webhook.Slack, unsure, `{"text":"*?* a tool asked for &lt;credentials&gt;\nrule `+"`agent_metadata`, timeline `4bf92f35`"+`, joins of confidence 0.962, gaps in hubble"}`)

	f(webhook.PagerDuty, as, `{"routing_key":"K","event_action":"trigger","dedup_key":"9f2c","client":"Sennit","payload":{"summary":"a tool asked for <credentials>","source":"sennit","severity":"error",`+
		`"timestamp":"2025-11-23T09:00:00.123000000Z","class":"agent_metadata","custom_details":`+whole+`}}`)

	f(webhook.Alertmanager, as, `[{"labels":{"alert_id":"9f2c","alertname":"agent_metadata","severity":"high","source":"sennit"},`+
		`"annotations":{"certainty":"exact joins","gaps":"","summary":"a tool asked for <credentials>","timeline_id":"4bf92f35"},"startsAt":"2025-11-23T09:00:00.123000000Z","endsAt":"2025-11-24T09:00:00.123000000Z"}]`)
	f(webhook.Alertmanager, withdrawn, `[{"labels":{"alert_id":"9f2c","alertname":"agent_metadata","severity":"medium","source":"sennit"},`+
		`"annotations":{"certainty":"exact joins","gaps":"","summary":"Withdrawn: a tool asked for <credentials>","timeline_id":"4bf92f35"},"startsAt":"2025-11-23T09:00:00.123000000Z","endsAt":"2025-11-23T09:00:00.123000000Z"}]`)

	f(webhook.Falcosidekick, unsure, `{"uuid":"9f2c-1","output":"a tool asked for <credentials>","priority":"Informational","rule":"agent_metadata","time":"2025-11-23T09:00:00.123000000Z","source":"sennit",`+
		`"tags":["attack.t1552.005","owasp.llm06"],"output_fields":{"sennit.alert_id":"9f2c","sennit.certainty":"joins of confidence 0.962","sennit.gaps":"hubble","sennit.state":"open","sennit.timeline_id":"4bf92f35"}}`)
	f(webhook.Falcosidekick, as, `{"uuid":"9f2c-1","output":"a tool asked for <credentials>","priority":"Error","rule":"agent_metadata","time":"2025-11-23T09:00:00.123000000Z","source":"sennit",`+
		`"tags":["attack.t1552.005","owasp.llm06"],"output_fields":{"sennit.alert_id":"9f2c","sennit.certainty":"exact joins","sennit.gaps":"","sennit.state":"open","sennit.timeline_id":"4bf92f35"}}`)
}

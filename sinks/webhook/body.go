package webhook

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
)

//go:embed body.schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of what is posted.
func Schema() []byte { return bytes.Clone(schema) }

// cloudEvent is a CloudEvent 1.0 in its structured JSON form.
type cloudEvent struct {
	SpecVersion     string     `json:"specversion"`
	ID              string     `json:"id"`
	Source          string     `json:"source"`
	Type            string     `json:"type"`
	Subject         string     `json:"subject,omitempty"`
	Time            event.Time `json:"time"`
	DataContentType string     `json:"datacontenttype"`
	Data            finding    `json:"data"`
}

// finding is an OCSF Detection Finding, of the attributes that version 1.4 has.
type finding struct {
	ActivityID   int      `json:"activity_id"`
	ActivityName string   `json:"activity_name"`
	CategoryUID  int      `json:"category_uid"`
	CategoryName string   `json:"category_name"`
	ClassUID     int      `json:"class_uid"`
	ClassName    string   `json:"class_name"`
	TypeUID      int      `json:"type_uid"`
	TypeName     string   `json:"type_name"`
	SeverityID   int      `json:"severity_id"`
	Severity     string   `json:"severity"`
	StatusID     int      `json:"status_id"`
	Status       string   `json:"status"`
	Time         int64    `json:"time"` // milliseconds since the Unix epoch
	Message      string   `json:"message"`
	IsAlert      bool     `json:"is_alert"`
	ConfidenceID int      `json:"confidence_id"`
	Confidence   string   `json:"confidence"`
	Score        int      `json:"confidence_score"` // percent
	Metadata     metadata `json:"metadata"`
	Info         info     `json:"finding_info"`
	Evidences    []proof  `json:"evidences"`
	// Unmapped is the alert itself, with what OCSF has no place for: steps, gaps,
	// whether its joins are exact.
	Unmapped struct {
		Sennit *alert.Alert `json:"sennit"`
	} `json:"unmapped"`
}

type metadata struct {
	Version        string   `json:"version"`
	Product        product  `json:"product"`
	UID            string   `json:"uid"`
	CorrelationUID string   `json:"correlation_uid,omitempty"`
	Labels         []string `json:"labels,omitempty"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

type info struct {
	UID       string   `json:"uid"`
	Title     string   `json:"title"`
	FirstSeen int64    `json:"first_seen_time"`
	Analytic  analytic `json:"analytic"`
	Attacks   []attack `json:"attacks,omitempty"`
}

type analytic struct {
	TypeID int    `json:"type_id"`
	Type   string `json:"type"`
	UID    string `json:"uid"`
	Name   string `json:"name"`
}

type attack struct {
	Technique *uid `json:"technique,omitempty"`
	Sub       *uid `json:"sub_technique,omitempty"`
}

type uid struct {
	UID string `json:"uid"`
}

type proof struct {
	Data evidence `json:"data"`
}

type evidence struct {
	Step   string   `json:"step_id,omitempty"`
	Events []string `json:"event_ids,omitempty"`
}

// messageID is the name of a revision of an alert: the same whenever it is sent
// again.
func messageID(a *alert.Alert) string {
	return a.ID + "-" + strconv.FormatUint(uint64(a.Revision), 10)
}

// severities are OCSF's words, by its numbers.
var severities = []string{"Unknown", "Informational", "Low", "Medium", "High", "Critical"}

// standardBody is the CloudEvent of an alert. The first revision creates the
// finding, later ones update it, and a withdrawn one closes it.
func standardBody(a *alert.Alert) any {
	const detectionFinding = 2004
	activity, name, what, status, statusName := 1, "Create", "opened", 1, "New"
	switch {
	case a.State == alert.Withdrawn:
		activity, name, what, status, statusName = 3, "Close", "withdrawn", 4, "Resolved"
	case a.Revision > 1:
		activity, name, what = 2, "Update", "updated"
	}
	ms := int64(a.Time) / 1e6
	f := finding{
		ActivityID: activity, ActivityName: name, CategoryUID: 2, CategoryName: "Findings", ClassUID: detectionFinding, ClassName: "Detection Finding",
		TypeUID: detectionFinding*100 + activity, TypeName: "Detection Finding: " + name,
		SeverityID: a.Severity.Rank() + 1, Severity: severities[a.Severity.Rank()+1], StatusID: status, Status: statusName,
		Time: ms, Message: headline(a), IsAlert: a.State == alert.Open, Score: int(math.Round(a.Confidence * 100)),
		Metadata: metadata{
			Version: "1.4.0", Product: product{Name: "Sennit", VendorName: "Sennit"},
			UID: messageID(a), CorrelationUID: a.TimelineID, Labels: a.Tags,
		},
		Info: info{
			UID: a.ID, Title: a.Title, FirstSeen: ms, Attacks: attacksOf(a.Tags),
			Analytic: analytic{TypeID: 1, Type: "Rule", UID: a.RuleID, Name: a.Title},
		},
		Evidences: []proof{},
	}
	// How sure the joins below it are; at 0.95 a join is made at all.
	f.ConfidenceID, f.Confidence = 2, "Medium"
	if a.Exact {
		f.ConfidenceID, f.Confidence = 3, "High"
	}
	for _, step := range a.StepIDs {
		f.Evidences = append(f.Evidences, proof{evidence{Step: step}})
	}
	if len(a.EventIDs) > 0 {
		f.Evidences = append(f.Evidences, proof{evidence{Events: a.EventIDs}})
	}
	f.Unmapped.Sennit = a
	return &cloudEvent{
		SpecVersion: "1.0", ID: messageID(a), Source: "urn:sennit:alerts", Type: "io.sennit.alert." + what, Subject: a.TimelineID,
		Time: a.Time, DataContentType: "application/json", Data: f,
	}
}

// headline is an alert in a line.
func headline(a *alert.Alert) string {
	if a.State == alert.Withdrawn {
		return "Withdrawn: " + a.Title
	}
	return a.Title
}

// attacksOf are the techniques of ATT&CK that tags as attack.t1059.004 name.
func attacksOf(tags []string) (list []attack) {
	for _, tag := range tags {
		id, ok := strings.CutPrefix(tag, "attack.")
		if !ok || !strings.HasPrefix(id, "t") {
			continue
		}
		id = strings.ToUpper(id)
		technique, _, sub := strings.Cut(id, ".")
		one := attack{Technique: &uid{technique}}
		if sub {
			one.Sub = &uid{id}
		}
		list = append(list, one)
	}
	return list
}

// encode writes a body, without escapes that only HTML needs.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

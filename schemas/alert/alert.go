// Package alert is the shape of a finding: what a rule saw, on which evidence,
// and how certain the joins below it are.
package alert

import (
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
)

// Severity of an alert, Hubble's and OCSF's words in lower case.
type Severity string

// Severities, least first.
const (
	Info     Severity = "info"
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities are all of them, least first.
var Severities = []Severity{Info, Low, Medium, High, Critical}

// Rank orders severities from 0; one that is none is -1.
func (s Severity) Rank() int { return slices.Index(Severities, s) }

// State of an alert.
type State string

// States. An alert whose reason was refuted by later evidence is withdrawn.
const (
	Open      State = "open"
	Withdrawn State = "withdrawn"
)

// Alert is one finding about one timeline (or about an ambient event, when
// TimelineID is empty), at one revision: the first is 1, and each later one, which
// takes its place, differs in what it says. ID is the hash of the rule and of the
// first event that triggered it, so it never changes.
type Alert struct {
	ID         string     `json:"alert_id"`
	RuleID     string     `json:"rule_id"`
	Severity   Severity   `json:"severity"`
	Title      string     `json:"title"`
	State      State      `json:"state"`
	Revision   uint32     `json:"revision"`
	Time       event.Time `json:"time"`
	TimelineID string     `json:"timeline_id"`
	StepIDs    []string   `json:"step_ids"`
	EventIDs   []string   `json:"event_ids"`
	// Exact says that every join the alert rests on is exact; Confidence is
	// the least of them.
	Exact      bool     `json:"exact"`
	Confidence float64  `json:"confidence"`
	Gaps       []string `json:"gaps"` // sources with a gap over the request
	Tags       []string `json:"tags"`
}

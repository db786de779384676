package render

import (
	"strconv"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// Marks of certainty.
const (
	markExact    = "●"
	markInferred = "◐"
	markClaim    = "○"
)

const legend = markExact + " exact: an identifier was equal   " +
	markInferred + " inferred, with confidence   " +
	markClaim + " claim that nothing observed, or unclaimed"

// Certainty returns the mark and the words for how a step was joined: exact, an
// inference with its confidence, or a claim that nothing observed (a span's step
// without socket and process) and an observation that nothing claims.
func Certainty(s *timeline.Step) (mark, label string) {
	label = Escape(s.Join.Method)
	switch {
	case s.Status == timeline.Unclaimed, ClaimOnly(s):
		return markClaim, label
	case s.Join.Exact:
		return markExact, label
	}
	return markInferred, label + " " + strconv.FormatFloat(s.Join.Confidence, 'f', 2, 64)
}

// ClaimOnly reports whether a step rests on a span alone.
func ClaimOnly(s *timeline.Step) bool {
	return s.Source == "otlp" && s.PID == 0 && s.SocketCookie == ""
}

func markStyle(mark string) style {
	switch mark {
	case markExact:
		return green
	case markInferred:
		return yellow
	}
	return dim
}

// statusMark returns a one-column mark for a status, blank for ok.
func statusMark(s timeline.Status) string {
	switch s {
	case timeline.Denied:
		return "✗"
	case timeline.Killed:
		return "†"
	case timeline.Error:
		return "!"
	case timeline.Unclaimed:
		return "?"
	}
	return " "
}

func statusStyle(s timeline.Status) style {
	switch s {
	case timeline.Denied, timeline.Killed:
		return redBold
	case timeline.Error:
		return red
	case timeline.Unclaimed:
		return yellow
	}
	return plain
}

package wire

import (
	"encoding/binary"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// rank says how interesting a timeline is; a greater one (bytes.Compare) is
// shown first. In this order it looks at: the worst alert that is not withdrawn;
// whether anything was denied or killed; whether anything is claimed by nobody;
// whether anything failed; how many layers the timeline has; by how many methods
// they were joined; and how long it took.
type rank [rankSize]byte

const rankSize = 16

var severities = map[string]byte{"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}

func rankOf(t *timeline.Timeline) rank {
	var alerts, denied, unclaimed, failed int
	for i := range t.Alerts {
		if t.Alerts[i].State != "withdrawn" {
			alerts = max(alerts, int(severities[t.Alerts[i].Severity]))
		}
	}
	layers, methods := map[timeline.Layer]bool{}, map[string]bool{}
	for i := range t.Steps {
		s := &t.Steps[i]
		switch s.Status {
		case timeline.Denied, timeline.Killed:
			denied++
		case timeline.Unclaimed:
			unclaimed++
		case timeline.Error:
			failed++
		}
		layers[s.Layer], methods[s.Join.Method] = true, true
	}
	// Whether, not how often: a denial at the edge is the whole story of a
	// timeline of one step, one inside a run has a story around it, so among
	// those with denials the layers decide.
	var r rank
	r[0] = byte(alerts)
	r[1] = byte(min(denied, 1))
	r[2] = byte(min(unclaimed, 1))
	r[3] = byte(min(failed, 1))
	r[4] = byte(min(len(layers), 255))
	r[5] = byte(min(len(methods), 255))
	binary.BigEndian.PutUint64(r[8:], uint64(max(t.End-t.Start, 0)))
	return r
}

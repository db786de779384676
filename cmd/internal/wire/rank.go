package wire

import (
	"encoding/binary"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// rank says how interesting a timeline is; a greater one (bytes.Compare) is
// shown first. In this order it looks at: the worst alert that is not withdrawn,
// where a denial or a kill counts as a high one and an act that nothing claims
// as a medium one; whether anything failed; how many layers the timeline has; by
// how many methods they were joined; and how long it took.
type rank [rankSize]byte

const rankSize = 16

var severities = map[string]byte{"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}

func rankOf(t *timeline.Timeline) rank {
	var worst, failed byte
	for i := range t.Alerts {
		if t.Alerts[i].State != "withdrawn" {
			worst = max(worst, severities[t.Alerts[i].Severity])
		}
	}
	layers, methods := map[timeline.Layer]bool{}, map[string]bool{}
	for i := range t.Steps {
		s := &t.Steps[i]
		switch s.Status {
		case timeline.Denied, timeline.Killed:
			worst = max(worst, severities["high"])
		case timeline.Unclaimed:
			worst = max(worst, severities["medium"])
		case timeline.Error:
			failed = 1
		}
		layers[s.Layer], methods[s.Join.Method] = true, true
	}
	// Whether, not how often: a denial at the edge is the whole story of a
	// timeline of one step, one inside a run has a story around it, so among
	// those with denials the layers decide.
	r := rank{worst, failed, byte(min(len(layers), 255)), byte(min(len(methods), 255))}
	binary.BigEndian.PutUint64(r[8:], uint64(max(t.End-t.Start, 0)))
	return r
}

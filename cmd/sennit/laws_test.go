package main

import (
	"regexp"
	"strconv"
	"testing"
	"time"
)

var sample = regexp.MustCompile(`(?m)^(sennit_[a-z_]+)(?:\{([^}]*)\})? (\S+)$`)

// laws waits until both conservation laws hold in /metrics, which are written down
// one after the other while the service works: per source in = events + what is left
// out, and of events in + derived = their fates and those that are held.
func (s *service) laws(t *testing.T) {
	t.Helper()
	label := func(labels, name string) string {
		m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(labels)
		if m == nil {
			return ""
		}
		return m[1]
	}
	var said string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		said = s.scrape(t)
		in, out := map[string]float64{}, map[string]float64{}
		seen := false
		for _, m := range sample.FindAllStringSubmatch(said, -1) {
			v, err := strconv.ParseFloat(m[3], 64)
			if err != nil {
				t.Fatalf("%v in %q", err, m[0])
			}
			switch m[1] {
			case "sennit_records_total":
				of := "records of " + label(m[2], "source")
				if label(m[2], "what") == "in" {
					in[of] += v
					seen = seen || v > 0
				} else {
					out[of] += v
				}
			case "sennit_events_total":
				switch label(m[2], "fate") {
				case "in", "derived":
					in["events"] += v
				case "refused": // before they are in
				default:
					out["events"] += v
				}
			case "sennit_events_held":
				out["events"] += v
			}
		}
		holds := seen
		for what := range in {
			holds = holds && in[what] == out[what]
		}
		if holds {
			return
		}
	}
	t.Errorf("what went in and what came of it differ:\n%s", said)
}

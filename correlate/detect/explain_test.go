package detect_test

import (
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// A tool that ran nothing is told of although another program began in its pod meanwhile,
// once it is known that this one was another tool's command; never where that is open, or
// rests on times alone.
func TestProgramsOfOthersAreExplained(t *testing.T) {
	s := load(t, rule("step", "step.layer == 'tool' && !('process' in step.below) && step.execs == 0"))
	const claim = 15 * time.Minute
	start := event.Time(1e18)
	tool := func(id string) *timeline.Timeline {
		return &timeline.Timeline{ID: id, Revision: 1, State: timeline.Closed, Start: start, End: start.Add(time.Second), Steps: []timeline.Step{
			{ID: id + "0", SpanID: "s", Layer: timeline.LayerAgent, Node: "n", Start: start, End: start.Add(time.Second)},
			{
				ID: id + "1", ParentID: id + "0", SpanID: "t", Layer: timeline.LayerTool, Node: "n", Start: start, End: start.Add(time.Second),
				Attributes: timeline.Attributes{{Key: "k8s.pod.name", Str: "p"}},
			},
		}}
	}
	exec := &event.Event{ID: event.ID{7}, Kind: event.KindProcessExec, Node: "n", Time: start.Add(time.Millisecond), Payload: &event.Process{Workload: event.Workload{Pod: "p"}}}
	told := func(method string) (list []string) {
		w := detect.NewWatch(s, detect.Options{Claim: claim, Keep: time.Hour})
		add := func(v detect.Verdict, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			for range v.Found {
				list = append(list, v.Timeline)
			}
		}
		_, err := w.Event(exec, exec.Time)
		add(detect.Verdict{}, err)
		add(w.Closed(tool("claims"), start.Add(time.Minute)))
		if method != "" {
			ran := tool("ran")
			ran.Steps = append(ran.Steps, timeline.Step{
				ID: "ran2", ParentID: "ran1", Layer: timeline.LayerProcess, Node: "n", Start: exec.Time, End: start.Add(time.Second),
				EventIDs: []string{exec.ID.String()}, Join: timeline.Join{Method: method},
			})
			add(w.Closed(ran, start.Add(claim+time.Minute)))
		}
		for after := claim; after < claim+10*time.Minute; after += time.Minute {
			due, err := w.Advance(start.Add(after), start.Add(after))
			add(detect.Verdict{}, err)
			for _, v := range due {
				add(v, nil)
			}
		}
		return list
	}
	if got := told(timeline.ToolCommand); len(got) != 1 || got[0] != "claims" {
		t.Errorf("the program is another's: told of %v, want claims once", got)
	}
	for _, method := range []string{"", timeline.ToolWindow} {
		if got := told(method); len(got) != 0 {
			t.Errorf("joined by %q: told of %v, want nothing", method, got)
		}
	}
}

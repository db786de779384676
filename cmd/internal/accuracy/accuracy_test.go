package main

import (
	"path/filepath"
	"testing"

	"github.com/sennit-io/sennit/testdata/recordings"
)

// TestPublishedSets: on the published recordings accuracy is at least the best
// known, confidence means what it says, and next to nothing is mis-linked at the
// limit.
func TestPublishedSets(t *testing.T) {
	dir := recordings.Dir(t)
	for _, want := range []struct {
		name             string
		accuracy, recall float64
	}{
		{"hotel_load50", 0.992, 0.95},
		{"media_load50", 0.919, 0.91},
		{"media_load100", 0.884, 0.87},
		{"node_load50", 0.995, 0.95},
	} {
		f, err := measureSet(dir, want.name)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", f)
		if f.Best.Accuracy < want.accuracy-1e-9 || f.Best.ECE > 0.02 {
			t.Errorf("%s: accuracy %.4f and calibration error %.4f, want at least %v and at most 0.02", want.name, f.Best.Accuracy, f.Best.ECE, want.accuracy)
		}
		if f.Limit.Recall < want.recall || f.Limit.Mislinked > 0.001 {
			t.Errorf("%s: recall %.4f at the limit, %.4f mis-linked, want at least %v and at most 0.001", want.name, f.Limit.Recall, f.Limit.Mislinked, want.recall)
		}
	}
}

// TestAgents: times and sizes tell whose model call it is; at the limit next to
// none is another's, with or without sizes.
func TestAgents(t *testing.T) {
	dir := filepath.Join(recordings.Dir(t), "adk-truth")
	for _, name := range agents {
		for _, sized := range []bool{false, true} {
			run, err := readAgent(dir, "adk-go-"+name, sized)
			if err != nil {
				t.Fatal(err)
			}
			f := run.link(limit)
			t.Logf("%s, sizes %v: %+v", name, sized, f)
			if f.Mislinked > 0.01 || f.Calls < 300 {
				t.Errorf("%s: of %d calls %.4f are mis-stitched at the limit, want at most 0.01", name, f.Calls, f.Mislinked)
			}
			if sized && f.Right < 0.93 {
				t.Errorf("%s: %.4f of the calls found their trace, want at least 0.93", name, f.Right)
			}
		}
	}
}

// The metric on a case that can be counted by hand.
func TestJudge(t *testing.T) {
	tr := truth{
		parent: map[string]string{"a": "1", "b": "1", "c": "2", "d": "3"},
		trace:  map[string]string{"a": "x", "b": "x", "c": "y", "d": "z"},
	}
	f := judge(tr, []prediction{{"a", "1", 1}, {"b", "2", 0.9}, {"c", "2", 0.5}}, 0)
	if f.Accuracy != 0 || f.Recall != 0.5 || f.Mislinked != 0.25 {
		t.Errorf("%+v: x lost b, y was given it, z lacks d", f)
	}
	f = judge(tr, []prediction{{"a", "1", 1}, {"b", "1", 0.9}, {"c", "1", 0.5}, {"d", "3", 1}}, 0.8)
	if f.Accuracy < 0.66 || f.Accuracy > 0.67 || f.Recall != 0.75 || f.Mislinked != 0 {
		t.Errorf("%+v: only c is missing", f)
	}
}

package gcp

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/recordings"
)

// recordedLines returns every line of the recordings of Google Cloud.
func recordedLines(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(recordings.Dir(t), "gcp", "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Skipf("SKIPPED: no recordings of Google Cloud (%v)", err)
	}
	var lines [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func TestRecordings(t *testing.T) {
	var d Decoder
	var b event.Batch
	kinds := map[event.Kind]int{}
	unknown := 0
	ids := map[event.ID]bool{}
	lines := recordedLines(t)
	for _, line := range lines {
		b.Reset()
		tally, err := d.Decode(line, &b)
		if tally.Bad != 0 {
			t.Fatalf("%v in %s", err, line)
		}
		if unknown += tally.UnknownType; tally.UnknownType != 0 {
			continue
		}
		e := &b.Events[0]
		kinds[e.Kind]++
		ids[e.ID] = true
		if e.Time == 0 {
			t.Errorf("no time: %s", line)
		}
		if !differ(t, &d, &b, line) {
			t.Errorf("not compared: %s", line)
		}
	}
	want := map[event.Kind]int{event.KindEdgeRequest: 3, event.KindDNS: 2, event.KindPolicyVerdict: 3, event.KindFlow: 2}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if unknown != 1 || len(ids) != len(lines)-1 { // one is of Cloud Run
		t.Errorf("%d unknown, %d ids of %d lines", unknown, len(ids), len(lines))
	}
}

package hubble

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/recordings"
)

// recordedLines returns every line of the Hubble recordings.
func recordedLines(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(recordings.Dir(t), "hubble", "*.json*"))
	if err != nil || len(files) == 0 {
		t.Skipf("SKIPPED: no recordings of Hubble (%v)", err)
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
	lines := recordedLines(t)
	var d Decoder
	var b event.Batch
	kinds := map[event.Kind]int{}
	ids := map[event.ID]string{}
	for _, line := range lines {
		b.Reset()
		tally, err := d.Decode(line, &b)
		if err != nil || tally.In != 1 || len(b.Events) != 1 {
			t.Fatalf("%v (%+v, %d events) in %s", err, tally, len(b.Events), line)
		}
		e := &b.Events[0]
		kinds[e.Kind]++
		if e.Node == "" || e.Time == 0 || e.Payload == nil {
			t.Fatalf("no node, time or payload: %+v from %s", e, line)
		}
		if other, ok := ids[e.ID]; ok && other != string(line) {
			t.Errorf("two flows have the id %s:\n%s\n%s", e.ID, other, line)
		}
		ids[e.ID] = string(line)
	}
	t.Logf("%d lines, %d ids: %v", len(lines), len(ids), kinds)
}

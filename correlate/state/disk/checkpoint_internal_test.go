package disk

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// A result that another processor has sent, which was known before it was decided here,
// is not sent again, wherever in a checkpoint the program dies.
func TestHeardOutlivesACheckpoint(t *testing.T) {
	for died := range checkpointParts + 1 {
		dir := filepath.Join(t.TempDir(), "state")
		s, err := Open(dir, Options{Retention: time.Hour, Keep: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		now, place := event.At(time.Now()), Place{10, 1}
		s.Delivered(Delivery{Stream: "OUT", Place: place, Heard: []string{"t/b/1"}})
		if _, err := s.Turn(Turn{At: Position{Now: now}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		bundles, err := s.Turn(Turn{At: Position{Now: now}, Results: []Result{{Kind: KindTimeline, ID: "b/1", Of: "b", Data: []byte("x")}}})
		if err != nil || len(bundles) != 1 {
			t.Fatal(bundles, err)
		}
		bundles[0].Out[0] = true
		s.Delivered(Delivery{Stream: "OUT", Place: place, Forget: []string{"t/b/1"}, Seen: []*Bundle{&bundles[0]}})
		// A checkpoint, up to the part in front of which the program dies.
		s.rows.mu.Lock()
		s.takeRows()
		for k, v := range s.rows.writing {
			if checkpointPart(k, v) >= died {
				delete(s.rows.writing, k)
			}
		}
		s.rows.mu.Unlock()
		if err := s.rows.write(checkpointParts, checkpointPart); err != nil {
			t.Fatal(err)
		}
		after := filepath.Join(t.TempDir(), "state")
		if err := os.CopyFS(after, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(after, Options{Retention: time.Hour, Keep: time.Hour}); err != nil {
			t.Fatal(err)
		}
		waits, heard := 0, 0
		if err := s.Outbox(func(b *Bundle) error { waits++; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := s.Heard(func(string) { heard++ }); err != nil {
			t.Fatal(err)
		}
		if waits > heard {
			t.Errorf("killed in front of part %d: it waits, and is not known to be sent", died)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

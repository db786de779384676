package replay

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/sennit-io/sennit/ingest/replay/frame"
	"github.com/sennit-io/sennit/schemas/redact"
)

// SortMemory is a promise about real memory: what a block is taken to need is
// what it needs, within a third.
func TestSizeIsHonest(t *testing.T) {
	dir, _ := writeMixed(t, 24_000, true)
	for _, name := range []string{"0.jsonl", "1.jsonl", "2.jsonl", "3.jsonl"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		r := frame.NewReader(f)
		w := newWorker(OrderEvent, redact.Policy{})
		var block frame.Block
		var kept []decoded
		heap := func() int64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before, said, events := heap(), int64(0), 0
		for r.Next(&block) == nil {
			d := w.block(&block)
			kept = append(kept, d)
			said += d.size
			events += len(d.events)
		}
		f.Close()
		took := heap() - before
		took += int64(events) * entrySize // the spare memory of the merge
		if ratio := float64(said) / float64(took); ratio < 0.75 || ratio > 1.33 {
			t.Errorf("%s: said %d bytes an event, took %d", name, said/int64(events), took/int64(events))
		} else {
			t.Logf("%s: said %d bytes an event, took %d", name, said/int64(events), took/int64(events))
		}
		runtime.KeepAlive(kept)
		runtime.KeepAlive(w)
	}
}

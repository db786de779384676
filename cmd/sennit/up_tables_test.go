package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// TestUpWritesTables: timelines get into files of Parquet through a kill, and at the
// end all of them are there.
func TestUpWritesTables(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	data, tables := filepath.Join(dir, "data"), filepath.Join(dir, "tables")
	sent := 0
	run := func(n int) *service {
		t.Helper()
		s := startUp(t, data, "--sink", "parquet:"+tables)
		for range n {
			if !post(s.otlp, request(sent)) {
				t.Fatal("a span was not taken")
			}
			sent++
		}
		waitFor(t, filepath.Join(data, "timelines.jsonl"), sent)
		return s
	}
	run(30).kill(t)
	s := run(20)
	sum := sha256.Sum256([]byte("parquet:" + tables)) // what the killed one had comes again
	s.metric(t, fmt.Sprintf(`sennit_sink_backlog{sink="parquet-%x"} 0`, sum[:4]))
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("after SIGTERM it ended with %v\n%s", err, s.log)
	}
	ids := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(tables, "timelines"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".parquet") {
			return err
		}
		rows, err := parquet.ReadFile[struct {
			ID string `parquet:"timeline_id"`
		}](path)
		for _, r := range rows {
			ids[r.ID] = true
		}
		return err
	})
	if err != nil || len(ids) != sent {
		t.Errorf("%d timelines of %d requests are in the tables, %v", len(ids), sent, err)
	}
	if said := startRefused(t, "up", "--data", t.TempDir(), "--sink", "csv:x"); !strings.Contains(said, "want parquet:DIR") {
		t.Errorf("a sink of no known kind: %s", said)
	}
}

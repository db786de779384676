package live

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/shard"
)

// Changed rules are taken up when the folder shows it or somebody asks; wrong ones
// change nothing, and are told of with file, line and column.
func TestRulesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "r.yaml")
	write := func(condition string) {
		t.Helper()
		text := "rules:\n- {id: r, title: t, severity: low, why: w, step: \"" + condition + "\"}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("step.name == 'a'")
	set, err := detect.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r := prometheus.NewRegistry()
	m := NewMetrics(r)
	m.rules(set)
	again := make(chan os.Signal, 1)
	d := &decider{
		opts:    &Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Reload: &RulesFolder{Dir: dir, Again: again}},
		watch:   detect.NewWatch(set, detect.Options{}),
		engine:  shard.New(shard.DefaultConfig(), nil),
		metrics: m,
	}
	now := time.Now()
	// look lets so much time pass; want is what the rule asks for then.
	look := func(after time.Duration, want, logged string) {
		t.Helper()
		log.Reset()
		now = now.Add(after)
		d.reload(now)
		if got := d.watch.Set().Rules[0].Step; got != want {
			t.Errorf("it judges by %q, want %q", got, want)
		}
		if logged == "" && log.Len() > 0 || !strings.Contains(log.String(), logged) {
			t.Errorf("logged %q, want %q", log.String(), logged)
		}
	}
	look(0, "step.name == 'a'", "")
	write("step.name == 'bb'")
	look(time.Second, "step.name == 'a'", "") // not looked at so soon
	look(2*time.Second, "step.name == 'bb'", "rules reloaded")
	look(2*time.Second, "step.name == 'bb'", "")
	write("step.nam == 'ccc'")
	look(2*time.Second, "step.name == 'bb'", "r.yaml:2:")
	look(2*time.Second, "step.name == 'bb'", "") // said once
	if m.badRules != 1 {
		t.Errorf("%d failed reloads, want 1", m.badRules)
	}
	write("step.layer == 'process'")
	again <- syscall.SIGHUP
	look(0, "step.layer == 'process'", "rules reloaded")
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sennit_rules" {
			if hash := f.GetMetric()[0].GetLabel()[0].GetValue(); hash != d.watch.Set().Hash || hash == set.Hash {
				t.Errorf("hash %s, want %s", hash, d.watch.Set().Hash)
			}
			return
		}
	}
	t.Error("no metric tells of the rules")
}

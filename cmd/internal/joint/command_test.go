package joint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/testdata/joint/convert"
)

// TestCommand builds and runs the command itself, which nothing else does: ./...
// does not reach it.
func TestCommand(t *testing.T) {
	c := newCapture()
	c.open(10, caller, agent)
	m := made{capture: c.String(), clock: madeClock}
	in, out := m.write(t), filepath.Join(t.TempDir(), "new", "folder")
	const spans, logs = `{"resourceSpans":[]}` + "\n", `{"resourceLogs":[]}` + "\n"
	for name, text := range map[string]string{"traces.jsonl": spans, "logs.jsonl": logs, "truth.jsonl": "{}"} {
		if err := os.WriteFile(filepath.Join(in, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := filepath.Join(t.TempDir(), "joint")
	if msg, err := exec.CommandContext(t.Context(), "go", "build", "-o", command, "../../../testdata/joint").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	if msg, err := exec.CommandContext(t.Context(), command, "-in", in, "-out", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	want := map[string]string{"joint.traces.jsonl": spans, "joint.logs.jsonl": logs, "joint.socket.jsonl": ""}
	for _, e := range records(t, in, convert.Options{}) {
		want["joint.socket.jsonl"] += string(e.AppendJSON(nil)) + "\n"
	}
	got := map[string]string{}
	list, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join(out, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name()] = string(b)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	f := func(want string, args ...string) {
		t.Helper()
		msg, err := exec.CommandContext(t.Context(), command, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(msg), want) {
			t.Errorf("%q: %v, %q", args, err, msg)
		}
	}
	f("Usage", "-in", in)
	f("read clock: ", "-in", t.TempDir(), "-out", out)
}

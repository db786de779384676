package doctor

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest/bus/embed"
)

func verdicts(checks []Check) map[string]Verdict {
	m := map[string]Verdict{}
	for _, c := range checks {
		m[c.Name] = c.Verdict
	}
	return m
}

// What the doctor says of the kernel is what loading the shim says.
func TestKernel(t *testing.T) {
	v := verdicts(kernel())
	shim, err := bpf.Open()
	if errors.Is(err, os.ErrPermission) {
		if got, known := v["capabilities"]; bpf.Capable() != nil && (!known || got != Fail) {
			t.Errorf("capabilities are missing and the doctor says %v", v)
		}
		t.Skipf("SKIPPED: the doctor's look at the hooks: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer shim.Close()
	if v["BTF"] != OK || v["capabilities"] != OK || len(shim.Hooks()) != 10 {
		t.Errorf("verdicts %v, %d hooks", v, len(shim.Hooks()))
	}
	for _, h := range shim.Hooks() {
		if got, known := v[h.Name]; !known || (h.Err == nil) != (got == OK) {
			t.Errorf("%s: attached with %v, the doctor says %v", h.Name, h.Err, got)
		}
	}
}

func TestBus(t *testing.T) {
	server, err := embed.Start(embed.Options{Dir: t.TempDir(), Host: "127.0.0.1", Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if c := bus(context.Background(), server.URL()); c.Verdict != OK {
		t.Errorf("the bus is well and the doctor says %+v", c)
	}
	if c := bus(context.Background(), "nats://127.0.0.1:1"); c.Verdict != Fail || c.Do == "" {
		t.Errorf("nobody listens and the doctor says %+v", c)
	}
}

func TestWrite(t *testing.T) {
	var b strings.Builder
	well, err := Write(&b, []Check{{OK, "kernel", "6.1\x1b[31m", ""}, {Fail, "BTF", "none", "use another"}})
	if err != nil || well {
		t.Errorf("got %v, %v with a failure", well, err)
	}
	if s := b.String(); strings.Contains(s, "\x1b") || !strings.Contains(s, "fail  BTF ") || !strings.Contains(s, "→ use another\n") {
		t.Errorf("got %q", s)
	}
	if well, err := Write(&b, []Check{{Warn, "Hubble", "none", "start it"}}); err != nil || !well {
		t.Errorf("got %v, %v with a warning", well, err)
	}
}

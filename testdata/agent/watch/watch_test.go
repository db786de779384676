package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAgents watches each agent for a few dozen requests. What an identifier joins
// is right, and next to nothing is joined wrongly; make agents measures the rest.
func TestAgents(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: nobody watches agents: it takes root")
	}
	t.Chdir("..") // the module's folder
	programs := t.TempDir()
	sennit := filepath.Join(programs, "sennit")
	main := exec.Command("go", "build", "-trimpath", "-o", sennit, "./cmd/sennit") // as make build does
	main.Dir = filepath.Join("..", "..")
	if out, err := main.CombinedOutput(); err != nil {
		t.Fatalf("build sennit: %v: %s", err, out)
	}
	if err := build(t.Context(), programs); err != nil {
		t.Fatal(err)
	}
	f := func(name string, o options, least float64) {
		t.Run(name, func(t *testing.T) {
			for agent, program := range map[string]string{"node": "node", "python": "python3"} {
				if _, err := exec.LookPath(program); o.agent == agent && err != nil {
					t.Skipf("SKIPPED: nobody watches an agent: there is no %s", program)
				}
			}
			o.sennit, o.programs, o.requests, o.inFlight = sennit, programs, 40, 8
			report, err := run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := figuresOf(report)
			if err != nil {
				t.Fatal(err)
			}
			if got.Exact.Right != got.Exact.N || got.Exact.N == 0 || got.Exact.Recall < 0.999 {
				t.Errorf("exact joins: %+v", got.Exact)
			}
			for _, kind := range []string{"egress", "process"} {
				if c := got.Kinds[kind]; c.Precision < 0.99 || c.Recall < least || c.Possible == 0 {
					t.Errorf("%s: %+v, want recall %v", kind, c, least)
				}
			}
		})
	}
	f("traceparent", options{agent: "adk", vertex: true, tls: true}, 0.97) // two commands may be the same
	f("API key", options{agent: "adk", tls: true}, 0.97)
	f("python", options{agent: "python", tls: true}, 0.97)
	f("node", options{agent: "node", tls: true}, 0.9)
}

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// agent is who is watched.
type agent struct {
	program  string
	args     []string
	tls      []string // what is probed
	possible []string // rungs that may join its model calls
}

func agentOf(o options) (agent, error) {
	switch o.agent {
	case "adk":
		a := agent{program: filepath.Join(o.programs, "adk"), possible: []string{"usage", "goroutine_parent", "assignment"}}
		a.tls = []string{a.program}
		if o.vertex {
			a.args = append(a.args, "--vertex")
			a.possible = []string{"trace_context"}
		}
		if !o.tls {
			a.possible = nil // nobody sees them
		}
		if o.stream {
			a.args = append(a.args, "--stream")
		}
		return a, nil
	case "node":
		program, err := exec.LookPath("node")
		if err == nil {
			program, err = filepath.EvalSymlinks(program)
		}
		return agent{program: program, args: []string{"node/agent.js"}, tls: []string{program}, possible: []string{"usage", "assignment"}}, err
	case "python":
		library, err := exec.Command("python3", "-c", "import _ssl; print(_ssl.__file__)").Output()
		if err != nil {
			return agent{}, fmt.Errorf("find python's TLS: %w", err)
		}
		linked, err := exec.Command("ldd", strings.TrimSpace(string(library))).Output()
		if err != nil {
			return agent{}, fmt.Errorf("find python's TLS: %w", err)
		}
		for line := range strings.Lines(string(linked)) {
			if _, after, ok := strings.Cut(line, "libssl.so.3 => "); ok {
				file, err := filepath.EvalSymlinks(strings.Fields(after)[0])
				return agent{program: "python3", args: []string{"python/agent.py"}, tls: []string{file}, possible: []string{"usage", "thread", "assignment"}}, err
			}
		}
		return agent{}, fmt.Errorf("find python's TLS: it uses no libssl.so.3")
	}
	return agent{}, fmt.Errorf("%q is no agent: adk, node or python", o.agent)
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// Every command that README shows works as it stands there: those of its first
// block at the root of a clone, the others one after the other in a folder that
// has the files they name.
func TestReadmeCommands(t *testing.T) {
	const root = "../.."
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlocks(string(readme))
	if len(blocks) < 3 {
		t.Fatalf("README has %d blocks of commands, expected at least 3", len(blocks))
	}
	if want := []string{"go run ./cmd/sennit replay testdata/agents", "make test"}; strings.Join(blocks[0], "\n") != strings.Join(want, "\n") {
		t.Fatalf("README's two commands are %q, want %q", blocks[0], want)
	}
	out := shell(t, root, blocks[0][0])
	if !strings.Contains(out, "● exact") || !strings.Contains(out, "▕") {
		t.Errorf("the first command of README draws no waterfall:\n%s", out)
	}
	shell(t, root, "make -n test") // this test is part of it

	dir := t.TempDir()
	writeReadmeFiles(t, dir)
	for _, rules := range []string{"deploy/rules", "rules.new"} {
		if err := os.CopyFS(filepath.Join(dir, rules), os.DirFS(filepath.Join(root, "deploy", "rules"))); err != nil {
			t.Fatal(err)
		}
	}
	for _, block := range blocks[1:] {
		for _, line := range block {
			if strings.HasPrefix(line, "go build -o bin/sennit ") {
				shell(t, root, strings.Replace(line, "-o bin/sennit", "-o "+filepath.Join(dir, "bin/sennit"), 1))
				continue
			}
			if line == "bin/sennit up" { // until it is stopped, on ports that are free
				line = "timeout -s TERM 5 bin/sennit up --otlp-grpc 127.0.0.1:0 --otlp-http 127.0.0.1:0 --http 127.0.0.1:0 2>&1 || test $? = 124"
			}
			if out := shell(t, dir, line); out == "" && !strings.Contains(line, ">") && !strings.Contains(line, "simulate") {
				t.Errorf("%s printed nothing", line)
			}
		}
	}
}

// shellBlocks returns the lines of the blocks that are marked as shell, without
// their comments.
func shellBlocks(text string) (blocks [][]string) {
	for {
		_, rest, ok := strings.Cut(text, "```sh\n")
		if !ok {
			return blocks
		}
		var block string
		block, text, _ = strings.Cut(rest, "```")
		var lines []string
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(line, "  #")
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		blocks = append(blocks, lines)
	}
}

func shell(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-euc", line)
	cmd.Dir = dir
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, errOut.String())
	}
	return out.String()
}

// writeReadmeFiles writes the files that README's commands name, with the
// events of a scenario.
func writeReadmeFiles(t *testing.T, dir string) {
	t.Helper()
	scenario, err := txtar.ParseFile("testdata/script/wrappings.txtar")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, from string) {
		for _, f := range scenario.Files {
			if f.Name != from {
				continue
			}
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Fatalf("the scenario has no file %s", from)
	}
	write("hubble.json", "flows.jsonl")
	write("tetragon.json.gz", "execs.jsonl") // what it is, is found out from its content
	write("spans.jsonl", "spans.jsonl")
	write("lb-log.json", "edge.jsonl")
	write("events/spans.jsonl", "spans.jsonl")
	write("events/hubble.json", "flows.jsonl")
}

package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sennit-io/sennit/schemas/timeline/timelinetest"
)

var update = flag.Bool("update", false, "write the golden parts of the scripts anew")

func TestMain(m *testing.M) {
	// Most tests wait for a service, so more of them than there are cores; -parallel
	// says otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"sennit": main, "natsd": natsServer})
}

// TestScript runs the scenarios of testdata/script through the real binary.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    exits,
			"pack":     pack,
			"validate": validate,
			"lines":    lines,
			"shuffle":  shuffle,
		},
	})
}

// exits CODE COMMAND ARGS... runs a command that must end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s ended with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// pack FORM FROM TO makes a file in another wrapping: gzip, gzip-cut (a gzip
// that ends too early), zstd, bom, crlf, cri, array or pretty (of one line).
func pack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: pack FORM FROM TO")
	}
	in := []byte(ts.ReadFile(args[1]))
	var out bytes.Buffer
	switch args[0] {
	case "gzip", "gzip-cut":
		w := gzip.NewWriter(&out)
		_, err := w.Write(in)
		ts.Check(err)
		ts.Check(w.Close())
		if args[0] == "gzip-cut" {
			out.Truncate(out.Len() * 3 / 4)
		}
	case "zstd":
		w, err := zstd.NewWriter(&out)
		ts.Check(err)
		_, err = w.Write(in)
		ts.Check(err)
		ts.Check(w.Close())
	case "bom":
		out.WriteString("\xef\xbb\xbf")
		out.Write(in)
	case "crlf":
		out.Write(bytes.ReplaceAll(in, []byte("\n"), []byte("\r\n")))
	case "cri":
		for line := range bytes.Lines(in) {
			half := len(line) / 2
			fmt.Fprintf(&out, "2026-11-23T09:00:00.000000001Z stdout P %s\n2026-11-23T09:00:00.000000002Z stdout F %s", line[:half], line[half:])
		}
	case "array":
		out.WriteString("[" + strings.ReplaceAll(strings.TrimSpace(string(in)), "\n", ",\n") + "]\n")
	case "pretty":
		out.WriteString(strings.NewReplacer(",", ",\n  ", "{", "{\n  ").Replace(string(in)))
	default:
		ts.Fatalf("pack: unknown form %q", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), out.Bytes(), 0o644))
}

// validate FILE checks that each line is a timeline that fits the schema, and
// that there is one at all.
func validate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: validate FILE")
	}
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		n++
		if err := timelinetest.Check([]byte(line)); err != nil {
			ts.Fatalf("timeline in line %d: %v", n, err)
		}
	}
	if n == 0 {
		ts.Fatalf("no timeline in %s", args[0])
	}
}

// lines N FILE checks how many lines a file has.
func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines N FILE")
	}
	if got := strings.Count(ts.ReadFile(args[1]), "\n"); strconv.Itoa(got) != args[0] {
		ts.Fatalf("%s has %d lines, want %s", args[1], got, args[0])
	}
}

// shuffle SEED FROM TO writes the lines of all recordings in a folder into one
// file, in random order.
func shuffle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: shuffle SEED FROM TO")
	}
	seed, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[1]), "*.jsonl"))
	ts.Check(err)
	var all []string
	for _, f := range files {
		if filepath.Base(f) != "truth.jsonl" {
			all = slices.AppendSeq(all, strings.Lines(ts.ReadFile(f)))
		}
	}
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.Join(all, "")), 0o644))
}

// Accuracy measures how right inferred joins are, on recordings that this
// project did not make and on simulated clusters, and writes docs/accuracy.md:
//
//	make accuracy
//
// The recordings are found as the tests find them (SENNIT_SHARED_DATA, else
// ../shared/data).
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sennit-io/sennit/cmd/internal/score"
	"github.com/sennit-io/sennit/schemas/timeline"
)

func main() {
	data := flag.String("data", os.Getenv("SENNIT_SHARED_DATA"), "folder of the recordings")
	out := flag.String("out", "docs/accuracy.md", "file to write")
	flag.Parse()
	if *data == "" {
		*data = filepath.Join("..", "shared", "data")
	}
	text, err := report(*data)
	if err == nil {
		err = os.WriteFile(*out, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

var sets = []string{"hotel_load50", "media_load50", "media_load100", "node_load50"}

var agents = []string{"gemini", "gsse", "gq8", "vertex"}

func report(data string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(intro)
	for _, name := range sets {
		f, err := measureSet(data, name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "| %s | %d | %.1f %% | %s | %.4f | %.1f %% | %.2f %% | %.0f k |\n",
			f.Name, f.Exchanges, 100*f.Best.Accuracy, bestKnown[name], f.Best.ECE, 100*f.Limit.Recall, 100*f.Limit.Mislinked, f.PerSecond/1000)
	}
	b.WriteString(agentsIntro)
	for _, name := range agents {
		for _, sized := range []bool{false, true} {
			run, err := readAgent(filepath.Join(data, "adk-truth"), "adk-go-"+name, sized)
			if err != nil {
				return nil, err
			}
			f, by := run.link(limit), "times"
			if sized {
				by = "times and sizes"
			}
			fmt.Fprintf(&b, "| %s | %d | %s | %.1f %% | %.1f %% | %.2f %% | %.1f |\n",
				name, f.Calls, by, 100*f.Right, 100*f.At, 100*f.Mislinked, f.Candidates)
		}
	}
	b.WriteString(simulatedIntro)
	for _, inFlight := range []int{16, 32, 64} {
		r, err := simulated(inFlight)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "| %d | %.2f %% of %d | %.1f %% of %d | %.2f %% | %.1f %% | %.3f |", inFlight,
			100*r.Inferred.Precision, r.Inferred.N, 100*r.Inferred.Recall, r.Inferred.Possible, 100*r.MisStitch, 100*r.Ambiguous, r.ECE)
		for _, m := range timeline.InferredMethods {
			fmt.Fprintf(&b, " %s |", rung(r.ByMethod[m]))
		}
		b.WriteByte('\n')
	}
	b.WriteString(outro)
	return b.Bytes(), nil
}

// rung is the precision of the joins on a rung, and how many facts that it could
// have joined are in their place.
func rung(c score.Class) string {
	if c.N == 0 {
		return fmt.Sprintf("– / %.0f", 100*c.Recall)
	}
	return fmt.Sprintf("%.1f / %.0f", 100*c.Precision, 100*c.Recall)
}

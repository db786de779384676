package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// figures are what of the output of sennit score the page shows.
type figures struct {
	Exact     class            `json:"exact"`
	Kinds     map[string]class `json:"by_kind"`
	Methods   map[string]class `json:"by_method"`
	Ambiguous int              `json:"ambiguities"`
}

type class struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	N         int     `json:"n"`
	Possible  int     `json:"possible"`
	Right     int     `json:"right"`
}

func figuresOf(report string) (f figures, err error) {
	if err := json.Unmarshal([]byte(report), &f); err != nil {
		return f, fmt.Errorf("read the score: %w", err)
	}
	return f, nil
}

// cases are the rows of the page.
var cases = []struct {
	folder, name string
	options
}{
	{"traceparent", "ADK for Go, the model's client sends a traceparent", options{agent: "adk", inFlight: 16, vertex: true, tls: true}},
	{"key", "ADK for Go, API key", options{agent: "adk", inFlight: 16, tls: true}},
	{"stream", "ADK for Go, API key, answers as streams", options{agent: "adk", inFlight: 16, stream: true, tls: true}},
	{"gzip", "ADK for Go, API key, compressed answers", options{agent: "adk", inFlight: 16, gzip: true, tls: true}},
	{"key-64", "ADK for Go, API key", options{agent: "adk", inFlight: 64, tls: true}},
	{"blind", "ADK for Go, API key, TLS not looked into", options{agent: "adk", inFlight: 16}},
	{"python", "Python, http.client", options{agent: "python", inFlight: 16, tls: true}},
	{"node", "Node, https", options{agent: "node", inFlight: 16, tls: true}},
}

const intro = `# Agents that were watched

Written by ` + "`make agents`" + ` (root), which runs real agents ([testdata/agent](../testdata/agent)), each with %d requests, lets ` + "`sennit up --sockets`" + ` watch them from outside and take their spans, and compares with what the agents, their model and their clients say that really happened (` + "`sennit score`" + `). Nothing else helps: four requests of five come with a traceparent, model calls only where it is said. The model is a local stand-in that is not looked into.

*Precision*: of the steps that were joined, those in the timeline of their own request. *Recall*: of what happened, what is there. *Joined by*: how many steps of all kinds each method joined; the requests themselves and fetched pages are among them.

| agent | in flight | model calls: precision | recall | tool processes: precision | recall | joined by | exact joins that are right |
|---|---|---|---|---|---|---|---|
`

// table runs all cases and writes the page. With a folder to keep things in, those
// that are there already are only scored again.
func table(ctx context.Context, o options, file string) error {
	if o.dir != "" {
		if err := os.MkdirAll(o.dir, 0o700); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, intro, o.requests)
	for _, c := range cases {
		c.options.sennit, c.options.programs, c.options.requests = o.sennit, o.programs, o.requests
		var report string
		var err error
		if o.dir != "" {
			c.dir = filepath.Join(o.dir, c.folder)
		}
		if _, kept := os.Stat(filepath.Join(c.dir, "truth.jsonl")); c.dir != "" && kept == nil {
			report, err = score(ctx, c.sennit, c.dir)
		} else {
			report, err = run(ctx, c.options)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		f, err := figuresOf(report)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %d of %d |\n", c.name, c.inFlight, f.cells("egress"), f.cells("process"), f.methods(), f.Exact.Right, f.Exact.N)
		fmt.Fprintf(os.Stderr, "%s: done\n", c.name)
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

func (f *figures) cells(kind string) string {
	c := f.Kinds[kind]
	if c.Possible == 0 {
		return "not seen | –"
	}
	return fmt.Sprintf("%.2f %% of %d | %.2f %% of %d", 100*c.Precision, c.N, 100*c.Recall, c.Possible)
}

// methods lists what joined anything, most first.
func (f *figures) methods() string {
	var by []string
	for m, c := range f.Methods {
		if c.N > 0 {
			by = append(by, m)
		}
	}
	slices.SortFunc(by, func(a, b string) int { return cmp.Or(cmp.Compare(f.Methods[b].N, f.Methods[a].N), cmp.Compare(a, b)) })
	for i, m := range by {
		by[i] = fmt.Sprintf("%s %d", m, f.Methods[m].N)
	}
	return strings.Join(by, ", ")
}

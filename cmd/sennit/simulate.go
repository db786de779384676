package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/cmd/internal/simulate"
)

func newSimulate() *cobra.Command {
	var (
		o     simulate.Options
		dir   string
		trace = newChoice(string(simulate.TraceAll), string(simulate.TraceNone), string(simulate.TraceMixed))
	)
	cmd := &cobra.Command{
		Use:     "simulate --out DIR",
		GroupID: "accuracy",
		Short:   "Write the events of a made-up cluster, and the truth about them",
		Long: `Simulate a cluster of agents and write what each source would have recorded of
it, in the source's own format, as DIR/<node>.<source>.jsonl, and the truth as
DIR/truth.jsonl, so that 'sennit score' can measure what 'sennit replay' makes
of it. Equal flags give equal files. Everything streams to disk: the number of
requests does not matter to memory.`,
		Example: `  # A clean cluster with 64 requests in flight
  sennit simulate --out sim --requests 10000 --concurrency 64

  # A bad day: skewed clocks, losses, duplicates, everything out of order
  sennit simulate --out sim --skew 50ms --loss 0.01 --duplicate 0.02 --reorder 1

  # How well is it stitched?
  sennit replay -o json sim > timelines.jsonl
  sennit score sim/truth.jsonl timelines.jsonl`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("where to? name a folder with --out DIR")
			}
			o.TraceContext = simulate.TraceContext(trace.value)
			summary, err := simulate.Run(cmd.Context(), o, dir)
			if errors.Is(err, simulate.ErrOptions) {
				return &usageError{err}
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.ErrOrStderr(), simulated(&summary, dir))
			return err
		},
	}
	writing := newFlagGroup("Writing")
	writing.set.StringVar(&dir, "out", "", "write to the folder `DIR`")
	writing.set.Uint64Var(&o.Seed, "seed", 0, "seed of everything random")
	load := newFlagGroup("Load")
	load.set.IntVar(&o.Requests, "requests", 100, "requests that come in from outside")
	load.set.IntVar(&o.Concurrency, "concurrency", 16, "requests in flight")
	load.set.IntVar(&o.InFlight, "in-flight", 0, "streams on one HTTP/2 connection, 0 for as many as requests in flight")
	load.set.Float64Var(&o.Noise, "noise", 0, "background events for each event of a request")
	visibility := newFlagGroup("What can be seen")
	visibility.set.Var(trace, "trace-context", "services that pass trace context on: all, none, or some")
	visibility.set.Float64Var(&o.Uninstrumented, "uninstrumented", 0, "share of the services without spans, 0..1")
	visibility.set.Float64Var(&o.Rogue, "rogue", 0, "share of the requests in which something happens that no span claims, or a span claims what never happened, 0..1")
	trouble := newFlagGroup("Trouble")
	trouble.set.DurationVar(&o.Skew, "skew", 0, "each node's clock is off by up to this much")
	trouble.set.Float64Var(&o.Loss, "loss", 0, "share of the time in which a source of a node loses all, 0..0.5")
	trouble.set.Float64Var(&o.Late, "late", 0, "share of the lines that come up to 30 s late, 0..1")
	trouble.set.Float64Var(&o.Duplicate, "duplicate", 0, "share of the lines written twice, 0..1")
	trouble.set.Float64Var(&o.Reorder, "reorder", 0, "share of the lines moved by up to 5 s, 0..1")
	addFlags(cmd, writing, load, visibility, trouble)
	return cmd
}

// simulated says what a run wrote and what to do with it.
func simulated(s *simulate.Summary, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s records of %s requests and the background in %d files, %s facts, %s of event time\n", render.Grouped(uint64(s.Events)),
		render.Grouped(uint64(s.Requests)), s.Files, render.Grouped(uint64(s.Facts)), render.Duration(s.Last.Sub(s.First)))
	for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
		fmt.Fprintf(&b, "  %-9s %s\n", name, render.Grouped(uint64(s.Sources[name])))
	}
	if s.Lost+s.Late+s.Duplicated+s.Moved > 0 {
		fmt.Fprintf(&b, "lost %s  late %s  duplicated %s  moved %s\n", render.Grouped(uint64(s.Lost)), render.Grouped(uint64(s.Late)),
			render.Grouped(uint64(s.Duplicated)), render.Grouped(uint64(s.Moved)))
	}
	dir = quoted([]string{dir})
	fmt.Fprintf(&b, "stitch it:   sennit replay -o json %s > timelines.jsonl\nmeasure it:  sennit score %s/truth.jsonl timelines.jsonl\n", dir, dir)
	return b.String()
}

package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/bench"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		GroupID: "live",
		Short:   "Measure the live path on this machine",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchLive(), newBenchMemory())
	return cmd
}

func newBenchMemory() *cobra.Command {
	items := map[string]*int{}
	output := newChoice("text", "json")
	memory := newByteSize(0)
	cmd := &cobra.Command{
		Use:   "memory",
		Short: "Measure what the engine holds: open traces, open sockets, events nobody claims",
		Long: `Fill an engine with what stays open, as a processor does (turns of 4,096 events read
from their wire form), let time pass until all is bound that can be, and say how much
more of the heap is in use after a collection than before. Events come within ten
seconds, but at most 100,000 a second of their own time. It is the engine alone:
neither the state on the disk nor the bus. The peak is that of the whole process, with
garbage and what it takes to make the events. A trace is ten spans whose root does not
end; a socket is one that is open; of the unclaimed events every tenth opens a socket
and nine are flows on it, without any request.`,
		Example: `  # The targets of the design
  sennit bench memory --traces 100000 --sockets 1000000 --unbound 10000000 --memory 64MiB`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, what := range bench.Holds() {
				if *items[what] < 0 {
					return usagef("--%s must not be negative", what)
				}
				if *items[what] == 0 {
					continue
				}
				h, err := bench.Hold(what, *items[what], memory.bytes)
				if err != nil {
					return err
				}
				write := h.WriteText
				if output.value == "json" {
					write = h.WriteJSON
				}
				if err := write(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	holding := newFlagGroup("Holding")
	for what, n := range map[string]struct {
		n    int
		what string
	}{
		"traces": {100_000, "hold `N` open traces of ten spans"}, "sockets": {1_000_000, "hold `N` open sockets"}, "unbound": {1_000_000, "hold `N` events that nobody claims"},
	} {
		items[what] = holding.set.Int(what, n.n, n.what+", 0 for none")
	}
	holding.set.Var(memory, "memory", "keep up to `SIZE` of packed events in memory, the rest in a file in the temporary folder; 0 to keep all in memory")
	holding.set.SortFlags = true
	writing := newFlagGroup("Writing")
	writing.set.VarP(output, "output", "o", "text, or json, one object a line")
	addFlags(cmd, holding, writing)
	return cmd
}

func newBenchLive() *cobra.Command {
	var (
		o       bench.Options
		output  = newChoice("text", "json")
		profile string
		heap    string
		check   bool
	)
	cmd := &cobra.Command{
		Use:   "live",
		Short: "Measure from sender to timeline, with real parts",
		Long: `Run the whole live path in one process and measure it: senders of several nodes, a
bus with a file store that writes every message to the disk before it
acknowledges it, a processor with its state on the disk, its outbox, and a reader of
the stream OUT. Requests of an agent (spans, sockets, exchanges, flows, processes,
syscalls; some 27 events each, on two nodes) are made before the clock starts;
sending one again only gives it new identifiers and times.

CPU time is that of the whole process. What is whose is told by a CPU profile of the
same run: a sample belongs to the first part that is met from the innermost function
outwards (sender; bus: the server; client: the bus's client on its own; decode, engine,
state, outbox, turn: the processor; out: the reader of OUT; load: making events; gc and
runtime: Go's own). The profile itself costs about one percent.

"committed" counts from when an event was due to when its turn is in the state; "in
OUT" from the end of a request to its timeline, --lateness included. The calibration
is the CPU time of a fixed piece of work, before and after: CPU time drifts with the
load of the host, and the cost of an event in bytes hashed drifts less.`,
		Example: `  # As fast as it goes
  sennit bench live

  # Latency at 50 thousand events a second, half of them of one node
  sennit bench live --rate 50000 --skew 0.5

  # Is it as fast, as small and as complete after ten minutes as after three?
  sennit bench live --rate 20000 --for 10m --check`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.Rate < 0 || o.For <= 0 || o.Warm < 0 || o.Lateness < 0:
				return usagef("--rate, --for, --warm and --lateness must not be negative")
			case o.Nodes < 1 || o.Nodes > 1000:
				return usagef("--nodes must be between 1 and 1000")
			case o.Skew < 0 || o.Skew > 1:
				return usagef("--skew must be between 0 and 1")
			case o.Shards < 0:
				return usagef("--shards must not be negative")
			case o.Retention < 3*time.Second:
				return usagef("--retention must be at least 3s")
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			for _, p := range []struct {
				path string
				to   *io.Writer
			}{{profile, &o.Profile}, {heap, &o.Heap}} {
				if p.path == "" {
					continue
				}
				f, err := os.Create(p.path)
				if err != nil {
					return fmt.Errorf("write profile: %w", err)
				}
				defer f.Close()
				*p.to = f
			}
			ctx, stop := untilStopped(cmd.Context())
			defer stop()
			r, err := bench.Live(ctx, o)
			if err != nil {
				return err
			}
			if output.value == "json" {
				err = r.WriteJSON(cmd.OutOrStdout())
			} else {
				err = r.WriteText(cmd.OutOrStdout())
			}
			if err != nil || !check {
				return err
			}
			if err := r.Check(cmd.ErrOrStderr()); err != nil {
				return fmt.Errorf("the check fails: %w", err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "the check passes: the counters balance, and nothing that was judged grows")
			return nil
		},
	}
	load := newFlagGroup("Load")
	load.set.Float64Var(&o.Rate, "rate", 0, "send `N` events a second, 0 for as many as the processor takes")
	load.set.DurationVar(&o.For, "for", 30*time.Second, "measure for as long")
	load.set.DurationVar(&o.Warm, "warm", 5*time.Second, "run for as long before")
	load.set.IntVar(&o.Nodes, "nodes", 8, "nodes that send")
	load.set.Float64Var(&o.Skew, "skew", 0, "share of the requests whose agent is on one node, 0..1")
	working := newFlagGroup("Working")
	working.set.IntVar(&o.Shards, "shards", 0, "work on `N` shards, 0 for one a core")
	working.set.DurationVar(&o.Lateness, "lateness", 2*time.Second, "how late events may come in; 'sennit up' has 35s, and holds so much more")
	working.set.DurationVar(&o.Retention, "retention", 30*time.Second, "how long the state keeps events; requests, late evidence and agents' horizons get a third each")
	working.set.StringVar(&o.Dir, "data", "", "put bus and state into a new folder in `DIR`, which is removed (default the system's for temporary files)")
	writing := newFlagGroup("Writing")
	writing.set.VarP(output, "output", "o", "text, or json with a sample a second")
	writing.set.StringVar(&profile, "cpuprofile", "", "write the CPU profile to `FILE`, for 'go tool pprof'")
	writing.set.StringVar(&heap, "memprofile", "", "write what the heap holds at the end to `FILE`, for 'go tool pprof'")
	writing.set.BoolVar(&check, "check", false, "fail unless counters balance and lag, memory and disk are flat from the middle third to the last")
	addFlags(cmd, load, working, writing)
	return cmd
}

package main

import (
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/cmd/internal/wire"
	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/redact"
)

// textRows is how many steps the text form of replay draws at most; get draws
// them all.
const textRows = 60

func newReplay() *cobra.Command {
	var (
		output     = newChoice("text", "json", "compact", "none")
		color      = newChoice("auto", "always", "never")
		order      = newChoice("event", "arrival")
		redactOff  []string
		o          wire.Options
		width      int
		cpuProfile string
		rulesDir   string
		exitOn     string
		compareDir string
		webhooks   webhookFlags
		sinks      tableSinks
	)
	cmd := &cobra.Command{
		Use:     "replay PATH...",
		GroupID: "events",
		Short:   "Stitch recorded events into timelines",
		Long: `Read recorded events and stitch them into one timeline per request.

A PATH is a file, a folder, or "-" for standard input. The format is found out
line by line: Hubble (exporter, observe -o json), Tetragon (export, getevents
-o json), OpenTelemetry (OTLP/JSON), Google Cloud Logging, Kubernetes API objects
and Sennit's own recordings; one object a line, in arrays or pretty-printed,
behind CRI prefixes, gzip or zstd compressed. In a folder, *.json, *.jsonl,
*.ndjson and *.log are read, also with .gz or .zst; truth*.jsonl is not.

The text form draws the most interesting request: the one with the worst alert
(a denial counts as a high one, an act that nothing claims as a medium one), then
one with an error, then the one with the most layers and joins, then the longest.

Results go to standard output; progress, warnings and the summary to standard
error. Alerts are posted to webhooks at the end, as they stand then; a receiver that
is away is tried for a minute. The exit code is 0 when all is well, also if some
lines could not be read; 1 if nothing could be read, the work failed or an alert
could not be delivered; 2 for wrong flags or a missing file.`,
		Example: `  # Draw the most interesting request in a folder of recordings
  sennit replay events/

  # One timeline a line, with the counters beside it
  sennit replay -o json --stats stats.json hubble.json tetragon.json.gz spans.jsonl > timelines.jsonl

  # One line a request
  sennit replay -o compact events/

  # Into tables, for sennit-query or anything else that reads Parquet
  sennit replay -o none --rules deploy/rules --sink parquet:tables events/

  # What would other rules have found?
  sennit replay -o none --rules rules.new --compare rules events/

  # From a pipe
  hubble observe -o json --last 1000 | sennit replay -

  # As the lines would have arrived live, at ten times the speed
  sennit replay --order arrival --speed 10 events/`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				return usagef("replay what? name files, folders, or - for standard input")
			}
			policy, err := redactPolicy(redactOff)
			if err != nil {
				return err
			}
			if o.Speed < 0 {
				return usagef("--speed %v: must not be negative", o.Speed)
			}
			if o.Shards < 0 || o.Replay.SortMemory < 0 || width < 0 {
				return usagef("--shards, --sort-memory and --width must not be negative")
			}
			switch {
			case o.SinkPatience < 0:
				return usagef("--sink-patience must not be negative")
			case rulesDir == "" && (o.AlertsFile != "" || exitOn != "" || compareDir != "" || len(webhooks.urls) > 0):
				return usagef("--alerts, --exit-on, --compare and --webhook need --rules DIR")
			case exitOn != "" && detect.Rank(alert.Severity(exitOn)) < 0:
				return usagef("--exit-on %q: must be one of %s", exitOn, detect.SeverityNames())
			case rulesDir != "":
				if o.Rules, err = detect.Load(os.DirFS(rulesDir)); err != nil {
					return &usageError{err}
				}
				o.ExitOn = alert.Severity(exitOn)
			}
			if compareDir != "" {
				if o.Compare, err = detect.Load(os.DirFS(compareDir)); err != nil {
					return &usageError{err}
				}
			}
			if o.Webhooks, err = webhooks.open(nil); err != nil {
				return err
			}
			if err := sinks.check(); err != nil {
				return err
			}
			if o.Sinks, err = openSinks(cmd.Context(), sinks.specs, sinks.events, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))); err != nil {
				return err
			}
			stopProfile, err := profileCPU(cpuProfile)
			if err != nil {
				return err
			}
			defer stopProfile()
			o.Replay.Paths, o.Replay.Stdin, o.Replay.Redact = paths, cmd.InOrStdin(), policy
			if order.value == "arrival" {
				o.Replay.Order = replay.OrderArrival
			}
			o.Replay.SortMemory <<= 20
			o.Form = wire.Form(output.value)
			o.Out, o.Messages = cmd.OutOrStdout(), cmd.ErrOrStderr()
			o.Draw = render.Terminal(o.Out, color.value, width)
			o.Draw.MaxRows = textRows
			o.Meter = isTerminal(o.Messages)
			o.Hint = "see any of them:  sennit replay -o json " + quoted(paths) + " > timelines.jsonl; sennit get ID --in timelines.jsonl"
			return wire.Replay(cmd.Context(), o)
		},
	}
	reading := newFlagGroup("Reading")
	reading.set.Var(order, "order", "hand events on in order of event time, or as they would have arrived live")
	reading.set.Float64Var(&o.Speed, "speed", 0, "pace events by their time: `N` times as fast as they happened, 0 for as fast as it goes")
	reading.set.BoolVar(&o.Strict, "strict", false, "fail if a record or file could not be read")
	reading.set.StringSliceVar(&redactOff, "redact-off", nil, "let through what is dropped by default: `NAME,...` of "+strings.Join(redactNames, ", "))
	reading.set.Int64Var(&o.Replay.SortMemory, "sort-memory", replay.DefaultSortMemory>>20, "memory for sorting events in `MiB`; what does not fit is sorted on disk")
	reading.set.IntVar(&o.Shards, "shards", 0, "spread the work over `N` engines, 0 for one a processor; the result is the same")
	formatting := newFlagGroup("Formatting")
	formatting.set.VarP(output, "output", "o", "text: the most interesting request; json: one timeline a line; compact: one line a request")
	formatting.set.IntVar(&width, "width", 0, "draw this many `COLUMNS` wide, 0 for as wide as the terminal")
	formatting.set.Var(color, "color", "colour the output; auto colours on a terminal unless NO_COLOR is set")
	results := newFlagGroup("More results")
	results.set.StringVar(&o.StatsFile, "stats", "", "write the counters to `FILE` as JSON")
	results.set.StringVar(&o.UnmatchedFile, "unmatched", "", "write the events that belong to no request, or to one of several, to `FILE`, one JSON object a line")
	results.set.StringArrayVar(&sinks.specs, "sink", nil, "write every revision and its alerts to `SINK`, also several times: "+sinkForms)
	results.set.BoolVar(&sinks.events, "sink-events", false, sinkEvents)
	results.set.DurationVar(&o.SinkPatience, "sink-patience", time.Minute, "how long a sink that is away is tried again before it is given up; the error then says what it did not get")
	judging := newFlagGroup("Judging")
	judging.set.StringVar(&rulesDir, "rules", "", "judge the timelines by the rules in the folder `DIR`")
	judging.set.StringVar(&o.AlertsFile, "alerts", "", "write the alerts to `FILE`, one JSON object a line")
	judging.set.StringVar(&exitOn, "exit-on", "", "exit with 1 if there is an alert of `SEVERITY` or worse: "+detect.SeverityNames())
	judging.set.StringVar(&compareDir, "compare", "", "say which alerts appear and vanish when --rules takes the place of the rules in the folder `DIR`")
	addFlags(cmd, reading, formatting, judging, results, webhooks.group())
	cmd.Flags().StringVar(&cpuProfile, "cpuprofile", "", "write a CPU profile to `FILE`")
	_ = cmd.Flags().MarkHidden("cpuprofile") // it exists, so there is no error
	return cmd
}

var redactNames = []string{"command_lines", "tool_arguments", "url_queries"}

func redactPolicy(off []string) (p redact.Policy, err error) {
	for _, name := range off {
		switch name {
		case "command_lines":
			p.CommandLines = true
		case "tool_arguments":
			p.ToolArguments = true
		case "url_queries":
			p.URLQueries = true
		default:
			return p, usagef("--redact-off %q: must be one of %s", name, strings.Join(redactNames, ", "))
		}
	}
	return p, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// quoted writes paths so that a shell reads them as they are.
func quoted(paths []string) string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = p
		if strings.ContainsAny(p, " \t\n'\"\\$*?[]<>|&;()`!#~") {
			out[i] = strconv.Quote(p)
		}
	}
	return render.Escape(strings.Join(out, " "))
}

func profileCPU(name string) (stop func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

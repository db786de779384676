package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/live"
	"github.com/sennit-io/sennit/correlate/window"
)

func newUp() *cobra.Command {
	var (
		o         = live.UpOptions{Window: window.Default()}
		tokenFile string
		logs      = newChoice("text", "json")
	)
	cmd := &cobra.Command{
		Use:     "up",
		GroupID: "events",
		Short:   "Stitch live: everything in one process",
		Long: `Take OpenTelemetry spans as they come (OTLP over gRPC and HTTP), follow the files
that exporters write (Hubble's, Tetragon's, policy_action.log; rotation is
noticed), stitch it all, and append every timeline to a file, one revision a line:
what serves a laptop, a single machine or a small cluster. Bus, state and results lie in one folder; the
process may be killed at any time, what was acknowledged to a sender is not lost,
and no revision is written twice.

A request's timeline is written when nothing that belongs to it can still come in
time (--lateness after its end), and once more when something did.

/healthz, /readyz and /metrics are served for operators. SIGINT and SIGTERM drain
and end it.`,
		Example: `  # Everything under ./sennit-data, spans to 127.0.0.1:4317 or :4318
  sennit up

  # With what the node's exporters write
  sennit up --follow '/var/run/cilium/hubble/*.log' --follow /var/run/cilium/tetragon/tetragon.log

  # Watch the requests of an agent
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 ./agent &
  tail -f sennit-data/timelines.jsonl`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.Window.Lateness < 0 || o.Window.Lateness > time.Hour:
				return usagef("--lateness must be between 0 and 1h")
			case o.Shards < 0:
				return usagef("--shards must not be negative")
			case o.OTLP.GRPC == "" && o.OTLP.HTTP == "":
				return usagef("one of --otlp-grpc and --otlp-http is needed")
			}
			if tokenFile != "" {
				b, err := os.ReadFile(tokenFile)
				if err != nil {
					return &usageError{err}
				}
				if o.OTLP.Token = strings.TrimSpace(string(b)); o.OTLP.Token == "" {
					return usagef("%s is empty, it must hold the token that senders show", tokenFile)
				}
			}
			if o.Out == "" {
				o.Out = filepath.Join(o.Dir, "timelines.jsonl")
			}
			var handler slog.Handler = slog.NewTextHandler(cmd.ErrOrStderr(), nil)
			if logs.value == "json" {
				handler = slog.NewJSONHandler(cmd.ErrOrStderr(), nil)
			}
			o.Log = slog.New(handler)
			o.Listening = func(a live.Addresses) {
				fmt.Fprintf(cmd.ErrOrStderr(), "sennit takes OTLP on %s (gRPC) and %s (HTTP), answers on %s, and writes to %s\n", or(a.GRPC, "-"), or(a.OTLP, "-"), or(a.HTTP, "-"), o.Out)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return live.Up(ctx, o)
		},
	}
	files := newFlagGroup("Files")
	files.set.StringArrayVar(&o.Follow, "follow", nil, "follow the files that `PATTERN` names, lines of any format that replay reads; may be given several times")
	files.set.StringVar(&o.Dir, "data", "sennit-data", "keep everything under the folder `DIR`")
	files.set.StringVar(&o.Out, "out", "", "append timelines to `FILE` (default DIR/timelines.jsonl)")
	listening := newFlagGroup("Listening")
	listening.set.StringVar(&o.OTLP.GRPC, "otlp-grpc", "127.0.0.1:4317", "take OTLP over gRPC on `ADDRESS`, empty for nowhere")
	listening.set.StringVar(&o.OTLP.HTTP, "otlp-http", "127.0.0.1:4318", "take OTLP over HTTP on `ADDRESS`, empty for nowhere")
	listening.set.StringVar(&tokenFile, "token-file", "", "senders must show the token in `FILE`; needed off loopback")
	listening.set.StringVar(&o.HTTP, "http", "127.0.0.1:9464", "serve /healthz, /readyz and /metrics on `ADDRESS`, empty for nowhere")
	working := newFlagGroup("Working")
	working.set.DurationVar(&o.Window.Lateness, "lateness", o.Window.Lateness, "how late events may come in and still be in the first revision; Tetragon may hold events for 30s")
	working.set.IntVar(&o.Shards, "shards", 0, "work on `N` shards, 0 for one a core")
	working.set.Var(logs, "log", "write logs as text or json")
	addFlags(cmd, files, listening, working)
	return cmd
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

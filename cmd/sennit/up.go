package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/live"
)

func upRunner() *runner {
	f := newServiceFlags()
	var w watchFlags
	var rec recordFlags
	r := &runner{service: &f.service}
	r.cmd = &cobra.Command{
		Use:     "up",
		GroupID: "live",
		Short:   "Stitch live: everything in one process",
		Long: `Take OpenTelemetry spans as they come (OTLP over gRPC and HTTP), ask Hubble and
Tetragon over gRPC or follow the files that exporters write (Hubble's, Tetragon's,
policy_action.log; rotation is noticed), stitch it all, and append every timeline to a file, one revision a line:
what serves a laptop, a single machine or a small cluster. Bus, state and results
lie in one folder; the process may be killed at any time, what was acknowledged to
a sender is not lost, and no revision is written twice.

A request's timeline is written when nothing that belongs to it can still come in
time (--lateness after its end), and once more when something did.

Alerts go to webhooks as they change: an alert that a later revision of its timeline
no longer has is withdrawn. A receiver that is away is tried for a day; 'sennit
sinks' shows how it stands.

/healthz, /readyz and /metrics are served for operators. SIGINT and SIGTERM drain
and end it.`,
		Example: `  # Everything under ./sennit-data, spans to 127.0.0.1:4317 or :4318
  sennit up

  # With what the node's exporters write
  sennit up --follow '/var/run/cilium/hubble/*.log' --follow /var/run/cilium/tetragon/tetragon.log

  # With the agents of the node
  sennit up --hubble unix:///var/run/cilium/hubble.sock --tetragon unix:///var/run/tetragon/tetragon.sock

  # With the logs of load balancer, Cloud Armor, DNS and VPC that a log sink publishes
  sennit up --gcp-subscription projects/my-project/subscriptions/sennit

  # With what the kernel of this machine sees
  sudo sennit up --sockets

  # Be told of what the starter rules find
  sennit up --rules deploy/rules --webhook https://hooks.example.com/sennit --webhook-secret-file secret

  # Keep what came in, to replay it later
  sennit up --record events --record-pack zst

  # Watch the requests of an agent
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 ./agent &
  tail -f sennit-data/timelines.jsonl`,
	}
	files := f.data("sennit-data")
	f.follow(files)
	f.out(files)
	recording := newFlagGroup("Recording")
	recording.set.StringVar(&rec.options.Dir, "record", "", "write the events to files in the folder `DIR` too, which sennit replay reads")
	rec.add(recording, "record-")
	r.groups = []flagGroup{files, f.asking(), f.kubernetes(), f.cloud(), w.watching(), f.listening(true), f.working(true), f.webhooks.group(), recording}
	r.check = func() error {
		if err := f.check(r.cmd, true); err != nil {
			return err
		}
		if err := rec.check(); err != nil {
			return err
		}
		return w.into(&f.intake)
	}
	r.run = func(ctx context.Context) error {
		if err := f.openTables(ctx); err != nil {
			return err
		}
		return live.Up(ctx, f.service, f.intake, f.pipeline, rec.options)
	}
	return r
}

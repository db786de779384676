package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/live"
)

func nodeRunner() *runner {
	f := newServiceFlags()
	var w watchFlags
	r := &runner{}
	r.cmd = &cobra.Command{
		Use:     "node",
		GroupID: "live",
		Short:   "Take a node's events and send them to the bus",
		Long: `Take OpenTelemetry spans as they come, ask the node's agents of Hubble and
Tetragon and follow the files that exporters write, as 'sennit up' does, and send the events to a bus (NATS with
JetStream), where 'sennit processor' stitches them.

A sender is told that its spans are taken when the bus has them, or this node's
disk: while the bus is away everything is kept there, up to --spool bytes, and sent
in its order when the bus is back. If that is not enough the oldest goes, and the
timelines show a gap.

With --sockets it also watches this machine and all its containers through eBPF:
which process uses which socket, which HTTP exchanges pass on it, which processes
run. No program that is watched needs to be changed or restarted. Of HTTP the
method, path (without query), host, status, trace context and request id are kept;
of TLS the name of the server that is asked for; of command lines keyed hashes.
Bodies and other headers are never kept. Needed are a Linux with BTF and root, or
the capabilities cap_bpf, cap_perfmon and cap_net_admin; what the kernel refuses is
named and left out. With --record this alone is done, into a file.`,
		Example: `  sennit node --nats nats://nats.sennit:4222 --follow '/var/run/cilium/hubble/*.log'

  # As a DaemonSet that knows the node's pods, whose spans must be their own
  sennit node --nats nats://nats.sennit:4222 --node "$NODE_NAME" --sockets --pods api --otlp-trust monitoring/DaemonSet/otel-collector

  # Watch for a minute, then stitch what was seen with the spans of the agent
  sudo sennit node --record sockets.jsonl --for 1m
  sennit replay sockets.jsonl spans.jsonl`,
	}
	files := f.data("sennit-node")
	f.follow(files)
	connecting := f.connecting()
	f.spooling(connecting)
	r.groups = []flagGroup{files, f.asking(), f.kubernetes(), w.watching(), f.listening(true), connecting, f.working(false), w.recording()}
	r.check = func() error {
		if w.record != "" {
			if f.intake.Pods.From != "" {
				return usagef("--pods is not of --record: a recording has the pods' uids, and their names if sennit replay reads a list of them too")
			}
			return w.checkRecording()
		}
		if err := f.check(r.cmd, true); err != nil {
			return err
		}
		return w.into(&f.intake)
	}
	r.run = func(ctx context.Context) error {
		if w.record != "" {
			return w.run(ctx, r.cmd)
		}
		return live.Node(ctx, f.service, f.bus, f.intake)
	}
	return r
}

func processorRunner() *runner {
	f := newServiceFlags()
	r := &runner{service: &f.service}
	r.cmd = &cobra.Command{
		Use:     "processor",
		GroupID: "live",
		Short:   "Stitch what nodes send to the bus",
		Long: `Read the events that 'sennit node' sends to a bus (NATS with JetStream), stitch
them, and append every timeline to a file, one revision a line. For other consumers
timelines go to the stream OUT as well, as sennit.out.timeline, and the revisions of
alerts as sennit.out.alert.SEVERITY.

The streams are made if they are not there, and checked if they are. The process
may be killed at any time: what it must not lose is in its folder, and on the bus.
One processor works for all nodes. Several may be started on one bus, each with a
folder of its own: all decide the same, one of them leads and sends, and when it
dies another goes on within seconds; no timeline is sent twice.`,
		Example: `  sennit processor --nats nats://nats.sennit:4222 --data /var/lib/sennit

  # With the logs of Google Cloud that a log sink publishes
  sennit processor --nats nats://nats.sennit:4222 --gcp-subscription projects/my-project/subscriptions/sennit`,
	}
	files := f.data("sennit-data")
	f.out(files)
	r.groups = []flagGroup{files, f.cloud(), f.listening(false), f.connecting(), f.working(true), f.webhooks.group()}
	r.check = func() error { return f.check(r.cmd, false) }
	r.run = func(ctx context.Context) error {
		if err := f.openTables(ctx); err != nil {
			return err
		}
		return live.Process(ctx, f.service, f.bus, f.intake, f.pipeline)
	}
	return r
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/live"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/k8s/pods"
)

// serviceFlags are those that the verbs of a running service share; each takes the
// groups it needs.
type serviceFlags struct {
	service   live.Service
	bus       live.BusOptions
	intake    live.IntakeOptions
	pipeline  live.PipelineOptions
	webhooks  webhookFlags
	tables    tableSinks
	tokenFile string
	trusted   []string
	rulesDir  string
	spool     *byteSize
	outSize   *byteSize // nil where no timelines are written
	memory    *byteSize
	logs      *choice
}

func newServiceFlags() *serviceFlags {
	return &serviceFlags{pipeline: live.PipelineOptions{Window: window.Default()}, logs: newChoice("text", "json")}
}

func (f *serviceFlags) data(dir string) flagGroup {
	g := newFlagGroup("Files")
	g.set.StringVar(&f.service.Dir, "data", dir, "keep everything under the folder `DIR`")
	return g
}

func (f *serviceFlags) follow(g flagGroup) {
	g.set.StringArrayVar(&f.intake.Follow, "follow", nil, "follow the files that `PATTERN` names, lines of any format that replay reads; may be given several times")
}

// asking are the agents whose streams are followed.
func (f *serviceFlags) asking() flagGroup {
	g := newFlagGroup("Agents")
	h := &f.intake.Hubble
	g.set.StringVar(&h.Address, "hubble", "", "follow the flows of Hubble at `ADDRESS`: unix:///var/run/cilium/hubble.sock, or host:port of the agent or of Relay")
	g.set.StringVar(&h.CA, "hubble-ca", "", "speak TLS with Hubble and trust the certificates in `FILE`")
	g.set.StringVar(&h.Cert, "hubble-cert", "", "show Hubble the certificate in `FILE`")
	g.set.StringVar(&h.Key, "hubble-key", "", "its private key is in `FILE`")
	g.set.StringVar(&h.Name, "hubble-server-name", "", "`NAME` in Hubble's certificate, as instance.hubble-relay.cilium.io")
	g.set.StringVar(&f.intake.Tetragon.Address, "tetragon", "", "follow the events of Tetragon at `ADDRESS`: unix:///var/run/tetragon/tetragon.sock, or host:port")
	return g
}

// kubernetes is where pods are known from.
func (f *serviceFlags) kubernetes() flagGroup {
	g := newFlagGroup("Kubernetes")
	p := &f.intake.Pods
	g.set.StringVar(&p.From, "pods", "", "know the pods of --node, or without it of the cluster, from `SOURCE`: api (the API server), kubelet, or a file that kubectl get pods -A -o json wrote. Then a span must come from the pod that it names")
	g.set.StringVar(&p.Connection.URL, "pods-url", "", "where it is: `URL` of the API server (default: that of the pod this runs in) or of the kubelet (default https://127.0.0.1:10250)")
	g.set.StringVar(&p.Connection.CA, "pods-ca", "", "trust the certificates in `FILE` (default: those of the pod's service account)")
	g.set.StringVar(&p.Connection.TokenFile, "pods-token-file", "", "show the token in `FILE` (default: that of the pod's service account)")
	g.set.StringVar(&p.Connection.ServerName, "pods-server-name", "", "`NAME` in its certificate, if it is not that of the URL")
	g.set.StringSliceVar(&f.trusted, "otlp-trust", nil, "take from `SENDER,...` spans of any pod, as a collector relays them: an address, a network (10.8.0.0/16), or what owns the sender's pod (monitoring/DaemonSet/otel-collector)")
	return g
}

// checkKubernetes refuses what cannot be.
func (f *serviceFlags) checkKubernetes() (err error) {
	p := &f.intake.Pods
	switch {
	case p.From == "" && len(f.trusted) > 0:
		return usagef("--otlp-trust is of --pods: without it spans are taken from anybody")
	case p.From != "api" && p.From != "kubelet" && p.Asks():
		return usagef("--pods-url, --pods-ca, --pods-token-file and --pods-server-name are of --pods api and --pods kubelet")
	}
	if p.Trusted, err = pods.ParseTrusted(f.trusted); err != nil {
		return usagef("--otlp-trust: %v", err)
	}
	return nil
}

// cloud are the logs of Google Cloud, which are of no node.
func (f *serviceFlags) cloud() flagGroup {
	g := newFlagGroup("Google Cloud")
	g.set.StringVar(&f.intake.Subscription, "gcp-subscription", "", "pull the log entries of a log sink from `SUBSCRIPTION` of Pub/Sub: projects/P/subscriptions/S")
	return g
}

// openTables opens what results are written to as tables.
func (f *serviceFlags) openTables(ctx context.Context) error {
	list, err := f.tables.open(ctx, f.service.Log)
	f.pipeline.Sinks = append(f.pipeline.Sinks, list...)
	return err
}

func (f *serviceFlags) out(g flagGroup) {
	f.tables.add(g)
	g.set.StringVar(&f.pipeline.Out, "out", "", "append timelines to `FILE` (default DIR/timelines.jsonl); - for standard output, which gets what comes from then on")
	f.outSize = newByteSize(0)
	g.set.Var(f.outSize, "out-rotate-size", "rename that file when it has `SIZE`, with the time in its name, and begin another; 0 for never")
	g.set.DurationVar(&f.pipeline.Rotate.Age, "out-rotate-age", 0, "rename it when its first line is so old; 0 for never")
	g.set.IntVar(&f.pipeline.Rotate.Keep, "out-keep", 0, "keep the newest `N` files that were renamed; 0 for all")
}

func (f *serviceFlags) listening(otlp bool) flagGroup {
	g := newFlagGroup("Listening")
	if otlp {
		g.set.StringVar(&f.intake.OTLP.GRPC, "otlp-grpc", "127.0.0.1:4317", "take OTLP over gRPC on `ADDRESS`, empty for nowhere")
		g.set.StringVar(&f.intake.OTLP.HTTP, "otlp-http", "127.0.0.1:4318", "take OTLP over HTTP on `ADDRESS`, empty for nowhere")
		c := &f.intake.Certificates
		g.set.StringVar(&c.Cert, "otlp-cert", "", "speak TLS with senders and show the certificate in `FILE`")
		g.set.StringVar(&c.Key, "otlp-key", "", "its private key is in `FILE`")
		g.set.StringVar(&c.ClientCA, "otlp-client-ca", "", "talk only to senders with a certificate of the authorities in `FILE`")
		g.set.StringVar(&f.tokenFile, "token-file", "", "senders must show the token in `FILE`; needed off loopback")
	}
	g.set.StringVar(&f.service.HTTP, "http", "127.0.0.1:9464", "serve /healthz, /readyz and /metrics on `ADDRESS`, empty for nowhere")
	g.set.BoolVar(&f.service.HTTPOpen, "http-open", false, "allow an --http address that others reach, as probes and Prometheus in Kubernetes must: nothing there is secret or can be changed")
	g.set.StringVar(&f.service.PProf, "pprof", "", "serve profiles (/debug/pprof) on `ADDRESS`, which must be on loopback")
	return g
}

func (f *serviceFlags) connecting() flagGroup {
	g := newFlagGroup("The bus")
	g.set.StringVar(&f.bus.URL, "nats", "nats://127.0.0.1:4222", "`URL` of NATS with JetStream, several with commas between; tls:// for TLS")
	g.set.StringVar(&f.bus.Creds, "nats-creds", "", "user's credentials (JWT and seed) in `FILE`")
	g.set.StringVar(&f.bus.NKey, "nats-nkey", "", "user's nkey seed in `FILE`")
	g.set.StringVar(&f.bus.CA, "nats-ca", "", "trust the certificates in `FILE`")
	g.set.StringVar(&f.bus.Cert, "nats-cert", "", "show the client certificate in `FILE`")
	g.set.StringVar(&f.bus.Key, "nats-key", "", "its key is in `FILE`")
	return g
}

// spooling is what a node does while the bus is away.
func (f *serviceFlags) spooling(g flagGroup) {
	f.spool = newByteSize(1 << 30)
	g.set.Var(f.spool, "spool", "keep up to `SIZE` on the disk while the bus is away, the newest; 0 to make senders wait instead")
}

func (f *serviceFlags) working(engine bool) flagGroup {
	g := newFlagGroup("Working")
	if engine {
		w := &f.pipeline.Window
		g.set.DurationVar(&w.Lateness, "lateness", w.Lateness, "how late events may come in and still be in the first revision; Tetragon may hold events for 30s")
		g.set.StringVar(&f.rulesDir, "rules", "", "judge by the rules in the folder `DIR`; alerts are logged, and listed in their timelines. Changed rules are taken up as they are written, and at SIGHUP; wrong ones change nothing")
		f.memory = newByteSize(512 << 20)
		g.set.Var(f.memory, "memory", "keep up to `SIZE` of waiting events in memory, the rest in a file under --data; 0 to keep all in memory")
		g.set.IntVar(&f.pipeline.Shards, "shards", 0, "work on `N` shards, 0 for one a core")
	}
	g.set.Var(f.logs, "log", "write logs as text or json")
	return g
}

// check completes what the flags say, and refuses what cannot be.
func (f *serviceFlags) check(cmd *cobra.Command, otlp bool) error {
	switch {
	case f.pipeline.Window.Lateness < 0 || f.pipeline.Window.Lateness > time.Hour:
		return usagef("--lateness must be between 0 and 1h")
	case f.pipeline.Rotate.Age < 0 || f.pipeline.Rotate.Keep < 0:
		return usagef("--out-rotate-age and --out-keep must not be negative")
	case f.pipeline.Shards < 0:
		return usagef("--shards must not be negative")
	case otlp && f.intake.OTLP.GRPC == "" && f.intake.OTLP.HTTP == "":
		return usagef("one of --otlp-grpc and --otlp-http is needed")
	case (f.intake.Certificates.Cert == "") != (f.intake.Certificates.Key == ""):
		return usagef("--otlp-cert and --otlp-key belong together")
	case f.intake.Certificates.ClientCA != "" && f.intake.Certificates.Cert == "":
		return usagef("--otlp-client-ca needs --otlp-cert and --otlp-key: senders show their certificate in TLS alone")
	case (f.intake.Hubble.Cert == "") != (f.intake.Hubble.Key == ""):
		return usagef("--hubble-cert and --hubble-key belong together")
	case f.intake.Hubble.Address == "" && f.intake.Hubble != (live.AgentOptions{}):
		return usagef("--hubble-ca, --hubble-cert and --hubble-server-name are of --hubble")
	case f.bus.Creds != "" && f.bus.NKey != "":
		return usagef("--nats-creds and --nats-nkey exclude each other")
	case (f.bus.Cert == "") != (f.bus.Key == ""):
		return usagef("--nats-cert and --nats-key need each other")
	}
	if f.memory != nil {
		f.pipeline.Memory = f.memory.bytes
	}
	if f.spool != nil {
		if f.intake.Spool = f.spool.bytes; f.intake.Spool != 0 && f.intake.Spool < bus.MinSpool {
			return usagef("--spool must be 0 or at least %s", humanize.IBytes(bus.MinSpool))
		}
	}
	for _, file := range []string{f.bus.Creds, f.bus.NKey, f.bus.CA, f.bus.Cert, f.bus.Key} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return &usageError{err}
		}
	}
	if f.tokenFile != "" {
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return &usageError{err}
		}
		if f.intake.OTLP.Token = strings.TrimSpace(string(b)); f.intake.OTLP.Token == "" {
			return usagef("%s is empty, it must hold the token that senders show", f.tokenFile)
		}
	}
	if err := f.checkKubernetes(); err != nil {
		return err
	}
	if err := f.service.Check(); err != nil {
		return &usageError{err}
	}
	if otlp {
		if err := f.intake.OTLP.Check(); err != nil {
			return &usageError{err}
		}
	}
	if err := f.tables.check(); err != nil {
		return err
	}
	if f.outSize != nil {
		f.pipeline.Rotate.Bytes = f.outSize.bytes
	}
	if f.pipeline.Out == "" {
		f.pipeline.Out = filepath.Join(f.service.Dir, "timelines.jsonl")
	}
	var handler slog.Handler = slog.NewTextHandler(cmd.ErrOrStderr(), nil)
	if f.logs.value == "json" {
		handler = slog.NewJSONHandler(cmd.ErrOrStderr(), nil)
	}
	f.service.Log = slog.New(handler)
	if len(f.webhooks.urls) > 0 && f.rulesDir == "" {
		return usagef("--webhook needs --rules DIR, of what is to be told")
	}
	var err error
	if f.rulesDir != "" {
		if f.pipeline.Rules, err = loadRules(f.rulesDir); err != nil {
			return err
		}
		again := make(chan os.Signal, 1)
		signal.Notify(again, syscall.SIGHUP)
		f.pipeline.Reload = &live.RulesFolder{Dir: f.rulesDir, Again: again}
	}
	if f.pipeline.Sinks, err = f.webhooks.open(f.service.Log); err != nil {
		return err
	}
	f.service.Listening = func(a live.Addresses) {
		var parts []string
		if otlp {
			parts = append(parts, fmt.Sprintf("takes OTLP on %s (gRPC) and %s (HTTP)", or(a.GRPC, "-"), or(a.OTLP, "-")))
		}
		parts = append(parts, "answers on "+or(a.HTTP, "-"))
		if a.PProf != "" {
			parts = append(parts, "serves profiles on "+a.PProf)
		}
		parts = append(parts, "keeps its data in "+f.service.Dir)
		fmt.Fprintf(cmd.ErrOrStderr(), "sennit %s\n", strings.Join(parts, ", "))
	}
	return nil
}

// untilStopped is a context that ends with SIGINT or SIGTERM.
func untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

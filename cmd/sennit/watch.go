package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/cmd/internal/live"
	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/ingest/socket"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// watchFlags are those of watching this machine through eBPF.
type watchFlags struct {
	sockets               bool
	record, node, cluster string
	tls, redactOff        []string
	duration              time.Duration
}

// watching are the flags of a service that may watch its machine.
func (f *watchFlags) watching() flagGroup {
	g := newFlagGroup("Watching")
	g.set.BoolVar(&f.sockets, "sockets", false, "watch this machine's sockets, HTTP exchanges and processes through eBPF; needs root, or cap_bpf, cap_perfmon and cap_net_admin")
	g.set.StringArrayVar(&f.tls, "tls", nil, "look for HTTP heads inside TLS too, in all programs that use this `FILE`: a libssl.so of OpenSSL, a program that has it inside, or a Go program; may be given several times; \"auto\" finds all of these by itself, as they are used")
	g.set.StringVar(&f.node, "node", "", "the `NAME` of this node, as Kubernetes and its spans have it: spans that name another are refused (default: of any node; with --sockets the host's name)")
	g.set.StringVar(&f.cluster, "cluster", "", "the `NAME` of its cluster")
	return g
}

func (f *watchFlags) recording() flagGroup {
	g := newFlagGroup("Recording")
	g.once = true
	g.set.StringVar(&f.record, "record", "", "watch as with --sockets and write the events to `FILE`, one a line, \"-\" for standard output; no bus is used, and sennit replay reads it")
	g.set.DurationVar(&f.duration, "for", 0, "stop recording after this `DURATION`, 0 for when interrupted")
	g.set.StringSliceVar(&f.redactOff, "redact-off", nil, "let through what is dropped by default: `NAME,...` of "+strings.Join(redactNames, ", "))
	return g
}

// decoder is what the flags say of this node.
func (f *watchFlags) decoder(policy redact.Policy) (*socket.Decoder, error) {
	d := &socket.Decoder{Node: f.node, Cluster: f.cluster, Redact: policy}
	var err error
	if d.Boot, err = bootID(); err != nil {
		return nil, err
	}
	if root, err := bpf.CgroupRoot(); err == nil { // else Open says so
		d.Cgroups = socket.NewCgroups(root)
	}
	if d.Node == "" {
		if d.Node, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("find this node's name (or give it with --node): %w", err)
		}
	}
	return d, nil
}

// into tells a service what to watch. Its spans are of the same node.
func (f *watchFlags) into(in *live.IntakeOptions) error {
	switch {
	case f.record == "" && (f.duration != 0 || len(f.redactOff) > 0):
		return usagef("--for and --redact-off are of --record")
	case !f.sockets && len(f.tls) > 0:
		return usagef("--tls is of --sockets (or --record)")
	case !f.sockets:
		in.OTLP.Node, in.OTLP.Cluster = f.node, f.cluster
		return nil
	}
	d, err := f.decoder(in.OTLP.Redact)
	if err != nil {
		return err
	}
	in.Sockets, in.TLS = d, f.tls
	in.OTLP.Node, in.OTLP.Cluster = d.Node, d.Cluster
	return nil
}

// checkRecording refuses what cannot be.
func (f *watchFlags) checkRecording() error {
	_, err := redactPolicy(f.redactOff)
	if err == nil && f.duration < 0 {
		err = usagef("--for must not be negative")
	}
	return err
}

// run records until ctx ends or the time is up.
func (f *watchFlags) run(ctx context.Context, cmd *cobra.Command) error {
	policy, err := redactPolicy(f.redactOff)
	if err != nil {
		return err
	}
	d, err := f.decoder(policy)
	if err != nil {
		return err
	}
	shim, err := bpf.Open(f.tls...)
	if err != nil {
		return err
	}
	defer shim.Close()
	if f.duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, f.duration)
		defer stop()
	}
	return writeRecording(cmd, f.record, func(w io.Writer) error {
		return watch(ctx, shim, *d, w, cmd.ErrOrStderr())
	})
}

// watch writes events until ctx ends and then says what there was.
func watch(ctx context.Context, shim *bpf.Shim, d socket.Decoder, w io.Writer, messages io.Writer) error {
	for _, m := range shim.Missing() {
		if _, err := fmt.Fprintf(messages, "not observed: %s\n", render.Escape(m)); err != nil {
			return err
		}
	}
	source := socket.NewSource(shim)
	source.Decoder = d
	out := bufio.NewWriterSize(w, 1<<16)
	var line []byte
	if _, err := fmt.Fprintf(messages, "watching %s\n", render.Escape(d.Node)); err != nil {
		return err
	}
	err := source.Run(ctx, func(_ context.Context, b *event.Batch) error {
		for i := range b.Events {
			line = append(b.Events[i].AppendJSON(line[:0]), '\n')
			if _, err := out.Write(line); err != nil {
				return fmt.Errorf("write the recording: %w", err)
			}
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write the recording: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(messages, "%s events, %s records lost, %s unreadable\n",
		render.Grouped(source.Events), render.Grouped(source.Lost), render.Grouped(source.Bad+source.Decoder.Unreadable))
	if n := source.Unfollowed.Load(); err == nil && n > 0 {
		_, err = fmt.Fprintf(messages, "TLS of %s processes was not looked into\n", render.Grouped(n))
	}
	return err
}

// writeRecording calls write with a file that only its owner may read, or with
// standard output for "-".
func writeRecording(cmd *cobra.Command, name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(cmd.OutOrStdout())
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return &usageError{err}
	}
	err = write(f)
	if closed := f.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write %s: %w", name, closed)
	}
	return err
}

// bootID is the kernel's name of this boot.
func bootID() (id event.BootID, err error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id, fmt.Errorf("read the boot id: %w", err)
	}
	if err := id.UnmarshalText([]byte(strings.ReplaceAll(strings.TrimSpace(string(b)), "-", ""))); err != nil {
		return id, fmt.Errorf("read the boot id: %w", err)
	}
	return id, nil
}

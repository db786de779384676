package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/embed"
	"github.com/sennit-io/sennit/ingest/otlp/receiver"
	"github.com/sennit-io/sennit/ingest/tail"
)

// UpOptions are those of a whole service in one process.
type UpOptions struct {
	Dir    string // of all that it keeps: bus/, state/
	Shards int    // 0 for one a core
	Window window.Config
	OTLP   receiver.Config
	Follow []string // patterns of files to follow
	HTTP   string   // address of /healthz, /readyz and /metrics, "" for none
	Out    string   // file of the timelines
	Log    *slog.Logger
	// Listening is called once with the addresses that were taken.
	Listening func(Addresses)
}

// Addresses are where a service can be reached, "" for nowhere.
type Addresses struct{ GRPC, OTLP, HTTP string }

// limits of the streams of one machine.
var limits = bus.Limits{Replicas: 1, MaxBytes: 4 << 30, MaxAge: 24 * time.Hour}

// Up runs bus, receiver, processor and sink until ctx ends, then drains: what
// was taken is on the disk when it returns nil. It may be killed at any time.
func Up(ctx context.Context, o UpOptions) error {
	ctx, stopSources := context.WithCancel(ctx)
	defer stopSources()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	unlock, err := lock(o.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	server, err := embed.Start(embed.Options{Dir: filepath.Join(o.Dir, "bus")})
	if err != nil {
		return err
	}
	defer server.Close()
	nc, err := server.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("connect to the bus: %w", err)
	}
	if err := bus.Setup(ctx, js, limits); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	receive, err := receiver.Listen(o.OTLP)
	if err != nil {
		return err
	}
	closeReceiver := receive.Close
	defer func() { closeReceiver() }()
	ops, err := listenOps(o.HTTP, registry, metrics.Ready)
	if err != nil {
		return err
	}
	defer ops.close()
	var follower *tail.Follower
	if len(o.Follow) > 0 {
		follower, err = tail.New(tail.Config{Patterns: o.Follow, Positions: filepath.Join(o.Dir, "followed.json")})
		if err != nil {
			return err
		}
	}
	processor, err := NewProcessor(js, metrics, Options{Dir: filepath.Join(o.Dir, "state"), Shards: o.Shards, Window: o.Window, Log: o.Log})
	if err != nil {
		return err
	}
	sink, err := openFile(ctx, js, o.Out, o.Log)
	if err != nil {
		return errors.Join(err, processor.Close())
	}
	if o.Listening != nil {
		o.Listening(Addresses{GRPC: address(receive.GRPCAddr()), OTLP: address(receive.HTTPAddr()), HTTP: ops.address()})
	}
	closeReceiver = func() {} // Run closes it

	// What comes later in the row works until what comes before it has ended: so
	// nothing is left on the way.
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	processing, stopProcessing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopProcessing()
	sinking, stopSinking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSinking()
	senders := newFleet(sending, js, stopSources)
	sources, sourcing := errgroup.WithContext(ctx)
	sources.Go(func() error { return receive.Run(sourcing, senders.send) })
	if follower != nil {
		lines := newFollowed(o.OTLP.Redact, senders.send, metrics, o.Log)
		sources.Go(func() error { return follower.Run(sourcing, lines.take) })
	}
	sources.Go(func() error { return ops.run(sourcing) })
	rest, resting := errgroup.WithContext(context.WithoutCancel(ctx))
	rest.Go(func() error {
		defer stopSinking()
		return processor.Run(processing)
	})
	rest.Go(func() error { return sink.run(sinking) })
	context.AfterFunc(resting, stopSources) // when one of them fails
	rest.Go(func() error {
		defer stopProcessing()
		err := sources.Wait()
		time.AfterFunc(drainSending, stopSending)
		return errors.Join(err, senders.close())
	})
	return rest.Wait()
}

// drainSending is how long the bus may take for what is left at the end.
const drainSending = 10 * time.Second

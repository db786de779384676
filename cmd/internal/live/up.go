package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/embed"
)

// Addresses are where a service can be reached, "" for nowhere.
type Addresses struct{ GRPC, OTLP, HTTP, PProf string }

// Service is what all services have in common.
type Service struct {
	Dir  string // of all that it keeps
	HTTP string // address of /healthz, /readyz and /metrics, "" for none
	// HTTPOpen allows an address that others than this machine reach.
	HTTPOpen bool
	PProf    string // address of profiles, on loopback, "" for none
	Log      *slog.Logger
	Tracer   trace.Tracer // of Sennit itself; nil for none
	// Listening is called once with the addresses that were taken.
	Listening func(Addresses)
}

func (s *Service) tracer() trace.Tracer {
	if s.Tracer == nil {
		return noop.Tracer{}
	}
	return s.Tracer
}

// open makes the folder and takes it, and the address.
func (s *Service) open() (*ops, func(), error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the data folder: %w", err)
	}
	unlock, err := lock(s.Dir)
	if err != nil {
		return nil, nil, err
	}
	o, err := listenOps(s)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return o, func() { o.close(); unlock() }, nil
}

func (s *Service) listening(o *ops, in *intake) {
	if s.Listening == nil {
		return
	}
	a := Addresses{HTTP: o.http.address(), PProf: o.pprof.address()}
	if in != nil && in.receiver != nil {
		a.GRPC, a.OTLP = address(in.receiver.GRPCAddr()), address(in.receiver.HTTPAddr())
	}
	s.Listening(a)
}

// limits of the streams of one machine, which others may edit.
var limits = bus.Limits{Replicas: 1, MaxBytes: 4 << 30, MaxAge: bus.MaxAge}

// Up runs bus, sources, processor and sink until ctx ends, then drains: what was
// taken is on the disk when it returns nil. It may be killed at any time.
func Up(ctx context.Context, s Service, in IntakeOptions, out PipelineOptions, rec RecordOptions) error {
	o, done, err := s.open()
	if err != nil {
		return err
	}
	defer done()
	server, err := embed.Start(embed.Options{Dir: filepath.Join(s.Dir, "bus")})
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
	working, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return o.run(working) }) // it is alive while it recovers
	source, err := openIntake(ctx, s, in, o)
	if err != nil {
		return err
	}
	p, err := openPipeline(ctx, js, s, out, o, nil)
	if err != nil {
		source.close()
		return err
	}
	readers := []func(context.Context) error{p.run}
	if rec.Dir != "" {
		r, unlock, err := openRecording(js, rec, s.Log, o.registry)
		if err != nil {
			source.close()
			return errors.Join(err, p.close())
		}
		defer unlock()
		readers = append(readers, r.run)
	}
	s.listening(o, source)
	g.Go(func() error {
		defer stop()
		return work(working, js, source, readers...)
	})
	return g.Wait()
}

// work runs a pipeline, what else reads the bus, and its sources until ctx ends. The
// sources end first, so that nothing is left on the way; and when the rest fails.
func work(ctx context.Context, js jetstream.JetStream, source *intake, readers ...func(context.Context) error) error {
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()
	var g errgroup.Group
	for _, read := range readers {
		g.Go(func() error {
			err := read(working)
			if err != nil {
				stopTaking()
			}
			return err
		})
	}
	g.Go(func() error {
		defer stopWorking()
		return source.run(taking, js)
	})
	return g.Wait()
}

// Node runs the sources of a node, which send to a bus elsewhere, until ctx ends;
// then it sends what it has. While the bus is away, or refuses, it keeps what comes
// on its disk, if it has a spool; else senders are told to come again, and followed
// files wait where they are.
func Node(ctx context.Context, s Service, b BusOptions, in IntakeOptions) error {
	o, done, err := s.open()
	if err != nil {
		return err
	}
	defer done()
	source, err := openIntake(ctx, s, in, o)
	if err != nil {
		return err
	}
	taking, stop := context.WithCancel(ctx)
	defer stop()
	h := s.watched(o, source)
	nc, js, err := b.dial(s.Log, h)
	if err != nil {
		source.close()
		return err
	}
	defer nc.Close()
	o.ready.when(h.check)
	s.listening(o, source)
	var g errgroup.Group
	g.Go(func() error {
		defer stop()
		return source.run(taking, js)
	})
	g.Go(func() error { return o.run(taking) })
	return g.Wait()
}

// watched makes the health of a bus elsewhere known to the metrics.
func (s *Service) watched(o *ops, source *intake) *busHealth {
	h := &busHealth{log: s.Log}
	if source != nil {
		h.trouble = source.trouble
	}
	o.metrics.bus = h
	return h
}

// Process runs a processor, and a file of its timelines, on a bus elsewhere until
// ctx ends; and the sources of a cluster, whose events take the way of a node's. Of
// several on one bus, one leads: it sends results, and its sinks deliver; the others
// are ready to take over.
func Process(ctx context.Context, s Service, b BusOptions, in IntakeOptions, out PipelineOptions) error {
	o, done, err := s.open()
	if err != nil {
		return err
	}
	defer done()
	source, err := openIntake(ctx, s, in, o)
	if err != nil {
		return err
	}
	defer source.close()
	s.listening(o, source)
	var g errgroup.Group
	working, stop := context.WithCancel(ctx)
	defer stop()
	h := s.watched(o, source)
	o.ready.when(func() error { return cmp.Or(h.check(), errStarting) })
	g.Go(func() error { return o.run(working) }) // it is alive while it waits for the bus
	g.Go(func() error {
		defer stop()
		nc, js, err := b.connect(working, s.Log, h)
		if err != nil {
			return err
		}
		defer nc.Close()
		if err := b.setup(working, js, s.Log); err != nil {
			return err
		}
		leading, err := newLeadership(js, s)
		if err != nil {
			return err
		}
		p, err := openPipeline(working, js, s, out, o, leading)
		if err != nil {
			return err
		}
		// What leading means is given back when nothing is written any more.
		keeping, giveBack := context.WithCancel(context.WithoutCancel(working))
		var owner errgroup.Group
		owner.Go(func() error { return leading.run(keeping) })
		err = work(working, js, source, p.run)
		giveBack()
		return errors.Join(err, owner.Wait())
	})
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

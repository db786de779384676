package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/cmd/internal/live"
	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/embed"
	"github.com/sennit-io/sennit/schemas/event"
)

// Options of Live.
type Options struct {
	Rate      float64       // events a second, 0 for as many as go
	For, Warm time.Duration // how long is measured, and what runs before
	Nodes     int
	Skew      float64 // share of the requests whose agent is on one node
	Shards    int     // 0 for one a core
	Lateness  time.Duration
	Retention time.Duration // of the state
	Dir       string        // where bus and state get a folder, which is removed; "" for the system's
	Profile   io.Writer     // takes the CPU profile, nil for nobody
	Heap      io.Writer     // takes the heap profile at the end, nil for nobody
	Log       *slog.Logger
}

func (o *Options) window() window.Config {
	w := window.Default()
	w.Lateness = o.Lateness
	third := o.Retention / 3 // the state keeps what the engine may still need: the sum of the three
	w.Longest, w.Retention, w.AgentHorizon = third, third, third
	w.Horizon, w.Silence = min(w.Horizon, third), min(w.Silence, third)
	return w
}

// rig is the live path in one process.
type rig struct {
	o         Options
	dir       string
	server    *embed.Server
	conns     []*nats.Conn
	load      *load
	processor *live.Processor
	registry  *prometheus.Registry
	out       *bus.OutReader

	measuring atomic.Bool
	committed atomic.Uint64
	timelines atomic.Uint64
	// The first two belong to the processor's goroutine, the last to the reader's.
	toCommit, commit, toOut histogram
}

// Live runs the live path under load and measures it.
func Live(ctx context.Context, o Options) (_ *Result, err error) {
	r := &rig{o: o}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the data folder: %w", err)
		}
	}
	if r.dir, err = os.MkdirTemp(o.Dir, "sennit-bench-"); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	before := calibrate()
	result, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	result.calibrated(before, calibrate())
	return result, nil
}

func (r *rig) run(ctx context.Context) (*Result, error) {
	defer r.close()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	result, err := r.measure(ctx)
	if err != nil {
		return nil, err
	}
	if result.Balance, err = balance(r.registry, r.load.sent.Load()); err != nil {
		return nil, err
	}
	result.PublishToCommitted, result.Commit, result.EventToOut = r.toCommit.latency(), r.commit.latency(), r.toOut.latency()
	result.Timelines = r.timelines.Load()
	_, result.MaxRSS = usage()
	return result, nil
}

// open starts everything but the load.
func (r *rig) open(ctx context.Context) (err error) {
	o := &r.o
	if r.server, err = embed.Start(embed.Options{Dir: filepath.Join(r.dir, "bus")}); err != nil {
		return err
	}
	sending, err := r.connect()
	if err != nil {
		return err
	}
	limits := bus.Limits{Replicas: 1, MaxBytes: 4 << 30, MaxAge: max(o.Retention, time.Minute)}
	if err := bus.Setup(ctx, sending, limits); err != nil {
		return err
	}
	r.load = newLoad(o.Nodes, o.Skew, o.Rate, &r.committed)
	for _, node := range append(r.load.cluster.nodes, "") {
		r.load.senders[node] = bus.NewSender(sending, node, nil)
	}
	working, err := r.connect()
	if err != nil {
		return err
	}
	r.registry = prometheus.NewRegistry()
	r.processor, err = live.NewProcessor(working, live.NewMetrics(r.registry), live.Options{
		Dir: filepath.Join(r.dir, "state"), Shards: o.Shards, Window: o.window(), Log: o.Log, Keep: o.Retention, Committed: r.observe,
	})
	if err != nil {
		return err
	}
	reading, err := r.connect()
	if err != nil {
		return errors.Join(err, r.processor.Close())
	}
	if r.out, err = bus.NewOutReader(ctx, reading, 0); err != nil {
		return errors.Join(err, r.processor.Close())
	}
	return nil
}

func (r *rig) connect() (jetstream.JetStream, error) {
	nc, err := r.server.Connect()
	if err != nil {
		return nil, err
	}
	r.conns = append(r.conns, nc)
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return js, nil
}

func (r *rig) close() {
	for _, c := range r.conns {
		c.Close()
	}
	if r.server != nil {
		r.server.Close()
	}
}

// observe is told of what was committed.
func (r *rig) observe(pushes []disk.Push, took time.Duration) {
	measuring, now := r.measuring.Load(), event.At(time.Now())
	if measuring {
		r.commit.add(took)
	}
	for _, p := range pushes {
		for i := range p.Events {
			if at := p.Events[i].Observed; at != 0 && measuring {
				r.toCommit.add(now.Sub(at))
			}
		}
		r.committed.Add(uint64(len(p.Events)))
	}
}

// read takes timelines from the stream OUT until ctx ends and nothing more is
// there.
func (r *rig) read(ctx context.Context) error {
	defer r.out.Close()
	for {
		m, ok, err := r.out.Next(100 * time.Millisecond)
		switch {
		case err != nil:
			return err
		case !ok && ctx.Err() != nil:
			return nil
		case !ok:
			continue
		}
		now := event.At(time.Now())
		r.timelines.Add(uint64(len(m.IDs)))
		for _, id := range m.IDs {
			if end, ours := endOf(id); ours && strings.HasSuffix(id, "/1") && r.measuring.Load() {
				r.toOut.add(now.Sub(end))
			}
		}
	}
}

// drainFor is how long what was sent may take to be committed in the end.
const drainFor = time.Minute

// measure runs the load, and what it is sent through.
func (r *rig) measure(ctx context.Context) (*Result, error) {
	g, all := errgroup.WithContext(ctx)
	loading, stopLoad := context.WithCancel(all)
	defer stopLoad()
	working, stopWork := context.WithCancel(all)
	defer stopWork()
	reading, stopRead := context.WithCancel(context.WithoutCancel(all))
	defer stopRead()
	var senders errgroup.Group
	for _, s := range r.load.senders {
		senders.Go(func() error { return s.Run(all) })
	}
	g.Go(func() error {
		defer stopRead()
		return r.processor.Run(working)
	})
	g.Go(func() error { return r.read(reading) })
	var s series
	g.Go(func() error { s.run(working, r.sample); return nil })
	result := &Result{Options: r.o.report(), CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version()}
	g.Go(func() error {
		defer stopWork()
		err := r.load.run(loading)
		for _, one := range r.load.senders {
			one.Close()
		}
		if err = errors.Join(err, senders.Wait()); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		began := time.Now()
		for r.committed.Load() < r.load.sent.Load() && time.Since(began) < drainFor && all.Err() == nil {
			time.Sleep(tick)
		}
		result.DrainSeconds = time.Since(began).Seconds()
		return nil
	})
	g.Go(func() error {
		defer stopLoad()
		return r.window(all, result)
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	result.Series = s.list
	return result, ctx.Err()
}

func (r *rig) sample() Sample {
	return Sample{
		Sent: r.load.sent.Load(), Committed: r.committed.Load(), RSS: rss(), Heap: heap(),
		State: diskUse(filepath.Join(r.dir, "state")), Bus: diskUse(filepath.Join(r.dir, "bus")),
	}
}

// window measures what happens between the end of the warm-up and that of the
// load.
func (r *rig) window(ctx context.Context, result *Result) error {
	if !wait(ctx, r.o.Warm) {
		return nil
	}
	var buf bytes.Buffer
	if err := pprof.StartCPUProfile(&buf); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	began, committed := time.Now(), r.committed.Load()
	cpu, _ := usage()
	r.measuring.Store(true)
	wait(ctx, r.o.For)
	r.measuring.Store(false)
	cpuNow, _ := usage()
	events := r.committed.Load() - committed
	result.Seconds = time.Since(began).Seconds()
	pprof.StopCPUProfile()
	if r.o.Profile != nil {
		if _, err := r.o.Profile.Write(buf.Bytes()); err != nil {
			return fmt.Errorf("write profile: %w", err)
		}
	}
	if r.o.Heap != nil {
		runtime.GC()
		if err := pprof.WriteHeapProfile(r.o.Heap); err != nil {
			return fmt.Errorf("write profile: %w", err)
		}
	}
	return result.measured(events, cpuNow-cpu, buf.Bytes())
}

// wait reports whether it waited for so long, and ctx did not end.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

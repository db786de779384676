package live

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/sinks/fanout"
	"github.com/sennit-io/sennit/sinks/ndjson"
)

// PipelineOptions say how events become timelines, and where these go.
type PipelineOptions struct {
	Shards int // 0 for one a core
	Window window.Config
	Memory int64  // of waiting events, 0 for no limit
	Out    string // file of the timelines; "-" for standard output
	Rotate ndjson.Rotation
	Rules  *detect.Set
	Reload *RulesFolder // where the rules come from, nil for a set that stays
	Sinks  []fanout.Config
}

// pipeline is a processor and its sinks.
type pipeline struct {
	js        jetstream.JetStream
	log       *slog.Logger
	metrics   *Metrics
	processor *Processor
	file      *fileSink
	lanes     []*lane
	leading   *leadership // nil: alone
	showing   *showing    // nil: no sink wants to see what is open
}

func openPipeline(ctx context.Context, js jetstream.JetStream, s Service, out PipelineOptions, o *ops, leading *leadership) (*pipeline, error) {
	w := newShowing(out.Sinks, s.Log)
	opts := Options{Dir: filepath.Join(s.Dir, "state"), Shards: out.Shards, Window: out.Window, Memory: out.Memory, Rules: out.Rules, Reload: out.Reload, Leads: leading.now, Log: s.Log, Tracer: s.tracer()}
	if w != nil {
		opts.Watch, opts.WatchEvery = w.take, showEvery
	}
	p, err := NewProcessor(js, o.metrics, opts)
	if err != nil {
		return nil, err
	}
	l := &pipeline{js: js, log: s.Log, metrics: o.metrics, processor: p, leading: leading, showing: w}
	if l.file, err = openFile(ctx, js, out.Out, out.Rotate, s.Log, func(n uint64) { o.metrics.missed(fileName, n) }); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	for _, c := range out.Sinks {
		c.Log = s.Log
		c.Sink = traced(c.Sink, c.Name, s.tracer())
		one, err := openLane(ctx, js, c)
		if err != nil {
			return nil, errors.Join(err, l.file.close(), p.Close())
		}
		l.lanes = append(l.lanes, one)
		o.metrics.sink(one.Lane)
	}
	o.desk.Store(&desk{js, l.lanes, p.Timelines, p.Alerts})
	o.ready.when(func() error {
		if err := o.metrics.Ready(); err != nil || o.metrics.bus == nil {
			return err
		}
		return o.metrics.bus.check()
	})
	return l, nil
}

// close gives back what was opened, without run.
func (p *pipeline) close() error {
	return errors.Join(p.file.close(), p.processor.Close())
}

// run works until ctx ends; what was decided by then is written.
func (p *pipeline) run(ctx context.Context) error {
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	sinking, stopSinking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSinking()
	var g errgroup.Group
	g.Go(func() error {
		defer stopSinking()
		return p.processor.Run(working)
	})
	g.Go(func() error {
		defer stopWorking()
		return p.file.run(sinking)
	})
	g.Go(func() error { return p.showing.run(working, p.lanes) })
	// What they have not delivered by then waits for the next start.
	for _, l := range p.lanes {
		g.Go(func() error { return errors.Join(p.leading.while(sinking, l.run), l.Close()) })
	}
	g.Go(func() error {
		p.watchStreams(sinking)
		return nil
	})
	return g.Wait()
}

// fileName is what the file of timelines is called among the sinks.
const fileName = "file"

// usageEvery is how often the streams are looked at.
const usageEvery = 10 * time.Second

// watchStreams looks how full the streams are, and whether they dropped what a sink
// has not taken, until ctx ends.
func (p *pipeline) watchStreams(ctx context.Context) {
	places := make([]bus.Missed, len(p.lanes))
	for {
		if err := p.lookAtStreams(ctx, places); err != nil && ctx.Err() == nil {
			p.log.Debug("the streams cannot be looked at", "error", err) // who reads them says so
		}
		select {
		case <-time.After(usageEvery):
		case <-ctx.Done():
			return
		}
	}
}

func (p *pipeline) lookAtStreams(ctx context.Context, places []bus.Missed) error {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	list, err := bus.Usages(ctx, p.js)
	if err != nil {
		return err
	}
	p.metrics.usage(list)
	for i, l := range p.lanes {
		if !p.leading.now() {
			continue // whoever leads counts
		}
		n, err := places[i].Look(ctx, p.js, l.Name)
		if err != nil {
			return err
		}
		if n > 0 {
			p.log.Error("the stream dropped results before a sink had taken them: it was away for too long, or the stream needs more room", "sink", l.Name, "messages", n)
			p.metrics.missed(l.Name, n)
		}
	}
	return nil
}

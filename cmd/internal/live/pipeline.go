package live

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// PipelineOptions say how events become timelines, and where these go.
type PipelineOptions struct {
	Shards int // 0 for one a core
	Window window.Config
	Memory int64  // of waiting events, 0 for no limit
	Out    string // file of the timelines
	Rules  *detect.Set
	Sinks  []fanout.Config
}

// pipeline is a processor and its sinks.
type pipeline struct {
	processor *Processor
	file      *fileSink
	lanes     []*lane
	leading   *leadership // nil: alone
}

func openPipeline(ctx context.Context, js jetstream.JetStream, s Service, out PipelineOptions, o *ops, leading *leadership) (*pipeline, error) {
	p, err := NewProcessor(js, o.metrics, Options{Dir: filepath.Join(s.Dir, "state"), Shards: out.Shards, Window: out.Window, Memory: out.Memory, Rules: out.Rules, Leads: leading.now, Log: s.Log})
	if err != nil {
		return nil, err
	}
	l := &pipeline{processor: p, leading: leading}
	if l.file, err = openFile(ctx, js, out.Out, s.Log); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	for _, c := range out.Sinks {
		c.Log = s.Log
		one, err := openLane(ctx, js, c)
		if err != nil {
			return nil, errors.Join(err, l.file.close(), p.Close())
		}
		l.lanes = append(l.lanes, one)
		o.metrics.sink(one.Lane)
	}
	o.desk.Store(&desk{js, l.lanes, p.Timelines})
	o.ready.when(o.metrics.Ready)
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
	// What they have not delivered by then waits for the next start.
	for _, l := range p.lanes {
		g.Go(func() error { return errors.Join(p.leading.while(sinking, l.run), l.Close()) })
	}
	return g.Wait()
}

package live

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/event"
)

// spooling keeps what a node takes while the bus is away, and tells what had to
// make room as losses of their nodes.
type spooling struct {
	spool   *bus.Spool
	metrics *Metrics

	mu   sync.Mutex
	lost map[lostOf]*event.Loss // not told yet
}

// lostOf is whose events were lost.
type lostOf struct {
	node   string
	source event.Source
}

func openSpool(s Service, most int64, m *Metrics) (*spooling, error) {
	p := &spooling{metrics: m, lost: map[lostOf]*event.Loss{}}
	var err error
	p.spool, err = bus.OpenSpool(filepath.Join(s.Dir, "spool"), most, p.dropped)
	if err != nil {
		return nil, err
	}
	m.spool = p.spool
	return p, nil
}

func (p *spooling) dropped(d bus.Dropped) {
	p.metrics.spooled(d.Source, d.Events)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lost[lostOf{d.Node, d.Source}]
	if l == nil {
		l = &event.Loss{Of: d.Source, Reason: "spool full", From: d.From}
		p.lost[lostOf{d.Node, d.Source}] = l
	}
	l.Count += uint64(d.Events)
	l.From, l.To = min(l.From, d.From), max(l.To, d.To)
}

// tellEvery is how often losses are told.
const tellEvery = time.Second

// run sends what is spooled when the bus is there, and tells of losses, until ctx
// ends.
func (p *spooling) run(ctx context.Context, js jetstream.JetStream, sink ingest.Sink) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.spool.Run(ctx, js) }()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
		}
		if b := p.losses(); len(b.Events) > 0 {
			if err := sink(ctx, b); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// losses makes events of what was lost since the last call.
func (p *spooling) losses() *event.Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &event.Batch{}
	var ids event.Hasher
	for of, l := range p.lost {
		e := b.Add(event.KindLoss, of.source)
		e.Node, e.Time, e.Observed = of.node, l.To, event.At(time.Now())
		e.ID = ids.Reset(e.Kind).String(of.node).Uint(uint64(of.source)).Uint(uint64(l.From)).Uint(uint64(l.To)).Uint(l.Count).String(l.Reason).Sum()
		e.Payload = l
	}
	clear(p.lost)
	return b
}

package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/event"
)

// fleet is a sender for every node that events are of: on the bus each speaks for
// itself alone. What names no node is sent by this process's own, which may be all
// that the bus lets it be.
type fleet struct {
	js    jetstream.JetStream
	own   string          // "" for none
	spool *bus.Spool      // nil for none
	ctx   context.Context // of the senders' work
	fail  func()          // called when a sender cannot go on
	wait  sync.WaitGroup

	mu      sync.Mutex
	byNode  map[string]*bus.Sender
	closed  bool
	failure error
}

// maxNodes bounds the senders: what names more nodes is refused.
const maxNodes = 4096

func newFleet(ctx context.Context, js jetstream.JetStream, own string, spool *bus.Spool, fail func()) *fleet {
	return &fleet{js: js, own: own, spool: spool, ctx: ctx, fail: fail, byNode: map[string]*bus.Sender{}}
}

func (f *fleet) sender(node string) (*bus.Sender, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.byNode[node]
	switch {
	case s != nil:
		return s, nil
	case f.closed:
		return nil, bus.ErrClosed
	case f.failure != nil:
		return nil, f.failure
	case len(f.byNode) >= maxNodes:
		return nil, fmt.Errorf("send events of %q: they are of more than %d nodes", node, maxNodes)
	}
	s = bus.NewSender(f.js, node, f.spool)
	f.byNode[node] = s
	f.wait.Go(func() {
		if err := s.Run(f.ctx); err != nil && !errors.Is(err, context.Canceled) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.failure = err
			f.fail()
		}
	})
	return s, nil
}

// send is an ingest.Sink: it returns when the bus, or the spool, has the events.
func (f *fleet) send(ctx context.Context, b *event.Batch) error {
	used := map[string]*bus.Sender{}
	for i := range b.Events {
		e := &b.Events[i]
		node := cmp.Or(e.Node, f.own)
		s := used[node]
		if s == nil {
			var err error
			if s, err = f.sender(node); err != nil {
				return err
			}
			used[node] = s
		}
		if err := s.Send(ctx, e); err != nil {
			return err
		}
	}
	for _, s := range used {
		if err := s.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// trouble is why the bus does not take what is sent, nil if it does.
func (f *fleet) trouble() error {
	if f.spool != nil {
		if err := f.spool.Trouble(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.byNode {
		if err := s.Trouble(); err != nil {
			return err
		}
	}
	return nil
}

// close lets the senders send what is left, and waits for them.
func (f *fleet) close() error {
	f.mu.Lock()
	f.closed = true
	for _, s := range f.byNode {
		s.Close()
	}
	f.mu.Unlock()
	f.wait.Wait()
	return f.failure
}

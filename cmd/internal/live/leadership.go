package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
)

// leadership says which of several processors of a bus sends. Nothing depends on
// there being one leader only: who sends without leading any more is refused by the
// streams.
type leadership struct {
	js     jetstream.JetStream
	holder string
	log    *slog.Logger

	mu     sync.Mutex
	leads  bool
	change chan struct{} // closed and made anew when leads changes
}

func newLeadership(js jetstream.JetStream, s Service) (*leadership, error) {
	holder, err := identity(s.Dir)
	if err != nil {
		return nil, err
	}
	return &leadership{js: js, holder: holder, log: s.Log, change: make(chan struct{})}, nil
}

// now reports whether this processor leads; one alone always does.
func (l *leadership) now() bool {
	if l == nil {
		return true
	}
	leads, _ := l.watch()
	return leads
}

// watch returns whether this processor leads, and what is closed when that changes.
func (l *leadership) watch() (leads bool, change <-chan struct{}) {
	if l == nil {
		return true, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leads, l.change
}

func (l *leadership) set(leads bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if leads == l.leads {
		return
	}
	l.leads = leads
	close(l.change)
	l.change = make(chan struct{})
	if leads {
		l.log.Info("this processor leads")
	} else {
		l.log.Warn("this processor leads no more")
	}
}

// askEvery is how often one that does not lead asks whether it may.
const askEvery = time.Second

// run takes the lead whenever nobody has it, until ctx ends.
func (l *leadership) run(ctx context.Context) error {
	defer l.set(false)
	for told := false; ; {
		lease, err := bus.Acquire(ctx, l.js, l.holder)
		switch {
		case err == nil:
			told = false
			l.set(true)
			_ = lease.Keep(ctx) // whoever has it now is asked for next
			l.set(false)
			if ctx.Err() != nil {
				return nil
			}
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, bus.ErrTaken):
			l.log.Warn("the lease cannot be asked for", "error", err)
		case !told:
			told = true
			l.log.Info("another processor leads; this one follows")
		}
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// while calls f whenever this processor leads, with a context that ends when it does
// not, until ctx ends.
func (l *leadership) while(ctx context.Context, f func(context.Context) error) error {
	for ctx.Err() == nil {
		leads, change := l.watch()
		if !leads {
			select {
			case <-change:
			case <-ctx.Done():
			}
			continue
		}
		leading, stop := context.WithCancel(ctx)
		if change != nil {
			go func() {
				select {
				case <-change:
					stop()
				case <-leading.Done():
				}
			}()
		}
		err := f(leading)
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

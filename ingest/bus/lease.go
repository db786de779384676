package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrTaken says that another processor leads.
var ErrTaken = errors.New("another processor leads")

// Lease is the right to lead the processors of a bus, held by compare-and-set in a
// key-value bucket whose entries expire.
type Lease struct {
	kv       jetstream.KeyValue
	holder   string
	revision uint64
}

const (
	leaseBucket = "SENNIT_LEASES"
	leaseKey    = "processor"
	leaseTTL    = 6 * time.Second
	leaseRenew  = 2 * time.Second
)

// Acquire takes the lease for a holder. What the same holder had before it died is
// its own; what another has is ErrTaken.
func Acquire(ctx context.Context, js jetstream.JetStream, holder string) (*Lease, error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: leaseBucket, TTL: leaseTTL, Storage: jetstream.FileStorage})
	if err != nil {
		return nil, fmt.Errorf("acquire the lease: %w", err)
	}
	l := &Lease{kv: kv, holder: holder}
	l.revision, err = kv.Create(ctx, leaseKey, []byte(holder))
	if errors.Is(err, jetstream.ErrKeyExists) {
		e, err := kv.Get(ctx, leaseKey)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound): // it has just expired
			return Acquire(ctx, js, holder)
		case err != nil:
			return nil, fmt.Errorf("acquire the lease: %w", err)
		case string(e.Value()) != holder:
			return nil, ErrTaken
		}
		l.revision = e.Revision()
		return l, l.renew(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("acquire the lease: %w", err)
	}
	return l, nil
}

func (l *Lease) renew(ctx context.Context) error {
	revision, err := l.kv.Update(ctx, leaseKey, []byte(l.holder), l.revision)
	if err != nil {
		return fmt.Errorf("renew the lease: %w", err)
	}
	l.revision = revision
	return nil
}

// Keep renews the lease until ctx ends, and gives it back. While the bus is away
// nobody else can take it either; one that another has taken meanwhile is ErrTaken.
func (l *Lease) Keep(ctx context.Context) error {
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			back, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = l.kv.Delete(back, leaseKey, jetstream.LastRevision(l.revision)) // else it expires
			return nil
		case <-tick.C:
		}
		asking, cancel := context.WithTimeout(ctx, leaseRenew)
		err := l.renew(asking)
		if err != nil && ctx.Err() == nil {
			err = l.again(asking)
		}
		cancel()
		if errors.Is(err, ErrTaken) {
			return err
		}
	}
}

// again takes up a lease that could not be renewed: the bus was away, and it may
// have expired.
func (l *Lease) again(ctx context.Context) error {
	e, err := l.kv.Get(ctx, leaseKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		l.revision, err = l.kv.Create(ctx, leaseKey, []byte(l.holder))
		return err
	case err != nil:
		return err
	case string(e.Value()) != l.holder:
		return ErrTaken
	}
	l.revision = e.Revision()
	return l.renew(ctx)
}

package live

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/gcp/pubsub"
	"github.com/sennit-io/sennit/ingest/k8s/pods"
	"github.com/sennit-io/sennit/ingest/k8s/watch"
	"github.com/sennit-io/sennit/ingest/otlp/receiver"
	"github.com/sennit-io/sennit/ingest/rpc"
	"github.com/sennit-io/sennit/ingest/socket"
	"github.com/sennit-io/sennit/ingest/tail"
	"github.com/sennit-io/sennit/schemas/event"
)

// IntakeOptions say where events come from.
type IntakeOptions struct {
	OTLP receiver.Config // without an address nobody is listened to; its TLS is made of:
	// Certificates are of the listeners for OTLP.
	Certificates CertificateFiles
	Follow       []string // patterns of files to follow
	// Hubble and Tetragon are the agents to ask.
	Hubble, Tetragon AgentOptions
	// Pods says where pods are known from.
	Pods PodOptions
	// Subscription is that of Pub/Sub with log entries, "" for none.
	Subscription string
	// Sockets watches this machine through eBPF; nil for not.
	Sockets *socket.Decoder
	TLS     []string // files to look into, or bpf.Auto
	// Spool is how many bytes may wait on the disk while the bus is away, 0 for
	// none: then senders wait.
	Spool int64
}

// intake is the sources of a node, or those of a cluster that a processor asks.
type intake struct {
	options   IntakeOptions
	service   Service
	metrics   *Metrics
	receiver  *receiver.Receiver // nil for none
	follower  *tail.Follower     // nil for none
	agents    []*rpc.Source
	pods      *watch.Source // nil for none, as directory
	directory *pods.Directory
	cloud     *pubsub.Source // nil for none
	shim      *bpf.Shim      // nil for none, as sockets
	sockets   *socket.Source // nil for none
	blind     error          // why there is no shim
	spooling  *spooling      // nil for none
	sending   atomic.Pointer[fleet]
}

func openIntake(ctx context.Context, s Service, in IntakeOptions, o *ops) (_ *intake, err error) {
	i := &intake{options: in, service: s, metrics: o.metrics}
	defer func() {
		if err != nil {
			i.close()
		}
	}()
	if err := i.openPods(); err != nil {
		return nil, err
	}
	if in.OTLP.GRPC != "" || in.OTLP.HTTP != "" {
		in.OTLP.Prove = i.proving()
		if in.OTLP.TLS, err = in.Certificates.config(); err != nil {
			return nil, err
		}
		if i.receiver, err = receiver.Listen(in.OTLP); err != nil {
			return nil, err
		}
		o.metrics.otlp = i.receiver.Counts
	}
	if len(in.Follow) > 0 {
		i.follower, err = tail.New(tail.Config{Patterns: in.Follow, Positions: filepath.Join(s.Dir, "followed.json"), Failed: i.unreadable()})
		if err != nil {
			return nil, err
		}
		o.metrics.followed = i.follower.Counts
	}
	if err := i.openAgents(); err != nil {
		return nil, err
	}
	if in.Subscription != "" {
		if err := i.openCloud(ctx); err != nil {
			return nil, err
		}
	}
	if in.Sockets != nil {
		if err := i.openSockets(in.Sockets, in.TLS); err != nil {
			return nil, err
		}
	}
	if in.Spool > 0 {
		if i.spooling, err = openSpool(s, in.Spool, o.metrics); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// unreadable logs files that cannot be read, each once for a reason.
func (i *intake) unreadable() func(path string, err error) {
	told := map[string]string{}
	return func(path string, err error) {
		if why := err.Error(); told[path] != why {
			told[path] = why
			i.service.Log.Error("a followed file cannot be read; it is tried again", "file", path, "error", err)
		}
	}
}

// trouble is why the bus does not take events, nil if it does.
func (i *intake) trouble() error {
	if f := i.sending.Load(); f != nil {
		return f.trouble()
	}
	return nil
}

// watchBus logs when a bus elsewhere begins or ends to refuse events, until ctx ends.
func (i *intake) watchBus(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if h := i.metrics.bus; h != nil {
			h.tell()
		}
	}
}

// close gives back what was opened, without run.
func (i *intake) close() {
	if i.receiver != nil {
		i.receiver.Close()
	}
	if i.cloud != nil {
		i.cloud.Close()
	}
	if i.shim != nil {
		i.shim.Close()
	}
}

// sayWithin is how long spans wait for the shim's first word: it waits for the bus.
const sayWithin = 2 * time.Second

// drainSending is how long the bus may take for what is left at the end.
const drainSending = 10 * time.Second

// run takes events in until ctx ends or a sender cannot go on, and then sends what
// is left.
func (i *intake) run(ctx context.Context, js jetstream.JetStream) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	var spool *bus.Spool
	if i.spooling != nil {
		spool = i.spooling.spool
	}
	senders := newFleet(sending, js, i.options.OTLP.Node, spool, stop)
	i.sending.Store(senders)
	send := func(ctx context.Context, b *event.Batch) error {
		if err := senders.send(ctx, b); err != nil {
			return err
		}
		i.metrics.losses(b.Events)
		return nil
	}
	g, taking := errgroup.WithContext(ctx)
	g.Go(func() error { // a processor may have no source
		return i.watchBus(taking)
	})
	// What is not observed is said before the first span is taken: else a request that
	// ends now would look as if nothing were missing.
	observing := send
	said := make(chan struct{})
	if i.sockets == nil {
		close(said)
	} else {
		var once sync.Once
		observing = func(ctx context.Context, b *event.Batch) error {
			defer once.Do(func() { close(said) })
			return send(ctx, b)
		}
	}
	if i.receiver != nil {
		g.Go(func() error {
			select {
			case <-said:
			case <-time.After(sayWithin):
			case <-taking.Done():
			}
			return i.receiver.Run(taking, send)
		})
	}
	if i.cloud != nil {
		g.Go(func() error { return i.cloud.Run(taking, send) })
	}
	if i.spooling != nil {
		g.Go(func() error { return i.spooling.run(taking, js, send) })
	}
	if i.pods != nil {
		sink := counted(event.SourceK8s, send, i.metrics)
		g.Go(func() error { return i.pods.Run(taking, sink) })
	}
	for _, a := range i.agents {
		g.Go(func() error { return a.Run(taking, send) })
	}
	if i.follower != nil {
		lines := newFollowed(i.options.OTLP.Redact, send, i.metrics, i.service.Log)
		g.Go(func() error { return i.follower.Run(taking, lines.take) })
	}
	if i.sockets != nil {
		sink := counted(event.SourceSocket, observing, i.metrics)
		g.Go(func() error { return i.runSockets(taking, sink) })
	}
	err := g.Wait()
	time.AfterFunc(drainSending, stopSending)
	err = errors.Join(err, senders.close())
	if i.spooling != nil {
		err = errors.Join(err, i.spooling.spool.Close())
	}
	return err
}

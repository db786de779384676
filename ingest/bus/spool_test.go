package bus_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/embed"
	"github.com/sennit-io/sennit/schemas/event"
)

// away is a bus that can be stopped, and a client of it over the network.
type away struct {
	options embed.Options
	server  *embed.Server
	js      jetstream.JetStream
}

func newAway(t *testing.T) *away {
	t.Helper()
	a := &away{options: embed.Options{Dir: t.TempDir(), Host: "127.0.0.1", Port: -1}}
	a.start(t)
	nc, err := nats.Connect(a.server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if a.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if err := bus.Setup(t.Context(), a.js, limits); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *away) start(t *testing.T) {
	t.Helper()
	var err error
	if a.server, err = embed.Start(a.options); err != nil {
		t.Fatal(err)
	}
	a.options.Port = a.server.Port()
	t.Cleanup(a.server.Close)
}

// spooling runs a spool and a sender with it, until stop.
func spooling(t *testing.T, js jetstream.JetStream, dir string, most int64, lost func(bus.Dropped)) (s *bus.Sender, p *bus.Spool, stop func()) {
	t.Helper()
	p, err := bus.OpenSpool(dir, most, lost)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = bus.NewSender(js, "n", p)
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := p.Run(ctx, js); err != nil {
			t.Error(err)
		}
	})
	wait.Go(func() { _ = s.Run(ctx) })
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			wait.Wait()
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return s, p, stop
}

// send sends numbered events and returns when they are safe.
func send(t *testing.T, s *bus.Sender, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := s.Send(t.Context(), numbered("n", i)); err != nil {
			t.Fatal(err)
		}
		if i%40 == 39 || i == to-1 {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// once takes different events from the stream, as a processor does, until they are
// enough and no more come, and fails on what comes twice.
func once(t *testing.T, js jetstream.JetStream, enough func(map[uint32]bool) bool) (numbers map[uint32]bool, missing uint64) {
	t.Helper()
	r, err := bus.NewReader(t.Context(), js, bus.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var o bus.Opener
	sessions := bus.NewSessions()
	numbers = map[uint32]bool{}
	for began := time.Now(); time.Since(began) < 30*time.Second; {
		m, ok, err := r.Next(time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if enough(numbers) {
				break
			}
			continue
		}
		var b event.Batch
		h, err := o.Open(m.Data, &b)
		if err != nil {
			t.Fatal(err)
		}
		duplicate, gone, _ := sessions.Take(m.Node, &h, 0, event.At(m.Stored))
		if missing += gone; duplicate {
			continue
		}
		for _, e := range b.Events {
			k := e.Payload.(*event.Span).PID
			if numbers[k] {
				t.Errorf("event %d came twice", k)
			}
			numbers[k] = true
		}
	}
	return numbers, missing
}

// What is taken while the bus is away is on the bus afterwards, once, whether the
// node lives on or not.
func TestSpool(t *testing.T) {
	a := newAway(t)
	dir := t.TempDir()
	never := func(d bus.Dropped) { t.Errorf("dropped %+v", d) }
	s, p, stop := spooling(t, a.js, dir, bus.MinSpool, never)
	send(t, s, 0, 200)
	if n, _ := p.Size(); n != 0 {
		t.Errorf("%d envelopes are spooled while the bus is there", n)
	}
	a.server.Close()
	send(t, s, 200, 600)
	if n, _ := p.Size(); n == 0 {
		t.Error("nothing is spooled while the bus is away")
	}
	stop() // and another life takes over
	s, p, _ = spooling(t, a.js, dir, bus.MinSpool, never)
	send(t, s, 600, 800)
	a.start(t)
	send(t, s, 800, 1000)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if n, _ := p.Size(); n == 0 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%d envelopes are still spooled", n)
		}
	}
	send(t, s, 1000, 1200)
	if got, missing := once(t, a.js, func(got map[uint32]bool) bool { return len(got) >= 1200 }); len(got) != 1200 || missing != 0 {
		t.Errorf("%d of 1200 events came, %d envelopes are missing", len(got), missing)
	}
}

// A spool that is full gives up the oldest, and says how many events of whom.
func TestSpoolFull(t *testing.T) {
	a := newAway(t)
	a.server.Close()
	lost, first := 0, event.Time(0)
	var mu sync.Mutex
	s, p, _ := spooling(t, a.js, t.TempDir(), 512<<10, func(d bus.Dropped) {
		mu.Lock()
		defer mu.Unlock()
		if d.Node != "n" || d.Source != event.SourceOTLP || d.From == 0 || d.To < d.From {
			t.Errorf("dropped %+v", d)
		}
		if first == 0 {
			first = d.From
		}
		lost += d.Events
	})
	const n = 8000
	send(t, s, 0, n)
	if _, size := p.Size(); size > 512<<10 {
		t.Errorf("the spool has %d bytes", size)
	}
	a.start(t)
	// What the client had under way when the bus went away may come though it was
	// dropped too; the newest come in any case.
	got, _ := once(t, a.js, func(got map[uint32]bool) bool { return got[n-1] })
	mu.Lock()
	defer mu.Unlock()
	if lost == 0 || len(got) < n-lost {
		t.Errorf("%d events came, %d were dropped, of %d", len(got), lost, n)
	}
	for i := lost; i < n; i++ {
		if !got[uint32(i)] {
			t.Fatalf("event %d is missing: not the oldest %d were dropped", i, lost)
		}
	}
}

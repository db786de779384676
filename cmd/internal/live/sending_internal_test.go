package live

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/schemas/event"
)

func processorIn(t *testing.T, js jetstream.JetStream, dir string) *Processor {
	t.Helper()
	p, err := NewProcessor(js, NewMetrics(prometheus.NewRegistry()), Options{Dir: dir, Shards: 1, Window: window.Default(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func messagesIn(t *testing.T, js jetstream.JetStream, stream string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

// leave puts so many results into a state folder that are to be sent.
func leave(t *testing.T, s *disk.Store, results int) []disk.Bundle {
	t.Helper()
	list := make([]disk.Result, results)
	for i := range list {
		list[i] = disk.Result{Kind: byte(bus.OutDead), ID: fmt.Sprint(i), Data: []byte("x")}
	}
	bundles, err := s.Turn(disk.Turn{At: disk.Position{Now: event.At(time.Now())}, Results: list})
	if err != nil {
		t.Fatal(err)
	}
	return bundles
}

// sentAll waits until so many dead letters are sent.
func sentAll(t *testing.T, js jetstream.JetStream, want int) {
	t.Helper()
	got := uint64(0)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = messagesIn(t, js, bus.StreamDead); got >= uint64(want) {
			break
		}
	}
	if got != uint64(want) {
		t.Errorf("%d messages are sent, want %d", got, want)
	}
}

// More results wait than reading would wait for, and a processor starts: it has to read
// before it may send.
func TestManyResultsWaitAtTheStart(t *testing.T) {
	js := bustest.Start(t)
	dir := filepath.Join(t.TempDir(), "state")
	p := processorIn(t, js, dir)
	leave(t, p.store, mostWaiting+100)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = processorIn(t, js, dir)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	sentAll(t, js, mostWaiting+100)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An answer is lost while more waits than reading would wait for: reading goes on until
// the streams were followed to their ends again.
func TestManyResultsWaitAndAnAnswerIsLost(t *testing.T) {
	js := bustest.Start(t)
	p := processorIn(t, js, filepath.Join(t.TempDir(), "state"))
	defer p.Close()
	bundles := leave(t, p.store, mostWaiting+100)
	ack, _, err := bus.Publish(t.Context(), js, bus.OutDead, []string{"0"}, []byte("x"), 0)
	if err != nil {
		t.Fatal(err)
	}
	<-ack.Ok()
	p.sending.read(&bus.Message{Stored: time.Now().Add(-time.Minute)}) // so far behind are the events
	p.sending.committed(bundles, time.Time{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.sending.run(ctx) }()
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if p.sending.crowded() {
			t.Fatal("nothing is read, and nothing can be sent until more is read")
		}
	}
	p.sending.read(&bus.Message{Stored: time.Now()})
	sentAll(t, js, mostWaiting+100)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Reading may be hours ahead of what is decided. What another processor has sent is not
// forgotten until it is decided here.
func TestHeardUntilItIsDecided(t *testing.T) {
	js := bustest.Start(t)
	p := processorIn(t, js, filepath.Join(t.TempDir(), "state"))
	defer p.Close()
	ack, _, err := bus.Publish(t.Context(), js, bus.OutTimeline, []string{"b/1"}, bus.Pack([]byte("{}")), 0)
	if err != nil {
		t.Fatal(err)
	}
	<-ack.Ok()
	send := func() {
		t.Helper()
		if err := p.sending.send(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	p.sending.read(&bus.Message{Stored: began.Add(2 * heardFor)})
	p.sending.committed(nil, began)
	send()
	bundles, err := p.store.Turn(disk.Turn{Results: []disk.Result{{Kind: byte(bus.OutTimeline), ID: "b/1", Of: "b", Data: []byte("{}")}}})
	if err != nil {
		t.Fatal(err)
	}
	p.sending.committed(bundles, began.Add(2*heardFor))
	send()
	if n := messagesIn(t, js, bus.StreamOut); n != 1 {
		t.Errorf("it is in the stream %d times", n)
	}
	if len(p.sending.outbox.heard) != 0 {
		t.Errorf("still heard: %v", p.sending.outbox.heard)
	}
}

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/ingest/bus/embed"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
)

var limits = bustest.Limits

func serve(t *testing.T, o embed.Options) (*embed.Server, jetstream.JetStream) {
	t.Helper()
	return bustest.Serve(t, o)
}

// run runs a sender for the length of the test.
func run(t *testing.T, js jetstream.JetStream, node string) (*bus.Sender, <-chan error) {
	t.Helper()
	s, done := bus.NewSender(js, node, nil), make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	return s, done
}

// numbered makes an event that says which one it is.
func numbered(node string, i int) *event.Event {
	e := eventtest.Fill(event.KindSpan, uint64(i)+2)
	e.Node, e.Source = node, event.SourceOTLP
	e.Payload.(*event.Span).PID = uint32(i)
	return e
}

// read takes n events from a position on.
func read(t *testing.T, js jetstream.JetStream, from bus.Position, n int) (events []event.Event, last bus.Position, heads []bus.Head) {
	t.Helper()
	r, err := bus.NewReader(t.Context(), js, from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var o bus.Opener
	for began := time.Now(); len(events) < n; {
		m, ok, err := r.Next(time.Second)
		if err != nil || m.Err != nil {
			t.Fatal(err, m.Err)
		}
		if !ok {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%d of %d events came", len(events), n)
			}
			continue
		}
		var b event.Batch
		h, err := o.Open(m.Data, &b)
		if err != nil {
			t.Fatal(err)
		}
		if h.Node != m.Node || int(h.Partition) != m.Partition {
			t.Errorf("head %+v under node %q, partition %d", h, m.Node, m.Partition)
		}
		events, heads, last = append(events, b.Events...), append(heads, h), r.Position(m.Sequence)
	}
	return events, last, heads
}

func TestEventsComeThrough(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	const n, node = 2000, "ip-10-0-0-1.ec2.internal"
	s, done := run(t, js, node)
	began := time.Now()
	for i := range n {
		if err := s.Send(t.Context(), numbered(node, i)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	lingers := int(time.Since(began)/(10*time.Millisecond)) + 1 // on a slow machine a pack is sent before it is full
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got, last, heads := read(t, js, bus.Position{}, n)
	for i := range got {
		if d := cmp.Diff(numbered(node, i), &got[i], eventtest.Equal); d != "" {
			t.Fatalf("event %d (-sent +got):\n%s", i, d)
		}
	}
	if len(heads) > n/256+1+lingers {
		t.Errorf("%d events travelled in %d envelopes", n, len(heads))
	}
	for i, h := range heads {
		if h.Sequence != uint64(i+1) || h.Session != heads[0].Session {
			t.Errorf("envelope %d has sequence %d", i, h.Sequence)
		}
	}
	if err := s.Send(t.Context(), numbered(node, 0)); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a closed sender took an event: %v", err)
	}

	// From a position on, only what follows.
	s, done = run(t, js, "n2")
	if err := s.Send(t.Context(), numbered("n2", 7)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	<-done
	got, _, _ = read(t, js, last, 1)
	if len(got) != 1 || got[0].Node != "n2" {
		t.Errorf("read %d events, the first of %q", len(got), got[0].Node)
	}
}

func TestPositionOfAnotherStream(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	for _, from := range []bus.Position{{Sequence: 1, Created: 1}} {
		if _, err := bus.NewReader(t.Context(), js, from); !errors.Is(err, bus.ErrStream) {
			t.Errorf("%+v: %v, want ErrStream", from, err)
		}
	}
	r, err := bus.NewReader(t.Context(), js, bus.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := bus.NewReader(t.Context(), js, r.Position(9)); !errors.Is(err, bus.ErrStream) {
		t.Errorf("a position beyond the end: %v, want ErrStream", err)
	}
}

// What the stream drops while it is read is counted, as what it dropped before.
func TestLost(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	const most = 48 // of 512 KiB: more than a reader has asked for ahead
	publish := func(n int) {
		t.Helper()
		for range n {
			if _, err := js.Publish(t.Context(), bus.Subject("n1", event.SourceOTLP), make([]byte, 512<<10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := js.Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	publish(1)
	r, err := bus.NewReader(t.Context(), js, bus.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok, err := r.Next(5 * time.Second); err != nil || !ok {
		t.Fatal(ok, err)
	}
	publish(most - 1)
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(most)); err != nil {
		t.Fatal(err)
	}
	read, lost, last := uint64(1), uint64(0), uint64(1)
	for began := time.Now(); last < most && time.Since(began) < 20*time.Second; {
		m, ok, err := r.Next(time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			read++
			last = m.Sequence
		}
		lost += r.TakeLost()
	}
	if read+lost != most || lost == 0 || read < 2 {
		t.Errorf("%d messages were read and %d lost of %d", read, lost, most)
	}
	again, err := bus.NewReader(t.Context(), js, r.Position(10))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if m, ok, err := again.Next(5 * time.Second); err != nil || !ok || m.Sequence != most {
		t.Errorf("read on at %d, %v, %v", m.Sequence, ok, err)
	}
	if got := again.TakeLost(); got != most-11 {
		t.Errorf("%d messages were lost, want %d", got, most-11)
	}
}

func TestSetupChecks(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	if err := bus.Setup(t.Context(), js, limits); err != nil {
		t.Errorf("the second time: %v", err)
	}
	s, err := js.Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.Discard = jetstream.DiscardNew
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	err = bus.Setup(t.Context(), js, limits)
	if !errors.Is(err, bus.ErrStream) || !strings.Contains(fmt.Sprint(err), "nats stream edit EVENTS") {
		t.Errorf("%v, want ErrStream and what to do", err)
	}
}

// A server that dies under a sender loses nothing that the sender was given.
func TestServerRestarts(t *testing.T) {
	o := embed.Options{Dir: t.TempDir(), Host: "127.0.0.1", Port: -1}
	s, js := serve(t, o)
	sender, done := run(t, js, "n1")
	const n = 3000
	for i := range n {
		if err := sender.Send(t.Context(), numbered("n1", i)); err != nil {
			t.Fatal(err)
		}
		if i == n/2 {
			s.Close()
			// The client connected within the program cannot follow to another
			// server; its sender goes on trying until its context ends.
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for i := n / 2; ctx.Err() == nil; i++ {
		_ = sender.Send(ctx, numbered("n1", i)) // back pressure, no loss: it must not spin
	}
	select {
	case err := <-done:
		t.Fatalf("the sender gave up: %v", err)
	default:
	}
	_, js = serve(t, o)
	got, _, _ := read(t, js, bus.Position{}, 1)
	if len(got) == 0 || len(got) > n/2+1 {
		t.Errorf("%d events survived", len(got))
	}
	for i := range got { // what was acknowledged is a beginning of what was sent
		if got[i].Payload.(*event.Span).PID != uint32(i) {
			t.Fatalf("event %d is %d", i, got[i].Payload.(*event.Span).PID)
		}
	}
}

// One processor has the bus; it has it again after it died; another waits until
// the lease is given back.
func TestLease(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	if _, err := bus.Acquire(t.Context(), js, "a"); err != nil {
		t.Fatal(err)
	}
	l, err := bus.Acquire(t.Context(), js, "a") // it died and is back
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Acquire(t.Context(), js, "b"); !errors.Is(err, bus.ErrTaken) {
		t.Errorf("another: %v, want ErrTaken", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Keep(ctx); err != nil {
		t.Error(err)
	}
	if _, err := bus.Acquire(t.Context(), js, "b"); err != nil {
		t.Errorf("after it was given back: %v", err)
	}
}

// TestSince: a reader that begins at a time gets what was stored since.
func TestSince(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	s, _ := run(t, js, "n")
	send := func(i int) {
		t.Helper()
		if err := errors.Join(s.Send(t.Context(), numbered("n", i)), s.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	time.Sleep(10 * time.Millisecond)
	since := time.Now()
	send(2)
	r, err := bus.NewReaderSince(t.Context(), js, since)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m, ok, err := r.Next(10 * time.Second)
	if err != nil || !ok || m.Sequence != 2 || m.Pending != 0 {
		t.Errorf("it begins with %d, %v, %v", m.Sequence, ok, err)
	}
}

// As long as the bus has not acknowledged what a sender sent, its events wait for
// company longer: a bus that is slow gets few envelopes that are full.
func TestASlowBusGetsFewEnvelopes(t *testing.T) {
	s, err := embed.Start(embed.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	envelopes, err := nc.SubscribeSync("sennit.events.>") // in the place of the stream, to acknowledge when the test says
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	sender, done := run(t, js, "n")
	send := func(i int) {
		if err := sender.Send(t.Context(), numbered("n", i)); err != nil {
			t.Fatal(err)
		}
	}
	send(0)
	first, err := envelopes.NextMsg(5 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n := 1
	for ; time.Since(began) < 60*time.Millisecond; n++ {
		send(n)
		time.Sleep(time.Millisecond)
	}
	waiting, _, _ := envelopes.Pending()
	if most := int(time.Since(began) / (100 * time.Millisecond)); waiting > most {
		t.Errorf("%d events went in %d envelopes while the first was not acknowledged, at most %d were due", n-1, waiting, most)
	}
	sender.Close()
	var o bus.Opener
	var b event.Batch
	for m := first; ; {
		if _, err := o.Open(m.Data, &b); err != nil {
			t.Fatal(err)
		}
		if err := m.Respond([]byte(`{"stream":"EVENTS","seq":1}`)); err != nil {
			t.Fatal(err)
		}
		if len(b.Events) == n {
			break
		}
		if m, err = envelopes.NextMsg(5 * time.Second); err != nil {
			t.Fatalf("%d of %d events came: %v", len(b.Events), n, err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

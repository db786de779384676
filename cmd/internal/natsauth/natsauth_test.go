package natsauth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/event"
)

// start runs a NATS server with the users of a folder.
func start(t *testing.T, dir string) string {
	t.Helper()
	conf := filepath.Join(filepath.Dir(dir), "nats.conf")
	text := fmt.Sprintf("listen: 127.0.0.1:-1\njetstream { store_dir: %q }\ninclude %s/%s\n", t.TempDir(), filepath.Base(dir), Config)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not take connections")
	}
	return s.ClientURL()
}

// user is a connection of a user, with the errors that the server sends it.
type user struct {
	*nats.Conn
	js     jetstream.JetStream
	inbox  string
	errors chan error
}

func connect(t *testing.T, url, seed string) *user {
	t.Helper()
	data, err := os.ReadFile(seed)
	if err != nil {
		t.Fatal(err)
	}
	key, err := PublicKey(data)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := nats.NkeyOptionFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	u := &user{errors: make(chan error, 16), inbox: bus.InboxPrefix(key)}
	u.Conn, err = nats.Connect(url, auth, nats.CustomInboxPrefix(u.inbox),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { u.errors <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	if u.js, err = jetstream.New(u.Conn); err != nil {
		t.Fatal(err)
	}
	return u
}

// refused fails unless the server refuses what is done.
func (u *user) refused(t *testing.T, what string, do func() error) {
	t.Helper()
	for len(u.errors) > 0 {
		<-u.errors
	}
	err := do()
	if err == nil {
		err = u.Flush()
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	select {
	case err := <-u.errors:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(time.Minute):
		t.Errorf("%s is not refused", what)
	}
}

func (u *user) hears(subject string) func() error {
	return func() error { _, err := u.SubscribeSync(subject); return err }
}

func (u *user) says(subject string) func() error {
	return func() error { return u.Publish(subject, []byte("x")) }
}

func TestUsers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := Write(dir, []string{"a", "b.example"}); err != nil {
		t.Fatal(err)
	}
	url := start(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	processor := connect(t, url, filepath.Join(dir, "processor.nk"))
	for range 2 { // making, and checking
		if err := bus.Setup(ctx, processor.js, bus.Limits{Replicas: 1, MaxBytes: 1 << 20, MaxAge: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	lease, err := bus.Acquire(ctx, processor.js, "me")
	if err != nil {
		t.Fatal(err)
	}
	keeping, giveBack := context.WithCancel(ctx)
	giveBack()
	if err := lease.Keep(keeping); err != nil {
		t.Error(err)
	}

	a := connect(t, url, filepath.Join(dir, "node-a.nk"))
	send := func(u *user, node string) {
		t.Helper()
		s := bus.NewSender(u.js, node, nil)
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		e := &event.Event{Kind: event.KindClock, Source: event.SourceSocket, Node: node, Time: 1, Payload: &event.Clock{}}
		if err := errors.Join(s.Send(ctx, e), s.Flush(ctx)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	send(a, "a")
	send(connect(t, url, filepath.Join(dir, "node-b=2Eexample.nk")), "b.example")

	a.refused(t, "publishing as another", a.says(bus.Subject("b.example", event.SourceSocket)))
	a.refused(t, "publishing as nobody", a.says(bus.Subject("", event.SourceSocket)))
	a.refused(t, "publishing results", a.says("sennit.out.timeline"))
	a.refused(t, "publishing dead letters", a.says("sennit.dead.envelope"))
	a.refused(t, "reading results", a.hears("sennit.out.timeline"))
	a.refused(t, "reading events", a.hears("sennit.events.>"))
	a.refused(t, "reading its own events", a.hears(bus.Subject("a", event.SourceSocket)))
	a.refused(t, "reading everything", a.hears(">"))
	a.refused(t, "reading others' answers", a.hears("_INBOX.>"))
	a.refused(t, "reading the processor's answers", a.hears(processor.inbox+".>"))
	a.refused(t, "asking for JetStream", a.says("$JS.API.INFO"))
	a.refused(t, "deleting the stream", a.says("$JS.API.STREAM.DELETE.EVENTS"))
	a.refused(t, "making a consumer", a.says("$JS.API.CONSUMER.CREATE.OUT"))
	a.refused(t, "taking the lease", a.says("$KV.SENNIT_LEASES.processor"))
	processor.refused(t, "the processor publishing as a node", processor.says(bus.Subject("a", event.SourceSocket)))
	processor.refused(t, "the processor deleting a stream", processor.says("$JS.API.STREAM.DELETE.EVENTS"))

	// Where the server sends its acknowledgement is the sender's choice: it is no way
	// to do what the sender may not.
	for _, reply := range []string{
		"$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.DELETE.OUT", "sennit.out.timeline", "sennit.dead.envelope",
		"$KV.SENNIT_LEASES.processor", bus.Subject("b.example", event.SourceSocket), processor.inbox + ".x",
	} {
		if err := a.PublishRequest(bus.Subject("a", event.SourceSocket), reply, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // for what must not come
	for stream, want := range map[string]uint64{bus.StreamEvents: 2 + 7, bus.StreamOut: 0, bus.StreamDead: 0, "KV_SENNIT_LEASES": 2} {
		s, err := processor.js.Stream(ctx, stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().State.LastSeq; got != want {
			t.Errorf("%s has %d messages, want %d", stream, got, want)
		}
	}

	r, err := bus.NewReader(ctx, connect(t, url, filepath.Join(dir, "recorder.nk")).js, bus.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var nodes []string
	for range 2 {
		m, ok, err := r.Next(5 * time.Second)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		nodes = append(nodes, m.Node)
	}
	if d := cmp.Diff([]string{"a", "b.example"}, nodes); d != "" {
		t.Error(d)
	}

	// Whoever listens hears the alerts of a severity, and can do nothing.
	listener := connect(t, url, filepath.Join(dir, "listener.nk"))
	heard, err := listener.SubscribeSync("sennit.out.alert.high")
	if err == nil {
		err = listener.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, severity := range []string{"low", "high"} {
		ack, _, err := bus.Publish(t.Context(), processor.js, bus.OutAlert, []string{bus.AlertID(severity, severity, 1, "open")}, []byte(severity), uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		<-ack.Ok()
	}
	if m, err := heard.NextMsg(5 * time.Second); err != nil || string(m.Data) != "high" {
		t.Errorf("the listener hears %v, %v", m, err)
	}
	listener.refused(t, "a listener reading events", listener.hears("sennit.events.>"))
	listener.refused(t, "a listener reading dead letters", listener.hears("sennit.undelivered.*"))
	listener.refused(t, "a listener reading answers", listener.hears(processor.inbox+".>"))
	listener.refused(t, "a listener writing results", listener.says("sennit.out.alert.high"))
	listener.refused(t, "a listener asking for JetStream", listener.says("$JS.API.INFO"))

	hook, err := bus.NewConsumer(ctx, processor.js, "hook", bus.OutTimeline)
	if err != nil {
		t.Fatal(err)
	}
	ack, _, err := bus.Publish(t.Context(), processor.js, bus.OutTimeline, []string{"x/1"}, bus.Pack([]byte("{}")), 2)
	if err != nil {
		t.Fatal(err)
	}
	<-ack.Ok()
	result, ok, err := hook.Next(time.Minute)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := result.Dead(ctx, errors.New("gone")); err != nil {
		t.Error(err)
	}
	asking, cancelAsking := context.WithTimeout(ctx, time.Minute)
	defer cancelAsking()
	if n, err := bus.Resend(asking, processor.js, "hook", 0); err != nil || n != 1 {
		t.Errorf("%d dead letters are sent again, %v", n, err)
	}
	sinks := connect(t, url, filepath.Join(dir, "sinks.nk"))
	c, err := sinks.js.CreateOrUpdateConsumer(ctx, bus.StreamOut, jetstream.ConsumerConfig{Durable: "s", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(ctx); err != nil {
		t.Error(err)
	}
	sinks.refused(t, "a sink reading events", sinks.says("$JS.API.CONSUMER.CREATE.EVENTS"))
	sinks.refused(t, "a sink writing results", sinks.says("sennit.out.timeline"))
}

// TestAgain: a second run keeps every key, and adds the node that is new.
func TestAgain(t *testing.T) {
	dir := t.TempDir()
	first, err := Write(dir, []string{"b", "a"})
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "node-a.nk"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := Write(dir, []string{"c", "b"})
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, u := range second {
		made[u.Name] = u.New
	}
	want := map[string]bool{"processor": false, "sinks": false, "recorder": false, "listener": false, `node "a"`: false, `node "b"`: false, `node "c"`: true}
	if d := cmp.Diff(want, made); d != "" {
		t.Error(d)
	}
	after, err := os.ReadFile(filepath.Join(dir, "node-a.nk"))
	if err != nil || string(after) != string(before) {
		t.Errorf("a's key changed: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "node-c.nk"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("c's key: %v, %v", info.Mode(), err)
	}
	conf, err := os.ReadFile(filepath.Join(dir, Config))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range append(first, second...) {
		if !strings.Contains(string(conf), u.key) {
			t.Errorf("%s is not in the configuration", u.Name)
		}
	}
	if strings.Contains(string(conf), "SU") && strings.Contains(string(conf), strings.TrimSpace(string(before))) {
		t.Error("a seed is in the configuration")
	}
	if err := os.WriteFile(filepath.Join(dir, "node-a.nk"), []byte("no seed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(dir, nil); err == nil || !strings.Contains(err.Error(), "node-a.nk") {
		t.Errorf("a broken seed gives %v", err)
	}
}

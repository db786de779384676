package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

const (
	topic        = "projects/p/topics/logs"
	subscription = "projects/p/subscriptions/sennit"
)

// fixture is Google's own fake of Pub/Sub, and a source that pulls from it.
type fixture struct {
	*testing.T
	server *pstest.Server
	stop   func()

	mu     sync.Mutex
	taken  map[string]int // how often the sink took what the method of an event says
	tally  ingest.Tally
	faults []error // of records
	told   []error // of Connected
	fail   func(ctx context.Context) error
}

func newFixture(t *testing.T) *fixture {
	x := &fixture{T: t, server: pstest.NewServer(), taken: map[string]int{}}
	t.Cleanup(func() { x.server.Close() })
	t.Setenv("PUBSUB_EMULATOR_HOST", x.server.Addr)
	if _, err := x.server.GServer.CreateTopic(t.Context(), &pubsubpb.Topic{Name: topic}); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *fixture) subscribe() {
	x.Helper()
	if _, err := x.server.GServer.CreateSubscription(x.Context(), &pubsubpb.Subscription{Name: subscription, Topic: topic, AckDeadlineSeconds: 10}); err != nil {
		x.Fatal(err)
	}
}

// run pulls until the test ends, or stop is called.
func (x *fixture) run() {
	x.Helper()
	s, err := New(x.Context(), Config{
		Subscription: subscription,
		Connected: func(err error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.told = append(x.told, err)
		},
		Records: func(t ingest.Tally, err error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.tally.Add(t)
			if err != nil {
				x.faults = append(x.faults, err)
			}
		},
	})
	if err != nil {
		x.Fatal(err)
	}
	ctx, cancel := context.WithCancel(x.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, x.take) }()
	x.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			x.Error(err)
		}
	})
	x.Cleanup(x.stop)
}

func (x *fixture) take(ctx context.Context, b *event.Batch) error {
	x.mu.Lock()
	fail := x.fail
	x.mu.Unlock()
	if fail != nil {
		if err := fail(ctx); err != nil {
			return err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range b.Events {
		e := &b.Events[i]
		if e.Observed == 0 {
			x.Errorf("event %s was observed never", e.ID)
		}
		x.taken[e.Payload.(*event.EdgeRequest).HTTP.Path]++
	}
	return nil
}

// put publishes the log entry of a request.
func (x *fixture) put(n int) (id string) {
	return x.server.Publish(topic, fmt.Appendf(nil, `{"httpRequest":{"requestMethod":"GET","requestUrl":"https://agents.example.com/run/%d","status":200,"latency":"0.1s"},`+
		`"insertId":"i%d","resource":{"type":"http_load_balancer"},"timestamp":"2026-11-20T09:15:42.318204Z"}`, n, n), nil)
}

// until waits for a condition.
func (x *fixture) until(what string, ok func() bool) {
	x.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		x.mu.Lock()
		done := ok()
		x.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(end) {
			x.Fatalf("waited in vain until %s; told %v", what, x.told)
		}
	}
}

func (x *fixture) unacknowledged() (n int) {
	for _, m := range x.server.Messages() {
		if m.Acks == 0 {
			n++
		}
	}
	return n
}

// once expects that each of n events was taken once, and acknowledged.
func (x *fixture) once(n int) {
	x.Helper()
	x.until("all are acknowledged", func() bool { return x.unacknowledged() == 0 })
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.taken) != n {
		x.Errorf("%d events of %d", len(x.taken), n)
	}
	for path, times := range x.taken {
		if times != 1 {
			x.Errorf("%s was taken %d times", path, times)
		}
	}
}

func TestPulls(t *testing.T) {
	x := newFixture(t)
	x.subscribe()
	for i := range 100 {
		x.put(i)
	}
	x.server.Publish(topic, []byte(`{"logName":"projects/p/logs/stdout","textPayload":"hello"}`), nil)
	x.server.Publish(topic, []byte(`no JSON`), nil)
	x.run()
	x.once(100)
	x.stop()
	if want := (ingest.Tally{In: 102, Bad: 1, UnknownType: 1}); x.tally != want || len(x.faults) != 2 {
		t.Errorf("tally %+v, want %+v; %v", x.tally, want, x.faults)
	}
	if len(x.told) != 1 || x.told[0] != nil {
		t.Errorf("told %v", x.told)
	}
}

// Nothing is acknowledged before the sink has it, and a sink without room is waited
// for.
func TestAcknowledgesAfterTheSink(t *testing.T) {
	x := newFixture(t)
	x.subscribe()
	room := make(chan struct{})
	var busy atomic.Int32
	x.fail = func(context.Context) error {
		if busy.Add(1) <= 3 {
			return ingest.ErrBusy
		}
		<-room
		return nil
	}
	x.run()
	for i := range 10 {
		x.put(i)
	}
	x.until("the sink is asked", func() bool { return busy.Load() > 3 })
	time.Sleep(200 * time.Millisecond) // a wrong acknowledgement would have come by then
	if n := x.unacknowledged(); n != 10 {
		t.Errorf("%d of 10 are not acknowledged", n)
	}
	close(room)
	x.once(10)
	for _, m := range x.server.Messages() {
		if m.Deliveries != 1 {
			t.Errorf("message %s was brought %d times", m.ID, m.Deliveries)
		}
	}
}

// What the sink could not take is refused, and comes again.
func TestSinkFails(t *testing.T) {
	x := newFixture(t)
	x.subscribe()
	broken := errors.New("disk on fire")
	calls := 0
	x.fail = func(context.Context) error {
		if calls++; calls <= 2 {
			return broken
		}
		return nil
	}
	id := x.put(1)
	x.run()
	x.once(1)
	if m := x.server.Message(id); m.Deliveries != 3 {
		t.Errorf("brought %d times", m.Deliveries)
	}
	x.stop()
	if !slices.ContainsFunc(x.told, func(err error) bool { return errors.Is(err, broken) }) {
		t.Errorf("told %v", x.told)
	}
}

// At the end the sink gets what was pulled, and Pub/Sub its acknowledgements.
func TestEnd(t *testing.T) {
	x := newFixture(t)
	x.subscribe()
	asked, room := make(chan struct{}), make(chan struct{})
	x.fail = func(ctx context.Context) error {
		close(asked)
		<-room
		return ctx.Err()
	}
	x.put(1)
	x.run()
	<-asked
	time.AfterFunc(300*time.Millisecond, func() { close(room) })
	x.stop()
	if n := x.unacknowledged(); n != 0 || x.taken["/run/1"] != 1 {
		t.Errorf("%d are not acknowledged, taken %v", n, x.taken)
	}
}

// A subscription that is not there is told, and asked again.
func TestNoSubscription(t *testing.T) {
	x := newFixture(t)
	x.run()
	x.until("it is told", func() bool { return len(x.told) > 0 })
	if err := x.told[0]; status.Code(err) != codes.NotFound {
		t.Errorf("told %v", err)
	}
	x.subscribe()
	x.put(1)
	x.once(1)
	x.until("it is told", func() bool { return x.told[len(x.told)-1] == nil })
}

func TestNames(t *testing.T) {
	for _, bad := range []string{"", "sennit", "projects/p/topics/t", "projects//subscriptions/s", "projects/p/subscriptions/s/x"} {
		if _, err := New(t.Context(), Config{Subscription: bad}); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

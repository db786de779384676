package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/embed"
)

func publish(t *testing.T, js jetstream.JetStream, kind bus.Out, id, body string) {
	t.Helper()
	if kind == bus.OutTimeline {
		publishAll(t, js, kind, []string{id}, bus.Pack([]byte(body)))
		return
	}
	publishAll(t, js, kind, []string{id}, []byte(body))
}

func publishAll(t *testing.T, js jetstream.JetStream, kind bus.Out, ids []string, body []byte) {
	t.Helper()
	stream, err := js.Stream(t.Context(), kind.Stream())
	if err != nil {
		t.Fatal(err)
	}
	ack, _, err := bus.Publish(t.Context(), js, kind, ids, body, stream.CachedInfo().State.LastSeq)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-ack.Ok():
	case err := <-ack.Err():
		t.Fatal(err)
	}
}

func consume(t *testing.T, js jetstream.JetStream, sink string, kinds ...bus.Out) *bus.Consumer {
	t.Helper()
	c, err := bus.NewConsumer(t.Context(), js, sink, kinds...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// take reads n results, or what comes within a while.
func take(t *testing.T, c *bus.Consumer, n int, wait time.Duration) (list []bus.Result) {
	t.Helper()
	for deadline := time.Now().Add(wait); len(list) < n && time.Now().Before(deadline); {
		r, ok, err := c.Next(50 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			list = append(list, r)
		}
	}
	return list
}

func named(list []bus.Result) (names []string) {
	for _, r := range list {
		names = append(names, fmt.Sprintf("%c %s/%d #%d %s", r.Kind, r.ID, r.Revision, r.Attempt, r.Data))
	}
	return names
}

// Timelines go to their one reader as before, alerts by severity; a sink gets what is
// for it, and comes back to what it has not settled.
func TestConsumer(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	publish(t, js, bus.OutTimeline, "before/1", "-")
	alerts, all := consume(t, js, "alerts", bus.OutAlert), consume(t, js, "all", bus.OutAlert, bus.OutTimeline)
	publish(t, js, bus.OutAlert, bus.AlertID("high", "a", 1, "open"), "A1")
	publish(t, js, bus.OutTimeline, "t/1", "T1")
	publish(t, js, bus.OutAlert, bus.AlertID("low", "b", 1, "open"), "B1")
	publish(t, js, bus.OutAlert, bus.AlertID("high", "a", 1, "open"), "A1") // sent twice
	publish(t, js, bus.OutAlert, bus.AlertID("high", "a", 2, "withdrawn"), "A2")

	got := take(t, alerts, 4, time.Second)
	if d := cmp.Diff([]string{"a a/1 #1 A1", "a b/1 #1 B1", "a a/2 #1 A2"}, named(got)); d != "" {
		t.Fatalf("alerts (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"a a/1 #1 A1", "t t/1 #1 T1", "a b/1 #1 B1", "a a/2 #1 A2"}, named(take(t, all, 4, 5*time.Second))); d != "" {
		t.Errorf("all (-want +got):\n%s", d)
	}
	if n, err := alerts.Backlog(t.Context()); err != nil || n != 3 {
		t.Errorf("a backlog of %d, want 3: %v", n, err)
	}
	if err := errors.Join(got[0].Done(), got[1].Again(200*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	again := take(t, alerts, 1, 5*time.Second)
	if d := cmp.Diff([]string{"a b/1 #2 B1"}, named(again)); d != "" {
		t.Fatalf("again (-want +got):\n%s", d)
	}

	// Dead ones are kept with the reason, and go to this sink alone once more.
	if err := errors.Join(again[0].Dead(t.Context(), errors.New("it says\r\nno"+strings.Repeat("é", 400))), got[2].Dead(t.Context(), errors.New("gone"))); err != nil {
		t.Fatal(err)
	}
	letters := func() (list []string, first uint64) {
		err := bus.Undelivered(t.Context(), js, "alerts", func(l *bus.Letter) error {
			first = max(first, l.Sequence)
			list = append(list, fmt.Sprintf("%s %s/%d %.12s", l.Kind, l.ID, l.Revision, l.Reason))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return list, first
	}
	list, last := letters()
	if d := cmp.Diff([]string{"alert b/1 it says  no\u00e9", "alert a/2 gone"}, list); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
	for _, sequence := range []uint64{last + 10, last, 0} {
		n, err := bus.Resend(t.Context(), js, "alerts", sequence)
		if want := map[uint64]int{last: 1, 0: 1}[sequence]; err != nil || n != want {
			t.Errorf("resend %d: %d, %v, want %d", sequence, n, err, want)
		}
	}
	if d := cmp.Diff([]string{"a a/2 #1 A2", "a b/1 #1 B1"}, named(take(t, alerts, 3, time.Second))); d != "" {
		t.Errorf("sent again (-want +got):\n%s", d)
	}
	if list, _ := letters(); len(list) > 0 {
		t.Errorf("dead letters that were sent again are still there: %v", list)
	}
	if more := take(t, all, 1, 300*time.Millisecond); len(more) > 0 {
		t.Errorf("another sink got %v", named(more))
	}

	r, err := bus.NewOutReader(t.Context(), js, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var ids []string
	for {
		m, ok, err := r.Next(300 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		ids = append(ids, m.IDs...)
	}
	if d := cmp.Diff([]string{"before/1", "t/1"}, ids); d != "" {
		t.Errorf("timelines (-want +got):\n%s", d)
	}
}

// What the stream drops before a sink has taken it is counted; what it drops of what
// the sink has, or that is not for it, is not.
func TestMissed(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	c := consume(t, js, "s", bus.OutAlert)
	s, err := js.Stream(t.Context(), bus.StreamOut)
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	send := func(n int, kind bus.Out) {
		t.Helper()
		for range n {
			id := fmt.Sprint("t", sent, "/1")
			if kind == bus.OutAlert {
				id = bus.AlertID("low", fmt.Sprint(sent), 1, "open")
			}
			publish(t, js, kind, id, "-")
			sent++
		}
	}
	keep := func(n int64) {
		t.Helper()
		cfg := s.CachedInfo().Config
		cfg.MaxMsgs = n
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	var m bus.Missed
	look := func(want uint64) {
		t.Helper()
		for range 2 { // once only
			if got, err := m.Look(t.Context(), js, "s"); err != nil || got != want {
				t.Errorf("missed %d, want %d: %v", got, want, err)
			}
			want = 0
		}
	}
	done := func(n int) {
		t.Helper()
		for _, r := range take(t, c, n, 5*time.Second) {
			if err := r.Done(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(100 * time.Millisecond) // an acknowledgement is not answered
	}
	send(5, bus.OutAlert)
	done(5)
	send(20, bus.OutTimeline)
	look(0)
	keep(3)
	look(0)
	keep(-1)
	send(1, bus.OutAlert)
	done(1)
	look(0)
	send(10, bus.OutAlert)
	look(0)
	keep(4)
	look(6)
	keep(-1)
	done(4)
	send(3, bus.OutAlert)
	look(0)
}

// The results of one message are handed out and settled one by one. What is to be tried
// again comes again without the others; what was not settled, when nobody is at it; and
// one that is dead is kept with its own name.
func TestConsumerOfBundles(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	c := consume(t, js, "s", bus.OutTimeline)
	publishAll(t, js, bus.OutTimeline, []string{"a/1", "b/1", "c/1", "a/2"}, bus.Pack([]byte("A1"), []byte("B1"), []byte("C1"), []byte("A2")))
	publish(t, js, bus.OutTimeline, "d/1", "D1")
	expect := func(n int, want ...string) []bus.Result {
		t.Helper()
		got := take(t, c, n, 5*time.Second)
		if d := cmp.Diff(want, named(got)); d != "" {
			t.Fatalf("results (-want +got):\n%s", d)
		}
		return got
	}
	backlog := func(want uint64) {
		t.Helper()
		var n uint64
		var err error
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if n, err = c.Backlog(t.Context()); err != nil || n == want { // the server hears of it a little later
				break
			}
		}
		if err != nil || n != want {
			t.Errorf("a backlog of %d messages, want %d: %v", n, want, err)
		}
	}
	first := expect(5, "t a/1 #1 A1", "t b/1 #1 B1", "t c/1 #1 C1", "t a/2 #1 A2", "t d/1 #1 D1")
	if err := errors.Join(first[4].Done(), first[0].Done(), first[1].Again(50*time.Millisecond), first[2].Dead(t.Context(), errors.New("no"))); err != nil {
		t.Fatal(err)
	}
	backlog(1) // its last one is still out
	if err := first[3].Again(time.Hour); err != nil {
		t.Fatal(err)
	}
	second := expect(2, "t b/1 #2 B1", "t a/2 #2 A2")
	if err := errors.Join(second[0].Done(), second[1].Done()); err != nil {
		t.Fatal(err)
	}
	var dead []string
	if err := bus.Undelivered(t.Context(), js, "s", func(l *bus.Letter) error {
		dead = append(dead, fmt.Sprint(l.Kind, " ", l.ID, "/", l.Revision, " ", l.Reason))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"timeline c/1 no"}, dead); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
	if n, err := bus.Resend(t.Context(), js, "s", 0); err != nil || n != 1 {
		t.Errorf("resent %d, %v", n, err)
	}
	if err := expect(1, "t c/1 #1 C1")[0].Done(); err != nil {
		t.Fatal(err)
	}
	backlog(0)

	// What cannot be unpacked is told once, and is in nobody's way.
	publishAll(t, js, bus.OutTimeline, []string{"x/1", "y/1"}, bus.Pack([]byte("of two only one")))
	publish(t, js, bus.OutTimeline, "z/1", "Z1")
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, _, err := c.Next(50 * time.Millisecond); err != nil {
			if !strings.Contains(err.Error(), "1 lines, 2 were announced") {
				t.Error(err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a message that cannot be unpacked was passed over in silence")
		}
	}
	expect(1, "t z/1 #1 Z1")
}

// A stream of before there were alerts is widened, and keeps what it has.
func TestSetupWidensOut(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	publish(t, js, bus.OutTimeline, "t/1", "T1")
	s, err := js.Stream(t.Context(), bus.StreamOut)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.Subjects = []string{"sennit.out.timeline"}
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := bus.Setup(t.Context(), js, limits); err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(info.Config.Subjects, []string{"sennit.out.>"}) || info.State.Msgs != 1 {
		t.Errorf("subjects %v, %d messages", info.Config.Subjects, info.State.Msgs)
	}
}

// What a sink is at does not come again meanwhile; what nobody is at does.
func TestWorking(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short: it takes as long as a consumer is waited for, twice")
	}
	t.Parallel()
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	c := consume(t, js, "s", bus.OutAlert)
	for id := range 3 {
		publish(t, js, bus.OutAlert, bus.AlertID("low", fmt.Sprint(id), 1, "open"), "-")
	}
	if got := take(t, c, 1, 5*time.Second); len(got) != 1 { // the others are fetched with it
		t.Fatal(got)
	}
	for range 4 {
		time.Sleep(4 * time.Second)
		if err := c.Working(); err != nil {
			t.Fatal(err)
		}
	}
	other := consume(t, js, "s", bus.OutAlert)
	if got := take(t, other, 1, time.Second); len(got) > 0 {
		t.Errorf("while the first is at it, another got %v", named(got))
	}
	if got := take(t, other, 3, 40*time.Second); len(got) != 3 || got[0].Attempt != 2 {
		t.Errorf("after the first fell silent, another got %v", named(got))
	}
}

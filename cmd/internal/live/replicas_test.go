package live_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/cmd/internal/live"
	"github.com/sennit-io/sennit/cmd/internal/wire"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/bustest"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
	"github.com/sennit-io/sennit/schemas/timeline"
)

const agents = "../../../testdata/agents"

// publish sends the recorded events of the agents over the bus, each node its own.
func publish(t *testing.T, js jetstream.JetStream) (events int) {
	t.Helper()
	files, err := filepath.Glob(agents + "/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	senders := map[string]*bus.Sender{}
	ended := make(chan error)
	decoder := replay.NewDecoder(redact.Policy{})
	for _, name := range files {
		if strings.HasPrefix(filepath.Base(name), "truth") {
			continue
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			var b event.Batch
			if _, _, err := decoder.Decode([]byte(strings.TrimSpace(line)), &b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Events {
				e := &b.Events[i]
				s := senders[e.Node]
				if s == nil {
					s = bus.NewSender(js, e.Node, nil)
					senders[e.Node] = s
					go func() { ended <- s.Run(t.Context()) }()
				}
				if err := s.Send(t.Context(), e); err != nil {
					t.Fatal(err)
				}
				events++
			}
		}
	}
	for _, s := range senders {
		s.Close()
	}
	for range senders {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	return events
}

// replayed is what replay makes of the same recordings.
func replayed(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	err := wire.Replay(t.Context(), wire.Options{Replay: replay.Options{Paths: []string{agents}}, Form: wire.JSON, Out: &out, Messages: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// results reads the stream OUT until it has said nothing for a while, and writes the
// last revisions as replay does. No revision may be there twice.
func results(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	r, err := bus.NewOutReader(t.Context(), js, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	last, seen := map[string]*timeline.Timeline{}, map[string]bool{}
	for quiet := 0; quiet < 20; {
		m, ok, err := r.Next(200 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if len(seen) > 0 {
				quiet++
			}
			continue
		}
		quiet = 0
		for i, id := range m.IDs {
			if seen[id] {
				t.Errorf("revision %s was sent twice", id)
			}
			seen[id] = true
			one := new(timeline.Timeline)
			if err := json.Unmarshal(m.Lines[i], one); err != nil {
				t.Fatal(err)
			}
			if want := one.ID + "/" + strconv.Itoa(int(one.Revision)); want != id {
				t.Errorf("%s holds %s", id, want)
			}
			if before := last[one.ID]; before != nil && before.Revision >= one.Revision {
				t.Errorf("revision %d of %s came behind %d", one.Revision, one.ID, before.Revision)
			}
			last[one.ID] = one
		}
	}
	var list []*timeline.Timeline
	for _, one := range last {
		if one.SupersededBy == "" {
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b *timeline.Timeline) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.ID, b.ID))
	})
	var out []byte
	for _, one := range list {
		out = append(one.AppendJSON(out), '\n')
	}
	return string(out)
}

// Recorded events that come over the bus give the timelines that replay gives, byte
// for byte, with one processor and with three of which now one and now another leads.
func TestLiveIsReplay(t *testing.T) {
	want := replayed(t)
	if strings.Count(want, "\n") < 4 {
		t.Fatalf("replay gives %d timelines", strings.Count(want, "\n"))
	}
	f := func(processors int) {
		t.Run(strconv.Itoa(processors), func(t *testing.T) {
			js := bustest.Start(t)
			publish(t, js)
			// Time stands still while the events come, and then passes an hour a tick.
			begin := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
			var leads atomic.Int32
			ended := make(chan error, processors)
			ctx, stop := context.WithCancel(t.Context())
			for i := range processors {
				ticks := 0
				p, err := live.NewProcessor(js, live.NewMetrics(prometheus.NewRegistry()), live.Options{
					Dir: filepath.Join(t.TempDir(), "state"), Shards: i + 1, Window: window.Default(), Log: slog.New(slog.DiscardHandler),
					Leads: func() bool { return int(leads.Load()) == i },
					Clock: func(m *bus.Message, _ []event.Event) event.Time {
						if m.Tick {
							ticks++
						}
						return event.At(begin.Add(time.Duration(ticks) * time.Hour))
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				go func() { ended <- p.Run(ctx) }()
			}
			go func() {
				for ctx.Err() == nil {
					time.Sleep(150 * time.Millisecond)
					leads.Store((leads.Load() + 1) % int32(processors))
				}
			}()
			got := results(t, js)
			stop()
			for range processors {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			if got != want {
				t.Errorf("%d processors give %d timelines, replay %d; they differ:\n%.600s\n%.600s", processors, strings.Count(got, "\n"), strings.Count(want, "\n"), got, want)
			}
		})
	}
	f(1)
	f(3)
}

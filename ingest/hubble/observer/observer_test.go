package observer

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/hubble"
	"github.com/sennit-io/sennit/ingest/rpc"
	"github.com/sennit-io/sennit/ingest/rpc/rpctest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// taken is a sink that keeps the JSON of all events.
type taken struct {
	mu     sync.Mutex
	lines  []string
	losses []event.Loss
	refuse int // so often busy
}

func (k *taken) sink(_ context.Context, b *event.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse > 0 {
		k.refuse--
		return ingest.ErrBusy
	}
	for i := range b.Events {
		e := b.Events[i]
		if l, ok := e.Payload.(*event.Loss); ok {
			k.losses = append(k.losses, *l)
		}
		e.Observed = 0
		k.lines = append(k.lines, string(e.AppendJSON(nil)))
	}
	return nil
}

func (k *taken) distinct() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := map[string]int{}
	for _, l := range k.lines {
		m[l]++
	}
	return m
}

// recorded are the flows of the project's recordings, and the events that their
// lines give.
func recorded(t *testing.T) (list []*observer.GetFlowsResponse, events []string) {
	t.Helper()
	files, err := filepath.Glob("../../../testdata/agents/*.hubble.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	var d hubble.Decoder
	var b event.Batch
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			var m observer.GetFlowsResponse
			if err := protojson.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			b.Reset()
			if _, err := d.Decode([]byte(line), &b); err != nil {
				t.Fatal(err)
			}
			list = append(list, &m)
			events = append(events, string(b.Events[0].AppendJSON(nil)))
		}
	}
	return list, events
}

// run follows until the test ends, or stop is called, which waits for the end.
func run(t *testing.T, cfg rpc.Config, sink ingest.Sink) (stop func() error) {
	t.Helper()
	s, err := rpc.New(Feed(redact.Policy{}), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, sink) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Every flow that an agent serves gives the event that its exported line gives,
// through disconnects and a sink that is busy; nothing counts as lost, since the
// agent kept what came meanwhile.
func TestFollow(t *testing.T) {
	list, want := recorded(t)
	agent := rpctest.NewHubble(t, filepath.Join(t.TempDir(), "hubble.sock"), nil, 4095)
	k := &taken{refuse: 2}
	var mu sync.Mutex
	var tally ingest.Tally
	run(t, rpc.Config{Target: agent.Target, Records: func(r ingest.Tally, _ error) {
		mu.Lock()
		defer mu.Unlock()
		tally.Add(r)
	}}, k.sink)
	eventually(t, "the stream", func() bool { return agent.Streams() > 0 })
	third := len(list) / 3
	for i, m := range list {
		switch i {
		case third: // while it listens
			eventually(t, "some flows", func() bool { return len(k.distinct()) == third })
			agent.Stop()
		case 2 * third:
			agent.Start(t)
		}
		agent.Add(m)
	}
	eventually(t, "all flows", func() bool { return len(k.distinct()) >= len(want) })
	got := k.distinct()
	for _, line := range want {
		if got[line] == 0 {
			t.Errorf("missing: %s", line)
		}
	}
	if len(got) != len(want) || len(k.losses) != 0 {
		t.Errorf("%d different events of %d, losses %v", len(got), len(want), k.losses)
	}
	mu.Lock()
	defer mu.Unlock()
	if tally.In < len(want) || tally.Bad != 0 || tally.UnknownType != 0 {
		t.Errorf("tally %+v of %d", tally, len(want))
	}
}

// at returns a copy of a flow that is seen at a time.
func at(m *observer.GetFlowsResponse, when time.Time, uuid string) *observer.GetFlowsResponse {
	c := proto.CloneOf(m)
	c.Time = timestamppb.New(when)
	c.GetFlow().Time, c.GetFlow().Uuid = c.GetTime(), uuid
	return c
}

// What the agent no longer has is a loss of its node from the last flow to the
// oldest that it kept: after a disconnect, and after a restart of either side.
func TestLoss(t *testing.T) {
	list, _ := recorded(t)
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	f := func(name string, meanwhile func(*rpctest.Hubble), want []event.Loss) {
		t.Run(name, func(t *testing.T) {
			agent := rpctest.NewHubble(t, "", nil, 3)
			k := &taken{}
			cfg := rpc.Config{Target: agent.Target, Position: filepath.Join(t.TempDir(), "hubble.json")}
			stop := run(t, cfg, k.sink)
			eventually(t, "the stream", func() bool { return agent.Streams() > 0 })
			agent.Add(at(list[0], base, "00000000-0000-4000-8000-000000000001"))
			eventually(t, "a flow", func() bool { return len(k.distinct()) == 1 })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			meanwhile(agent)
			run(t, cfg, k.sink)
			eventually(t, "the next stream", func() bool { return agent.Streams() > 1 })
			agent.Add(at(list[0], base.Add(time.Minute), "00000000-0000-4000-8000-000000000009"))
			eventually(t, "the last flow", func() bool {
				for line := range k.distinct() {
					if strings.Contains(line, "00000000000040008000000000000009") {
						return true
					}
				}
				return false
			})
			if diff := cmp.Diff(want, k.losses); diff != "" {
				t.Errorf("losses differ (-want +got):\n%s", diff)
			}
		})
	}
	later := func(n int) time.Time { return base.Add(time.Duration(n) * 10 * time.Second) }
	f("kept", func(h *rpctest.Hubble) {
		h.Add(at(list[0], later(1), "00000000-0000-4000-8000-000000000002"))
	}, nil)
	f("overwritten", func(h *rpctest.Hubble) {
		for i := range 4 {
			h.Add(at(list[0], later(i+1), "00000000-0000-4000-8000-00000000000"+string(rune('2'+i))))
		}
	}, []event.Loss{{Of: event.SourceHubble, From: event.At(base), To: event.At(later(2)), Reason: "stream was down"}})
	f("restarted", func(h *rpctest.Hubble) {
		h.Forget()
		h.Add(at(list[0], later(3), "00000000-0000-4000-8000-000000000002"))
	}, []event.Loss{{Of: event.SourceHubble, From: event.At(base), To: event.At(later(3)), Reason: "stream was down"}})
}

// A sink that fails ends the source; a certificate that is not trusted does not,
// and is told.
func TestErrors(t *testing.T) {
	list, _ := recorded(t)
	agent := rpctest.NewHubble(t, "", nil, 10)
	broken := errors.New("broken")
	s, err := rpc.New(Feed(redact.Policy{}), rpc.Config{Target: agent.Target})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context(), func(context.Context, *event.Batch) error { return broken }) }()
	eventually(t, "the stream", func() bool { return agent.Streams() > 0 })
	agent.Add(list[0])
	if err := <-done; !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}

	told := make(chan error, 16)
	run(t, rpc.Config{Target: agent.Target, TLS: credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), Connected: func(err error) {
		select {
		case told <- err:
		default:
		}
	}}, (&taken{}).sink)
	if err := <-told; err == nil || !strings.Contains(err.Error(), agent.Target) {
		t.Errorf("told %v", err)
	}
	if _, err := rpc.New(Feed(redact.Policy{}), rpc.Config{Target: "unix:relative\x00"}); err == nil {
		t.Error("a target that is none is taken")
	}
}

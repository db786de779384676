package sensors

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sennit-io/sennit/ingest/rpc"
	"github.com/sennit-io/sennit/ingest/rpc/rpctest"
	tetragondecode "github.com/sennit-io/sennit/ingest/tetragon"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Every event of the agent gives what its exported line gives; the time without a
// stream is a loss of the node.
func TestFollow(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/agents/*1c7.tetragon.jsonl")
	if err != nil || len(files) != 1 {
		t.Fatal("no recording", err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var list []*tetragon.GetEventsResponse
	want := map[string]bool{}
	var d tetragondecode.Decoder
	for line := range strings.Lines(string(raw)) {
		var m tetragon.GetEventsResponse
		if err := protojson.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		var b event.Batch
		if _, err := d.Decode([]byte(line), &b); err != nil {
			t.Fatal(err)
		}
		list = append(list, &m)
		want[string(b.Events[0].AppendJSON(nil))] = true
	}

	agent := rpctest.NewTetragon(t, filepath.Join(t.TempDir(), "tetragon.sock"))
	var mu sync.Mutex
	var losses []event.Loss
	got := map[string]bool{}
	source, err := rpc.New(Feed(redact.Policy{}), rpc.Config{Target: agent.Target})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- source.Run(ctx, func(_ context.Context, b *event.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range b.Events {
				if l, ok := e.Payload.(*event.Loss); ok {
					losses = append(losses, *l)
					continue
				}
				if e.Observed == 0 {
					t.Error("an event was observed at no time")
				}
				e.Observed = 0
				got[string(e.AppendJSON(nil))] = true
			}
			return nil
		})
	}()
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			mu.Lock()
			now := ok()
			mu.Unlock()
			if now {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	eventually("the stream", func() bool { return agent.Streams() == 1 })
	half := len(list) / 2
	for _, m := range list[:half] {
		agent.Add(m)
	}
	eventually("the first half", func() bool { return len(got) == half })
	agent.Stop()
	down := event.At(time.Now())
	agent.Start(t)
	eventually("the next stream", func() bool { return agent.Streams() == 2 })
	for _, m := range list[half:] {
		agent.Add(m)
	}
	eventually("all", func() bool { return len(got) == len(want) })
	for line := range want {
		if !got[line] {
			t.Errorf("missing: %s", line)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(losses) != 1 || losses[0].Of != event.SourceTetragon || losses[0].From >= down || losses[0].To < down {
		t.Errorf("losses %+v; the agent was away at %v", losses, down)
	}
}

package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sennit-io/sennit/ingest/rpc/rpctest"
)

// scrape returns what /metrics says.
func (s *service) scrape(t *testing.T) string {
	t.Helper()
	r, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// metric waits until /metrics has a line.
func (s *service) metric(t *testing.T, line string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if strings.Contains(s.scrape(t), "\n"+line+"\n") {
			return
		}
	}
	t.Fatalf("waited in vain for %s in\n%s", line, s.scrape(t))
}

// notReady waits until /readyz says why not.
func (s *service) notReady(t *testing.T, why string) {
	t.Helper()
	var said string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		r, err := http.Get("http://" + s.http + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if said = string(b); err == nil && r.StatusCode == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(said), strings.ToLower(why)) {
			return
		}
	}
	t.Errorf("/readyz says %q, want %q\n%s", said, why, s.log)
}

// TestUpAsksAgents: flows and events come from the agents' own sockets, an agent
// may go and come, and a service that was killed asks for what it missed.
func TestUpAsksAgents(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	hubble := rpctest.NewHubble(t, filepath.Join(dir, "hubble.sock"), nil, 100)
	agent := rpctest.NewTetragon(t, filepath.Join(dir, "tetragon.sock"))
	data := filepath.Join(dir, "data")
	args := []string{"--hubble", hubble.Target, "--tetragon", agent.Target}
	sawFlow := func(port uint32) {
		now := timestamppb.Now()
		hubble.Add(&observer.GetFlowsResponse{NodeName: "node-1", Time: now, ResponseTypes: &observer.GetFlowsResponse_Flow{Flow: &flow.Flow{
			Time: now, Verdict: flow.Verdict_FORWARDED, NodeName: "node-1", IP: &flow.IP{Source: "10.0.0.1", Destination: "10.0.0.2"},
			L4: &flow.Layer4{Protocol: &flow.Layer4_TCP{TCP: &flow.TCP{SourcePort: port, DestinationPort: 80}}},
		}}})
	}

	s := startUp(t, data, args...)
	s.metric(t, `sennit_source_up{source="hubble"} 1`)
	s.metric(t, `sennit_source_up{source="tetragon"} 1`)
	for i := range 5 {
		sawFlow(uint32(1000 + i))
	}
	agent.Add(&tetragon.GetEventsResponse{NodeName: "node-1", Time: timestamppb.Now(), Event: &tetragon.GetEventsResponse_ProcessExec{ProcessExec: &tetragon.ProcessExec{
		Process: &tetragon.Process{ExecId: "bm9kZS0xOjE6MQ==", Pid: wrapperspb.UInt32(1), Binary: "/bin/true", StartTime: timestamppb.Now()},
	}}})
	s.metric(t, `sennit_records_total{source="hubble",what="events"} 5`)
	s.metric(t, `sennit_records_total{source="tetragon",what="events"} 1`)
	s.metric(t, `sennit_events_total{fate="in",reason=""} 6`)

	hubble.Stop()
	s.metric(t, `sennit_source_up{source="hubble"} 0`)
	sawFlow(2000)
	hubble.Start(t)
	s.metric(t, `sennit_source_up{source="hubble"} 1`)
	s.metric(t, `sennit_events_total{fate="in",reason=""} 12`) // five were asked for again, to be sure

	s.kill(t)
	sawFlow(3000)
	s = startUp(t, data, args...)
	// All seven flows, the six known ones again, and that Tetragon was not heard.
	s.metric(t, `sennit_events_total{fate="in",reason=""} 20`)
	s.metric(t, `sennit_events_total{fate="control",reason=""} 1`)
	s.kill(t)

	refused := startRefused(t, "up", "--data", data, "--hubble", hubble.Target, "--hubble-cert", "cert.pem")
	if !strings.Contains(refused, "--hubble-cert and --hubble-key belong together") {
		t.Errorf("half a certificate: %s", refused)
	}
}

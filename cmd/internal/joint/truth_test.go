package joint_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/joint/convert"
	"github.com/sennit-io/sennit/testdata/recordings"
)

// corpus is the folder of the recording; without it the test is skipped.
func corpus(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(recordings.Dir(t), "corpora", "joint-adk-loopback-c4")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: no recordings of a joint run (%v)", err)
	}
	return dir
}

// fact is one line of truth.jsonl: what was written to the wire and into the
// command lines, with the trace it was for.
type fact struct {
	Kind   string         `json:"kind"`
	UnixUS int64          `json:"unix_us"`
	TID    uint32         `json:"tid"`
	PID    uint32         `json:"pid"`
	Local  netip.AddrPort `json:"local"`
	Peer   netip.AddrPort `json:"peer"`
	Trace  event.TraceID  `json:"trace_id"`
	SpanID event.SpanID   `json:"span_id"`
	Caller event.SpanID   `json:"parent_span_id"`
	Path   string         `json:"path"`
}

func (f *fact) at() event.Time { return event.Time(f.UnixUS * 1000) }

// request is one line of driver.jsonl: what the client did.
type request struct {
	Trace      event.TraceID `json:"trace_id"`
	SpanID     event.SpanID  `json:"span_id"`
	Start      event.Time    `json:"-"`
	End        event.Time    `json:"-"`
	StartNS    int64         `json:"start_unix_ns"`
	EndNS      int64         `json:"end_unix_ns"`
	ClientPort uint16        `json:"client_port"`
	ServerPort uint16        `json:"server_port"`
	Status     uint16        `json:"status"`
}

func readTruth(t *testing.T, dir string) (ingress, egress, tools []fact) {
	t.Helper()
	for _, f := range readLines[fact](t, filepath.Join(dir, "truth.jsonl")) {
		switch f.Kind {
		case "ingress_http":
			ingress = append(ingress, f)
		case "egress_llm_http":
			egress = append(egress, f)
		case "tool_exec":
			tools = append(tools, f)
		default:
			t.Fatalf("truth of unknown kind %q", f.Kind)
		}
	}
	if len(ingress) != 36 || len(egress) != 80 || len(tools) != 40 {
		t.Fatalf("the truth has %d requests, %d model calls and %d tools, not 36, 80 and 40", len(ingress), len(egress), len(tools))
	}
	return ingress, egress, tools
}

func readDriver(t *testing.T, dir string) map[event.TraceID]request {
	t.Helper()
	out := map[event.TraceID]request{}
	for _, r := range readLines[request](t, filepath.Join(dir, "driver.jsonl")) {
		r.Start, r.End = event.Time(r.StartNS), event.Time(r.EndNS)
		out[r.Trace] = r
	}
	if len(out) != 40 {
		t.Fatalf("the driver made %d requests, not 40", len(out))
	}
	return out
}

func readLines[T any](t *testing.T, path string) (out []T) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", filepath.Base(path), err)
		}
		out = append(out, v)
	}
	return out
}

func records(t *testing.T, dir string, o convert.Options) []event.Event {
	t.Helper()
	out, err := convert.Records(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// exchanges are the exchanges of one side of the connections to a port.
func exchanges(all []event.Event, role event.Role, port uint16) (out []*event.Event) {
	for i := range all {
		if x, ok := all[i].Payload.(*event.Exchange); ok && x.Role == role {
			end := x.Tuple.Dst
			if role == event.RoleServer {
				end = x.Tuple.Src
			}
			if end.Port() == port {
				out = append(out, &all[i])
			}
		}
	}
	return out
}

// The recording's fixed ends.
const (
	agentPort = 18482
	modelPort = 18481
)

// within is more than lies between the entry of a call, which strace stamps, and
// what it does: the traced thread is stopped twice in between.
const within = event.Time(20e6)

func soon(f *fact, t event.Time) bool { return f.at() <= t && t < f.at()+within }

package simulate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/sennit-io/sennit/schemas/event"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// busy is a small run in which everything happens.
var busy = Options{
	Requests: 300, Concurrency: 24, InFlight: 8, TraceContext: TraceMixed, Uninstrumented: 0.25, Noise: 0.5, Rogue: 0.3,
	Skew: 50 * time.Millisecond, Loss: 0.02, Late: 0.01, Duplicate: 0.02, Reorder: 0.1, Seed: 7,
}

func mustRun(t testing.TB, o Options) (string, Summary) {
	t.Helper()
	dir := t.TempDir()
	sum, err := Run(context.Background(), o, dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, sum
}

// lines calls f for each line of the files that match.
func lines(t testing.TB, dir, pattern string, f func(line []byte)) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files match %s: %v", pattern, err)
	}
	n := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(bytes.NewReader(data))
		sc.Buffer(nil, 16<<20)
		for sc.Scan() {
			f(sc.Bytes())
			n++
		}
		if err := sc.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestStrictParse reads every line with the generated types of the programs
// whose files these are, and accepts no field that they do not have.
func TestStrictParse(t *testing.T) {
	dir, sum := mustRun(t, busy)
	strict := func(pattern string, fresh func() proto.Message) {
		t.Helper()
		n := lines(t, dir, pattern, func(line []byte) {
			if err := protojson.Unmarshal(line, fresh()); err != nil {
				t.Fatalf("%s: %v\n%s", pattern, err, line)
			}
		})
		if n == 0 {
			t.Fatalf("%s: no lines", pattern)
		}
	}
	strict("*.hubble.jsonl", func() proto.Message { return &observer.ExportEvent{} })
	strict("*.tetragon.jsonl", func() proto.Message { return &tetragon.GetEventsResponse{} })
	spans := func() proto.Message { return &tracepb.TracesData{} }
	logs := func() proto.Message { return &logspb.LogsData{} }
	of := map[bool]func() proto.Message{false: spans, true: logs}
	n := map[bool]int{}
	lines(t, dir, "*.otlp.jsonl", func(line []byte) {
		isLog := bytes.HasPrefix(line, []byte(`{"resourceLogs"`))
		n[isLog]++
		if err := protojson.Unmarshal(base64IDs(line), of[isLog]()); err != nil {
			t.Fatalf("otlp: %v\n%s", err, line)
		}
	})
	if n[false] == 0 || n[true] == 0 {
		t.Errorf("%d lines of spans, %d of logs", n[false], n[true])
	}
	lines(t, dir, "*.k8s.jsonl", mustJSON(t))
	lines(t, dir, "*.gcp.jsonl", mustJSON(t))
	lines(t, dir, "truth.jsonl", mustJSON(t))
	lines(t, dir, "*.socket.jsonl", func(line []byte) {
		var e event.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("socket: %v\n%s", err, line)
		}
		if got := e.AppendJSON(nil); !bytes.Equal(got, line) {
			t.Fatalf("a recording does not read back:\n%s\n%s", line, got)
		}
	})
	for _, source := range []string{"hubble", "tetragon", "otlp", "socket", "gcp", "k8s"} {
		if sum.Sources[source] == 0 {
			t.Errorf("no records of %s", source)
		}
	}
	if sum.Lost == 0 || sum.Late == 0 || sum.Duplicated == 0 || sum.Moved == 0 {
		t.Errorf("troubles asked for did not happen: %+v", sum)
	}
}

func mustJSON(t testing.TB) func([]byte) {
	return func(line []byte) {
		if !json.Valid(line) {
			t.Fatalf("not JSON: %s", line)
		}
	}
}

var otlpID = regexp.MustCompile(`"(traceId|spanId|parentSpanId)":"([0-9a-f]*)"`)

// base64IDs turns OTLP/JSON's hex ids into the base64 of plain protojson.
func base64IDs(line []byte) []byte {
	return otlpID.ReplaceAllFunc(line, func(m []byte) []byte {
		parts := otlpID.FindSubmatch(m)
		raw, err := hex.DecodeString(string(parts[2]))
		if err != nil {
			panic(err)
		}
		return []byte(`"` + string(parts[1]) + `":"` + base64.StdEncoding.EncodeToString(raw) + `"`)
	})
}

// TestSameSeedSameBytes holds the promise of determinism.
func TestSameSeedSameBytes(t *testing.T) {
	a, _ := mustRun(t, busy)
	b, _ := mustRun(t, busy)
	other := busy
	other.Seed++
	c, _ := mustRun(t, other)
	names, _ := filepath.Glob(filepath.Join(a, "*"))
	differs := false
	for _, name := range names {
		base := filepath.Base(name)
		x, err1 := os.ReadFile(name)
		y, err2 := os.ReadFile(filepath.Join(b, base))
		z, _ := os.ReadFile(filepath.Join(c, base))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs between two runs of one seed", base)
		}
		differs = differs || !bytes.Equal(x, z)
	}
	if !differs {
		t.Error("another seed gives the same cluster")
	}
}

func TestOptions(t *testing.T) {
	f := func(o Options, want string) {
		t.Helper()
		_, err := Run(context.Background(), o, t.TempDir())
		if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error about %s", o, err, want)
		}
	}
	f(Options{TraceContext: "some"}, "trace context")
	f(Options{Uninstrumented: 2}, "uninstrumented")
	f(Options{Loss: 0.9}, "loss")
	f(Options{Noise: -1}, "noise")
	f(Options{Nodes: 1}, "nodes")
	f(Options{Requests: -1}, "requests")
	f(Options{Skew: time.Hour}, "skew")
}

// TestCancel stops a run in the middle.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Options{Requests: 1000}, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled run returned %v", err)
	}
}

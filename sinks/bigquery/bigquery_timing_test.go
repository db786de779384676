package bigquery

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/bigquery/bigquerytest"
)

// TestMain is the BigQuery of BenchmarkWrite, where that asked for it: in a process
// of its own, whose CPU is not the sink's.
func TestMain(m *testing.M) {
	if os.Getenv("SENNIT_BIGQUERY_SERVER") == "" {
		os.Exit(m.Run())
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve says where the server is, and how many steps and timelines came once nobody
// holds its standard input any more.
func serve() error {
	s, err := bigquerytest.New()
	if err != nil {
		return err
	}
	s.Trust()
	fmt.Println(s.GRPC, s.HTTP)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	fmt.Println(s.Taken("p.d.steps"), s.Taken("p.d.timelines"))
	return s.Close()
}

// elsewhere starts a server in another process. taken ends it and returns how many
// rows came.
func elsewhere(b *testing.B) (o Options, taken func() (steps, timelines int)) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SENNIT_BIGQUERY_SERVER=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	out := bufio.NewReader(pipe)
	o = Options{Project: "p", Dataset: "d"}
	var url string
	if _, err := fmt.Fscanln(out, &o.Endpoint, &url); err != nil {
		b.Fatal(err)
	}
	if _, err := Init(b.Context(), Options{Project: "p", Dataset: "d", Endpoint: url}, Layout{}); err != nil {
		b.Fatal(err)
	}
	return o, func() (steps, timelines int) {
		in.Close()
		if _, err := fmt.Fscanln(out, &steps, &timelines); err != nil {
			b.Fatal(err)
		}
		return steps, timelines
	}
}

const stepsEach = 20 // of a timeline

// realistic is a batch of timelines whose steps say as much as real ones do.
func realistic(timelines int) (batch []sinks.Record) {
	for i := range timelines {
		batch = append(batch, record(fmt.Sprint("t", i), 1, stepsEach, func(t *timeline.Timeline) {
			for k := range t.Steps {
				step := &t.Steps[k]
				step.EventIDs = []string{"77343102a99f8a7f488334add04325d5", "37cb1ea088db8af02a0eaf4bec956159"}
				step.Connection = &timeline.Connection{SocketCookie: "4097", Shared: 5, Verdict: "forwarded", Opened: start}
				step.Join = timeline.Join{Method: "trace_context", Exact: true, Confidence: 1, Candidates: 1, Evidence: []string{"traceparent on the wire names trace 6c4619814efd08d7c17ace13e3c8571b"}}
				step.Attributes = nil
				for _, key := range []string{
					"gen_ai.agent.name", "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "http.request.method",
					"k8s.namespace.name", "k8s.pod.name", "network.peer.address", "observed.start", "server.address", "service.name", "url.path",
				} {
					step.Attributes = append(step.Attributes, timeline.Attribute{Key: key, Str: "value-of-" + key})
				}
				step.Attributes[7].Str, step.Attributes[8].Str = "10.1.2.3", step.Start.String() // the peer's address, and when it was seen
				for _, key := range []string{"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "http.response.status_code", "network.peer.port", "process.pid"} {
					step.Attributes = append(step.Attributes, timeline.Attribute{Key: key, Num: 443, IsNum: true})
				}
			}
		}))
	}
	return batch
}

// BenchmarkWrite writes to a server in another process, over loopback. A row is that
// of a step; what the timelines cost is in it. cpu-us/row is the user and system time
// of the sink's process, worst-rows/s the slowest second. "flat" goes as fast as it
// can, with as many timelines in a batch as the fan-out takes; "20k" is 20,000 steps
// a second, in the batches that the fan-out makes of that in its 100 ms.
//
//	go test -run '^$' -bench Write -benchtime 12s ./sinks/bigquery
func BenchmarkWrite(b *testing.B) {
	b.Run("flat", func(b *testing.B) { benchmarkWrite(b, 0) })
	b.Run("20k", func(b *testing.B) { benchmarkWrite(b, 20_000) })
}

func benchmarkWrite(b *testing.B, rate int) {
	o, taken := elsewhere(b)
	s, err := Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	batch := realistic(100)
	write(b, s, batch...) // it is connected, and knows how much memory it needs
	rows, inSecond, worst := 0, 0, 0.0
	before, began := cpu(b), time.Now()
	second := began
	b.ReportAllocs()
	for b.Loop() {
		write(b, s, batch...)
		rows += len(batch) * stepsEach
		inSecond += len(batch) * stepsEach
		if rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(rows) * time.Second / time.Duration(rate))))
		}
		if took := time.Since(second); took >= time.Second {
			if r := float64(inSecond) / took.Seconds(); worst == 0 || r < worst {
				worst = r
			}
			second, inSecond = time.Now(), 0
		}
	}
	used, took := cpu(b)-before, time.Since(began)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	steps, timelines := taken()
	if want := rows + len(batch)*stepsEach; steps != want || timelines*stepsEach != want {
		b.Fatalf("%d rows of steps and %d of timelines came, want %d and %d", steps, timelines, want, want/stepsEach)
	}
	b.ReportMetric(float64(used)/float64(rows), "cpu-us/row")
	b.ReportMetric(float64(rows)/took.Seconds(), "rows/s")
	if worst > 0 {
		b.ReportMetric(worst, "worst-rows/s")
	}
}

// cpu is the time of the process in microseconds.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return (u.Utime.Nano() + u.Stime.Nano()) / 1000
}

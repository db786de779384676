package bigquery

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
)

// BenchmarkWrite writes timelines of 20 steps as a real one has them, over loopback,
// to a server in the same process that does not read the rows. A row is a step or a
// timeline; us-cpu/row is of the whole process.
func BenchmarkWrite(b *testing.B) {
	srv := server(b)
	srv.Trust()
	s := open(b, srv, Options{})
	defer s.Close()
	var batch []sinks.Record
	rows := 0
	for i := range 50 {
		batch = append(batch, record(fmt.Sprint("t", i), 1, 20, func(t *timeline.Timeline) {
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
				for _, key := range []string{"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "http.response.status_code", "network.peer.port", "process.pid"} {
					step.Attributes = append(step.Attributes, timeline.Attribute{Key: key, Num: 443, IsNum: true})
				}
			}
		}))
		rows += 21
	}
	before := cpu(b)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		write(b, s, batch...)
		n += rows
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(n), "us-cpu/row")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

// cpu is the time of the process in microseconds.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return (u.Utime.Nano() + u.Stime.Nano()) / 1000
}

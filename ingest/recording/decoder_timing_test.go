package recording

import (
	"net/netip"
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
)

var workload = event.Workload{
	Cluster: "prod", Namespace: "agents", Pod: "invoice-agent-7d9f8b6c5-x2x4q",
	PodUID: "0b2f6a34-3c39-4c5e-9a51-6a0a3d1f6f0e", Container: "agent", Node: "gke-node-1",
}

// hot are the events that the eBPF shim makes in numbers, with the fields it
// fills.
func hot() []*event.Event {
	tuple := event.Tuple{
		Proto: event.ProtoTCP, Src: netip.MustParseAddrPort("10.4.1.17:43512"), Dst: netip.MustParseAddrPort("142.250.74.10:443"),
	}
	t := event.Time(1_790_000_000_123_456_789)
	head := event.Event{
		ID: event.ID{1, 2, 3}, Source: event.SourceSocket, Cluster: "prod", Node: "gke-node-1", Boot: event.BootID{9, 9}, Time: t, Observed: t + 7,
	}
	proc := event.ProcessRef{PID: 4711, StartNS: 123456789012}
	var out []*event.Event
	add := func(k event.Kind, p event.Payload) {
		e := head
		e.Kind, e.Payload = k, p
		out = append(out, &e)
	}
	add(event.KindSocketOpen, &event.Socket{
		Cookie: 81234, Addr: 0xffff888012345678, Netns: 4026532000, Cgroup: 5581, Tuple: tuple, Role: event.RoleClient,
		Process: proc, TID: 4712, Goroutine: 199, Workload: workload, Opened: t,
	})
	add(event.KindSocketClose, &event.Socket{
		Cookie: 81234, Addr: 0xffff888012345678, Netns: 4026532000, Cgroup: 5581, Tuple: tuple, Role: event.RoleClient,
		Process: proc, TID: 4712, Workload: workload, Opened: t, BytesOut: 12345, BytesIn: 678901, SRTTUS: 15000,
	})
	add(event.KindExchange, &event.Exchange{
		Cookie: 81234, Tuple: tuple, Role: event.RoleClient, StreamID: 17, Protocol: "h2", Start: t - 1000, FirstByte: t - 10,
		BytesOut: 2345, BytesIn: 67890,
		HTTP:    event.HTTP{Method: "POST", Host: "generativelanguage.googleapis.com", Path: "/v1beta/models/gemini:generateContent", Status: 200},
		Trace:   event.TraceContext{TraceID: event.TraceID{1}, SpanID: event.SpanID{2}, Format: "traceparent"},
		Process: proc, TID: 4712, Goroutine: 199, ParentGo: 180,
	})
	add(event.KindProcessExec, &event.Process{
		ExecID: "Z2tlLW5vZGUtMTo1NTgxOjQ3MTE=", ParentExecID: "Z2tlLW5vZGUtMTo1NTgxOjQ3MTI=", Process: proc,
		Parent: event.ProcessRef{PID: 4000, StartNS: 123450000000}, TID: 4711, Binary: "/usr/bin/curl", Hashes: event.Hashes{1, 2, 3, 4},
		CWD: "/app", UID: 1000, Cgroup: 5581, Workload: workload, Started: t,
	})
	return out
}

func BenchmarkDecode(b *testing.B) {
	for _, e := range hot() {
		b.Run(e.Kind.String(), func(b *testing.B) {
			var d Decoder
			var batch event.Batch
			rec := e.AppendJSON(nil)
			b.SetBytes(int64(len(rec)))
			b.ReportAllocs()
			for b.Loop() {
				if len(batch.Events) == 256 {
					batch.Reset()
				}
				if _, err := d.Decode(rec, &batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	for _, e := range hot() {
		b.Run(e.Kind.String(), func(b *testing.B) {
			buf := e.AppendJSON(nil)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = e.AppendJSON(buf[:0])
			}
		})
	}
}

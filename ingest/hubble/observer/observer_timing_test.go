package observer

import (
	"context"
	"testing"

	"github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/ingest/hubble"
	"github.com/sennit-io/sennit/ingest/rpc"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// What a flow of the stream costs until it is an event: as it is read now, and as
// it was before, through generated types and their JSON.
func BenchmarkFlow(b *testing.B) {
	wire := flowRecord(b)
	b.Run("wire", func(b *testing.B) {
		var d hubble.Decoder
		var batch event.Batch
		b.ReportAllocs()
		for b.Loop() {
			batch.Reset()
			if _, err := d.DecodeProto(wire, &batch); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		var d hubble.Decoder
		var batch event.Batch
		b.ReportAllocs()
		for b.Loop() {
			var got observer.GetFlowsResponse
			if err := proto.Unmarshal(wire, &got); err != nil {
				b.Fatal(err)
			}
			text, err := got.MarshalJSON()
			if err != nil {
				b.Fatal(err)
			}
			batch.Reset()
			if _, err := d.Decode(text, &batch); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkFollow is the whole way: a gRPC server that sends as fast as it is read
// from, connection, codec, decoder, sink.
func BenchmarkFollow(b *testing.B) {
	wire := flowRecord(b)
	goOn := make(chan int)
	target, _ := serve(b, func(send func([]byte) error) error {
		for n := range goOn {
			for range n {
				if err := send(wire); err != nil {
					return err
				}
			}
		}
		return nil
	})
	defer close(goOn)
	source, err := rpc.New(Feed(redact.Policy{}), rpc.Config{Target: target})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	events := make(chan int, 64)
	done := make(chan error, 1)
	go func() {
		done <- source.Run(ctx, func(_ context.Context, batch *event.Batch) error {
			events <- len(batch.Events)
			return nil
		})
	}()
	const flows = 20 * 512
	b.ReportAllocs()
	for b.Loop() { // whole batches of the source, so that none lingers
		goOn <- flows
		for n := 0; n < flows; n += <-events {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*flows), "ns/flow")
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// flowRecord is a flow as it comes.
func flowRecord(b *testing.B) []byte {
	const line = `{"flow":{"time":"2026-11-20T09:15:42.318204117Z","uuid":"5a0e2c3b-9f41-4d7e-8a6c-1b2d3e4f5a6b","verdict":"FORWARDED","IP":{"source":"10.20.3.47","destination":"10.20.5.12","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":48122,"destination_port":8443,"flags":{"SYN":true}}},"source":{"ID":1207,"identity":20252,"cluster_name":"prod-eu","namespace":"agents","labels":["k8s:app.kubernetes.io/name=invoice-agent","k8s:io.kubernetes.pod.namespace=agents"],"pod_name":"invoice-agent-7c9f8d6b5-x2k4p","workloads":[{"name":"invoice-agent","kind":"Deployment"}]},"destination":{"identity":31811,"cluster_name":"prod-eu","namespace":"gateway","labels":["k8s:app.kubernetes.io/name=model-gateway"],"pod_name":"model-gateway-0","workloads":[{"name":"model-gateway","kind":"StatefulSet"}]},"Type":"L3_L4","node_name":"prod-eu/node-a1","event_type":{"type":4,"sub_type":3},"traffic_direction":"EGRESS","trace_observation_point":"TO_STACK","is_reply":false,"Summary":"TCP Flags: SYN"},"node_name":"prod-eu/node-a1","time":"2026-11-20T09:15:42.318204117Z"}`
	var m observer.GetFlowsResponse
	if err := protojson.Unmarshal([]byte(line), &m); err != nil {
		b.Fatal(err)
	}
	wire, err := proto.Marshal(&m)
	if err != nil {
		b.Fatal(err)
	}
	return wire
}

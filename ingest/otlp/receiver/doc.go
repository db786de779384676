// Package receiver takes OpenTelemetry traces and logs from exporters and
// collectors: OTLP over gRPC and over HTTP, protobuf and JSON, plain and gzip
// (opentelemetry.io/docs/specs/otlp, version 1.11).
//
//	r, err := receiver.Listen(receiver.Config{GRPC: "127.0.0.1:4317", HTTP: "127.0.0.1:4318"})
//	…
//	err = r.Run(ctx, sink) // until ctx ends
//
// A request is answered when the sink has its events. When the sink has no room
// the sender is told to come again (RESOURCE_EXHAUSTED with RetryInfo, 429 with
// Retry-After), which exporters do; nothing of such a request counts as taken. The
// same is said when the requests under way hold as many bytes as they may.
//
// A span is a claim. Whose claim it is, the connection it arrived on proves:
// Config.Prove tells what the connection proves, and a span or log record that says
// it comes from another workload is refused and counted.
package receiver

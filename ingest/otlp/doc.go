// Package otlp reads OpenTelemetry traces and logs, as the collector's file
// exporter writes them (one request of OTLP/JSON a line) and as OTLP carries
// them (protobuf), and reads the spans of agents through one versioned table of
// the names that frameworks give to the same things.
//
// A span is a claim of the program that wrote it: workload and node come from
// its resource and are marked so.
package otlp

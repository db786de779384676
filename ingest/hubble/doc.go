// Package hubble turns Hubble's JSON into events: lines of the exporter's file
// and of `hubble observe -o json` or `-o jsonpb`, which have the same shape
// ({"flow":…,"node_name":…,"time":…}), and bare flows. Field names are read in
// snake_case and camelCase, enums by name and by number, 64-bit numbers bare and
// in quotes, as protobuf's JSON mapping allows. What comes over gRPC is read as
// protobuf and gives the same events.
//
// The shapes are those of github.com/cilium/cilium/api/v1 (observer and flow),
// versions 1.10 to 1.20; a differential fuzz test holds the decoder to that
// package's generated types.
package hubble

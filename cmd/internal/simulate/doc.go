// Package simulate writes the event files of a cluster that never was, and
// beside them the truth: which request every exchange, process, flow and log
// entry really belongs to, and by which rungs of the ladder the written
// evidence lets it be joined. Accuracy is measured on it, not believed.
//
// It is a discrete-event simulation in event time. Code that lives in the
// cluster (a client, a gateway, an agent, a tool) is written as straight
// functions that sleep; package-private tasks turn them into coroutines on one
// heap of timers, so a run is a pure function of its Options: equal options
// give equal bytes. Nothing is kept longer than it is in flight, so the memory
// of a run is set by its concurrency and not by its length.
//
// The cluster has several nodes, each with its own clock, boot, pids, pod
// addresses, kernel socket addresses and ports, all of them reused as soon as
// they are free. A load balancer with a firewall asks gateways by pod address;
// gateways ask agents (shaped like ADK for Go, Python and Java) behind cluster
// addresses; agents call models outside the cluster, tools as processes with
// children, a vector store, the web, and one another. Every source is written
// in its own format as its own exporter does: Hubble's exporter, Tetragon's
// export file, the collector's file exporter, Cloud Logging, Kubernetes watch
// events, and Sennit's recordings for what only the eBPF shim sees.
//
// # What is possible
//
// Each fact of a request lists, while it happens, the exact links its evidence
// gives (an equal trace id, both ends of one connection, a parent process, …).
// When the request is over, what is connected to the request's entry through
// links whose evidence was written is possible exactly; the rest lists only the
// inferred rungs. A reader can therefore be asked for recall 1.0 of what was
// possible and not of what was lost, skewed or never said.
package simulate

// Package bind finds, node by node, which request each event belongs to.
// Everything that meets on one node meets here: sockets under all their names,
// processes and their lineage, the spans of the node's pods.
//
// Exact rungs come first: an identifier was equal inside its interval. What none
// joins is decided by the inferred rungs, with a confidence: workload by
// workload, by a sign that a call shares with one request only (rungs.go), else by
// package link, from the times of all calls together (pairing.go). They wait
// until no request that may have made the call can still end.
//
// Each event is looked at twice: it is indexed at its own time, and decided
// Config.Settle later, when its neighbours are in the indexes too. Both happen
// in the order (event time, source, id), whatever the order of arrival.
package bind

// Package bind finds, node by node, which request each event belongs to.
// Everything that meets on one node meets here: sockets under all their names,
// processes and their lineage, the spans of the node's pods. Every join is an
// exact rung: an identifier was equal inside its interval.
//
// Each event is looked at twice: it is indexed at its own time, and decided
// Config.Settle later, when its neighbours are in the indexes too. Both happen
// in the order (event time, source, id), whatever the order of arrival.
package bind

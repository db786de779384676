// Package socket turns what the eBPF shim saw into events: sockets with the
// processes that use them, HTTP exchanges whose boundaries were seen, TLS
// hellos, processes, and what was lost.
//
// Of a packet only the head is read, and of a head only the method, the path,
// the host, the status, the trace context and the request id. Within TLS, where
// that is looked into, of an answer that a client reads a model's id, name, finish
// reason and counts of tokens. Everything else is forgotten with the buffer.
package socket

// Package fanout brings records to sinks: each sink has a lane of its own, which
// batches, retries with growing pauses, keeps the order of revisions, gives up what
// cannot be delivered, and counts. A lane that is slow or stands still stops no
// other. Where records come from, and where dead letters go, is the source's
// matter: a durable queue in a service, a Queue in a replay.
package fanout

// Package bus carries events between nodes and processors over JetStream.
//
// An event never travels alone: a Sender packs the events of one node into
// envelopes (sennit.v1.Envelope as one S2 block) and publishes them under
// sennit.events.<partition>.<node>.<source>. A Reader reads partitions from a
// position on, in the order of the stream. Delivery is at least once: Sessions
// tells which envelopes were seen before, and which are missing.
package bus

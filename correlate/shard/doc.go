// Package shard runs the engine over the cores. It is the one place of
// correlate with goroutines. Event time advances in quanta; within a quantum
// every shard works alone, between quanta they exchange what they found. So
// the result is the same for any number of shards and any cut of the input.
package shard

// Package disk keeps the state of a live engine in Badger, on the disk.
//
// The engine is a function of the events pushed and the clock it was given, so
// that is what is kept: each turn's events as compressed segments, and with them,
// in one transaction, what the turn decided (outbox and timelines), the position
// in the stream and what was seen of each sender. After a crash Recover gives the
// segments back, and pushing them again makes the engine what it was. The format
// is docs/state-format.md.
package disk

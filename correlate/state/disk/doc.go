// Package disk keeps the state of a live engine on the disk.
//
// The engine is a function of the events pushed and the clock it was given, so
// that is what is kept: each turn is one record of a journal, with the envelopes of
// events as the stream has them, the position in the stream, and the rows it changes:
// what was seen of each sender, where results are found, what is to be sent. Results
// are records of a journal of their own, packed as they are sent. Badger has the rows,
// as of a second ago; opening a folder applies the turns behind that. After a crash
// Recover gives the pushes back, and pushing them again makes the engine what it was.
// The format is docs/state-format.md.
package disk

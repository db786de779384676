// Package frame cuts a stream of bytes into records: one JSON value a line,
// values that span lines, arrays of values, and lines of a container runtime's
// log (CRI) with their prefixes and partial parts. It knows where values end
// and nothing of what they mean.
//
// The usual case, one object on a line, costs one search for the end of the
// line and a look at its ends. Only what looks otherwise is read byte by byte.
// A value that turns out to be broken costs its first line: the lines behind it
// are looked at again, except those that are indented deeper, which were part
// of it.
package frame

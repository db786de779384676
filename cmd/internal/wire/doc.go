// Package wire puts the parts together: recorded files through ingest/replay
// into the engine, and what comes out into an ordered result, the counters and
// the summary. It is the only place that knows more than one part, beside the
// verbs themselves.
package wire

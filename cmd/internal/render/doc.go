// Package render draws timelines for a terminal: the waterfall of one request
// with how each step was joined, and one line a request. Every string that came
// with an event is untrusted and is escaped on its way out.
package render

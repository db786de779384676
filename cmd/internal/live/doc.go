// Package live runs the engine on the bus: read, correlate, commit, send. What
// it must not lose is in its state folder before anything leaves it, so it may
// be killed at any time.
package live

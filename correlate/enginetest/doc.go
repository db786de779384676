// Package enginetest is the language in which the engine's tests are written:
// events as lines, timelines as trees, what must hold of every timeline, and
// random clusters. It is for tests alone.
package enginetest

// Package convert turns a recording of one agent process - ftrace, strace, a
// capture of the loopback interface and a reading of the clocks - into the
// records that Sennit's own shim would have made of it, so that the engine's
// joins can be held against the truth of a real run.
//
// It is tooling for tests: what it reads must fit in memory, and what of it
// looks wrong is an error. What the recording has no trace of (cookies, sock
// addresses, boot id) is made up, the same for the same recording; what it knows
// only of the agent (processes, threads) is left out elsewhere.
package convert

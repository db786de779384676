// Package window decides when: how long evidence waits, when a request closes,
// and up to which event time everything has come in.
package window

// Package doctor looks whether a machine has what Sennit needs, and says what to
// do where it has not.
package doctor

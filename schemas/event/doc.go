// Package event is the language every part of Sennit speaks: one normalised
// Event for whatever a source reports, with identifiers that are types and not
// strings, and the Batch that carries events without garbage.
package event

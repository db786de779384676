// Package scan is what the hand-written decoders are made of: a one-pass JSON
// scanner that allocates nothing, a reader of protobuf's wire format, an intern
// table for the strings that stay, and the number, time and address forms that
// sources mix.
package scan

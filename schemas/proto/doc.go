// Package proto holds the protobuf form of events and of the bus's envelopes;
// the generated code is in sennit/v1.
//
// go generate lints the files, checks that they still read what the released
// image (sennit.binpb) describes, and writes the Go code. After a release the
// image is made anew: go tool -modfile=../../tools.mod buf build --exclude-source-info -o sennit.binpb
package proto

//go:generate go tool -modfile=../../tools.mod buf lint
//go:generate go tool -modfile=../../tools.mod buf breaking --against sennit.binpb
//go:generate go tool -modfile=../../tools.mod buf generate

// Package bpf is the kernel's side of the node: programs that say which process
// uses which socket, where HTTP heads pass, and which processes run. It decides
// nothing; its records become events in ingest/socket.
//
// The objects are committed, so that building needs no clang.
package bpf

//go:generate go tool -modfile=../tools.mod bpf2go -go-package bpf -cc clang-14 -strip llvm-strip-14 -cflags "-O2 -g -Wall -Werror" -target amd64,arm64 -type kind -type process -type progress -type head_record -type frame_record -type socket_record -type process_record shim shim.c

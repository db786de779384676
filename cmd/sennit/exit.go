package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/sennit-io/sennit/ingest/replay"
)

// Exit codes, a contract with scripts.
const (
	exitOK     = 0
	exitFailed = 1 // the work failed
	exitUsage  = 2 // wrong use, or a file that is not there
)

// usageError is an error of the one who typed the command.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		fmt.Fprintln(errOut, "sennit: interrupted")
		return exitFailed
	}
	fmt.Fprintf(errOut, "sennit: %v\n", err)
	var usage *usageError
	var path *replay.PathError
	switch {
	case errors.As(err, &usage):
		if !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(errOut, "see '%s --help'\n", cmd.CommandPath())
		}
		return exitUsage
	case errors.As(err, &path):
		return exitUsage
	}
	return exitFailed
}

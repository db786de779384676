package socket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// The reader of the benchmarks is a process of its own, as it is on a node: its CPU
// time is then told apart from that of what it watches. It is this program again.
const readerEnv = "SENNIT_TEST_SHIM_READER"

func TestMain(m *testing.M) {
	if os.Getenv(readerEnv) == "" {
		os.Exit(m.Run())
	}
	if err := readShim(os.Stdin, os.Stdout); err != nil {
		fmt.Println(err)
	}
}

// readShim runs a shim until the commands end. It says "ready", and for each line of
// them what readerState has.
func readShim(commands io.Reader, out io.Writer) error {
	shim, err := bpf.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", "open", err)
	}
	defer shim.Close()
	s := NewSource(shim)
	s.Decoder.Node = "n1"
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, encode()) }()
	time.Sleep(50 * time.Millisecond) // the inventory of processes
	fmt.Fprintln(out, "ready")
	for lines := bufio.NewScanner(commands); lines.Scan(); {
		fmt.Fprintln(out, processTime().Nanoseconds())
	}
	stop()
	err = <-done
	fmt.Fprintln(out, s.Events, s.Lost)
	return err
}

// encode is a sink that does what a recording or a bus would.
func encode() ingest.Sink {
	var line []byte
	return func(_ context.Context, batch *event.Batch) error {
		for i := range batch.Events {
			line = batch.Events[i].AppendWire(line[:0])
		}
		return nil
	}
}

// reader is such a process.
type reader struct {
	b        *testing.B
	cmd      *exec.Cmd
	commands io.WriteCloser
	out      *bufio.Scanner
}

func startReader(b *testing.B) *reader {
	r := &reader{b: b, cmd: exec.Command("/proc/self/exe")}
	r.cmd.Env, r.cmd.Stderr = append(os.Environ(), readerEnv+"=1"), os.Stderr
	commands, err := r.cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	r.commands, r.out = commands, bufio.NewScanner(out)
	if line := r.line(); line != "ready" {
		r.commands.Close()
		_ = r.cmd.Wait()
		if strings.HasPrefix(line, "open: ") {
			b.Skipf("SKIPPED: the cost of the shim: %s", line)
		}
		b.Fatal(line)
	}
	return r
}

func (r *reader) line() string {
	if !r.out.Scan() {
		r.b.Fatal("the reader has ended: ", errors.Join(r.out.Err(), r.cmd.Wait()))
	}
	return r.out.Text()
}

// time is the CPU time of the reader so far.
func (r *reader) time() (t time.Duration) {
	fmt.Fprintln(r.commands)
	if _, err := fmt.Sscan(r.line(), (*int64)(&t)); err != nil {
		r.b.Fatal(err)
	}
	return t
}

// stop ends it and returns how many events there were, and how many records were lost.
func (r *reader) stop() (events, lost uint64) {
	r.commands.Close()
	if _, err := fmt.Sscan(r.line(), &events, &lost); err != nil {
		r.b.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		r.b.Fatal(err)
	}
	return events, lost
}

// processTime is the CPU time of this process, user and system.
func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails for other arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

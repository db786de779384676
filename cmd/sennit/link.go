package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/exchanges"
	"github.com/sennit-io/sennit/cmd/internal/render"
)

func newLink() *cobra.Command {
	var (
		in, out string
		least   float64
	)
	cmd := &cobra.Command{
		Use:     "link --in FILE",
		GroupID: "accuracy",
		Short:   "Link calls to requests by their times alone",
		Long: `Give every call that a service made to the request that caused it, from who called
whom and when: the rung "assignment" of the ladder, alone, so that it can be
measured. No call graph and no training are needed; what a service does after
what is learnt from the exchanges themselves.

FILE has one exchange a line, as seen beside the service:
  {"id":"a1","workload":"cart","direction":"in","peer":"web","start_ns":1000,"end_ns":9000}
  {"id":"b7","workload":"cart","direction":"out","peer":"stock","start_ns":2000,"end_ns":5000}
The output has one line for every call that a request was open for:
  {"id":"b7","parent":"a1","confidence":0.998}
A confidence of 0.9 means that at least nine of ten such links are right.`,
		Example: `  # The likeliest request of every call
  sennit link --in exchanges.jsonl --out predictions.jsonl

  # Only what a timeline would take
  sennit link --in exchanges.jsonl.gz --min-confidence 0.95 > predictions.jsonl`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case in == "":
				return usagef("which exchanges? name a file with --in FILE, or --in - for standard input")
			case least < 0 || least > 1:
				return usagef("--min-confidence must be between 0 and 1")
			}
			r, err := openInput(cmd, in)
			if err != nil {
				return err
			}
			defer r.Close()
			set, err := exchanges.Read(r)
			if err != nil {
				return fmt.Errorf("%s: %w", in, err)
			}
			return writeOutput(cmd, out, func(w io.Writer) error {
				return predict(set, w, least, cmd.ErrOrStderr())
			})
		},
	}
	reading := newFlagGroup("Reading")
	reading.set.StringVar(&in, "in", "", "read exchanges from `FILE`, \"-\" for standard input; gzip and zstd are unpacked")
	writing := newFlagGroup("Writing")
	writing.set.StringVar(&out, "out", "-", "write predictions to `FILE`, \"-\" for standard output")
	writing.set.Float64Var(&least, "min-confidence", 0, "leave out links below this confidence, 0..1")
	addFlags(cmd, reading, writing)
	return cmd
}

// predict writes the predictions and says how many there are.
func predict(set *exchanges.Set, w io.Writer, least float64, summary io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<16)
	var line []byte
	links := 0
	err := set.Link(func(p exchanges.Prediction) error {
		if p.Confidence < least {
			return nil
		}
		links++
		line = p.AppendJSON(line[:0])
		_, err := b.Write(line)
		return err
	})
	if err == nil {
		err = b.Flush()
	}
	if err != nil {
		return fmt.Errorf("write predictions: %w", err)
	}
	_, err = fmt.Fprintf(summary, "%s links among %s exchanges\n", render.Grouped(uint64(links)), render.Grouped(uint64(set.Lines)))
	return err
}

// writeOutput calls write with a file, or with standard output for "-".
func writeOutput(cmd *cobra.Command, name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(cmd.OutOrStdout())
	}
	f, err := os.Create(name)
	if err != nil {
		return &usageError{err}
	}
	err = write(f)
	if closed := f.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write %s: %w", name, closed)
	}
	return err
}

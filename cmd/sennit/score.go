package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/score"
)

func newScore() *cobra.Command {
	output := newChoice("text", "json")
	cmd := &cobra.Command{
		Use:     "score TRUTH TIMELINES",
		GroupID: "accuracy",
		Short:   "Measure timelines against the truth",
		Long: `Compare what 'sennit replay -o json' made of a simulated cluster with the truth
that 'sennit simulate' wrote: precision and recall of the joins by method, how
much was stitched to the wrong request, how much to none, and how well the
confidences are calibrated. "-" is standard input.`,
		Example: `  # In one pipe
  sennit replay -o json sim | sennit score sim/truth.jsonl -

  # For a program
  sennit score -o json sim/truth.jsonl timelines.jsonl`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" && args[1] == "-" {
				return usagef("only one of TRUTH and TIMELINES can be standard input")
			}
			truth, err := openInput(cmd, args[0])
			if err != nil {
				return err
			}
			defer truth.Close()
			timelines, err := openInput(cmd, args[1])
			if err != nil {
				return err
			}
			defer timelines.Close()
			report, err := score.Run(truth, timelines)
			if err != nil {
				return err
			}
			if output.value == "json" {
				b, err := report.JSON()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
				return err
			}
			return report.WriteText(cmd.OutOrStdout())
		},
	}
	formatting := newFlagGroup("Formatting")
	formatting.set.VarP(output, "output", "o", "text: a table; json: one object")
	addFlags(cmd, formatting)
	return cmd
}

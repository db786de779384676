package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/explain"
	"github.com/sennit-io/sennit/schemas/timeline"
)

func newExplain() *cobra.Command {
	var (
		output = newChoice("text", "json")
		input  string
	)
	cmd := &cobra.Command{
		Use:     "explain ID[/STEP] --in FILE",
		GroupID: "events",
		Short:   "Say how a step came to its timeline",
		Long: `Say how a step came to its timeline: the evidence, the rungs of the ladder that
were tried before, the requests that were rejected and how likely they were, and
what the step hangs below. Without a step, say so of the whole timeline.

ID is a timeline's id or a prefix of it, as for 'sennit get'; STEP is a step's, a
span's or an event's id, or a prefix that only one step has. FILE is what 'sennit
replay -o json' wrote.`,
		Example: `  # Which joins of a request are the least sure?
  sennit explain 4bf92f35 --in timelines.jsonl

  # Why does this step belong to it?
  sennit explain 4bf92f35/83a163 --in timelines.jsonl`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if input == "" {
				return usagef("which timelines? name a file with --in FILE, or --in - for standard input")
			}
			id, step, named := strings.Cut(args[0], "/")
			if named && step == "" {
				return usagef("which step? %s/STEP, or %s alone for the whole timeline", id, id)
			}
			in, err := openInput(cmd, input)
			if err != nil {
				return err
			}
			defer in.Close()
			line, err := find(in, id)
			if err != nil {
				return fmt.Errorf("%s: %w", input, err)
			}
			var t timeline.Timeline
			if err := json.Unmarshal(line, &t); err != nil {
				return fmt.Errorf("read timeline: %w", err)
			}
			account := any(explain.All(&t))
			if named {
				if account, err = explain.Of(&t, step); err != nil {
					return err
				}
			}
			if output.value == "json" {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetEscapeHTML(false)
				return enc.Encode(account)
			}
			return explain.WriteText(cmd.OutOrStdout(), account)
		},
	}
	reading := newFlagGroup("Reading")
	reading.set.StringVar(&input, "in", "", "read timelines from `FILE`, \"-\" for standard input")
	formatting := newFlagGroup("Formatting")
	formatting.set.VarP(output, "output", "o", "text: for people; json: one object")
	addFlags(cmd, reading, formatting)
	return cmd
}

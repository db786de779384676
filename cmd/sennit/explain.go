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
		from   lookup
	)
	cmd := &cobra.Command{
		Use:     "explain ID[/STEP]",
		GroupID: "events",
		Short:   "Say how a step came to its timeline",
		Long: `Say how a step came to its timeline: the evidence, the rungs of the ladder that
were tried before, the requests that were rejected and how likely they were, and
what the step hangs below. Without a step, say so of the whole timeline.

ID is a timeline's id or a prefix of it, as for 'sennit get'; STEP is a step's, a
span's or an event's id, or a prefix that only one step has. Timelines come from the
file that --in names, which 'sennit replay -o json' wrote, else from the 'sennit up'
or 'sennit processor' that runs on this machine.`,
		Example: `  # Which joins of a request are the least sure?
  sennit explain 4bf92f35 --in timelines.jsonl

  # Why does this step belong to it?
  sennit explain 4bf92f35/83a163 --in timelines.jsonl`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, step, named := strings.Cut(args[0], "/")
			if named && step == "" {
				return usagef("which step? %s/STEP, or %s alone for the whole timeline", id, id)
			}
			line, err := from.timeline(cmd, id)
			if err != nil {
				return err
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
	reading := from.reading()
	formatting := newFlagGroup("Formatting")
	formatting.set.VarP(output, "output", "o", "text: for people; json: one object")
	addFlags(cmd, reading, formatting)
	return cmd
}

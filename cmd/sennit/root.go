package main

import (
	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sennit",
		Short: "One timeline per AI agent request, from the load balancer to the syscall",
		Long: `Sennit braids what an AI agent says it did (OpenTelemetry spans) with what the
kernel and the network saw it do (Tetragon, Hubble, socket events, cloud logs)
into one timeline per request, with the evidence for every join.`,
		Example: `  # Stitch recorded events and draw the most interesting request
  sennit replay events/

  # Keep all timelines, then look at one of them
  sennit replay -o json hubble.json tetragon.json spans.jsonl > timelines.jsonl
  sennit get 4bf92f35 --in timelines.jsonl`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	root.AddGroup(
		&cobra.Group{ID: "events", Title: "Timelines from events:"},
		&cobra.Group{ID: "live", Title: "Live:"},
		&cobra.Group{ID: "rules", Title: "What to be told of:"},
		&cobra.Group{ID: "results", Title: "Where results go:"},
		&cobra.Group{ID: "accuracy", Title: "How right they are:"},
	)
	root.AddCommand(
		newReplay(), upRunner().command(), nodeRunner().command(), newDoctor(), processorRunner().command(), recordRunner().command(), newSinks(), newConfig(), newNATSConfig(), newBench(),
		newGet(), newExplain(), newRules(), newAlerts(), newBigQuery(), newSimulate(), newScore(), newLink(), newVersion(),
	)
	return root
}

// usageArgs makes a usage error of wrong arguments.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}

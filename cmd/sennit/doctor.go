package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/doctor"
)

func newDoctor() *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: "live",
		Short:   "Say what this machine lets Sennit see, and what to do",
		Long: `Look at what watching this machine needs: the kernel and its types, lockdown,
cgroup2, capabilities; try every hook by loading it for a moment; look for the
files of Hubble and Tetragon, and for the bus. One line each: ok, warn (Sennit does
without it) or fail, with what to do about it.

The exit code is 1 if anything failed.`,
		Example: `  sudo sennit doctor
  sudo sennit doctor --nats nats://nats.sennit:4222`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			well, err := doctor.Write(cmd.OutOrStdout(), doctor.All(cmd.Context(), url))
			if err == nil && !well {
				return errors.New("not all is well; see above")
			}
			return err
		},
	}
	g := newFlagGroup("The bus")
	g.set.StringVar(&url, "nats", "", "look for NATS with JetStream at `URL` too")
	addFlags(cmd, g)
	return cmd
}

package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/natsauth"
)

func newNATSConfig() *cobra.Command {
	var nodes []string
	var out string
	cmd := &cobra.Command{
		Use:     "nats-config",
		GroupID: "live",
		Short:   "Make the users of the bus, and what each may do",
		Long: `Make a key (nkey) for each node, for the processor, for sinks, for 'sennit record' and
for other programs that want alerts, and the part of nats-server's configuration that says what each may do:

  node       publish events in its own name, read nothing
  processor  make and read the streams, write results and dead letters
  sinks      read the stream OUT
  recorder   read the stream EVENTS
  listener   subscribe to sennit.out.alert.SEVERITY and sennit.out.timeline

Seeds are secret: each goes to its machine alone, and is named there by --nats-nkey.
With such a key 'sennit node' must be told the name it has here (--node NAME).
Run again, it keeps the keys that are there and adds what is new. To take a node's
right away delete its .nk file, run it again, and let the server reload. For a new
node let a running server reload twice: nats-server makes the account with the first
and what it may publish with the second.`,
		Example: `  sennit nats-config --nodes node-1,node-2 --out bus
  echo 'include bus/auth.conf' >> nats-server.conf

  sennit node --nats tls://nats:4222 --nats-nkey node-node-1.nk --node node-1`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, n := range nodes {
				if n == "" {
					return usagef("--nodes: a node without a name")
				}
			}
			users, err := natsauth.Write(out, nodes)
			if err != nil {
				return err
			}
			for _, u := range users {
				state := "kept"
				if u.New {
					state = "new"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-4s  %-28s %s\n", state, u.Name, filepath.Join(out, u.File))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "include %s in the configuration of nats-server, and let it reload (twice, if it runs and there are new nodes)\n", filepath.Join(out, natsauth.Config))
			return nil
		},
	}
	g := newFlagGroup("Users")
	g.set.StringSliceVar(&nodes, "nodes", nil, "`NAME,...` of nodes, as Kubernetes has them; those that have a key in the folder stay")
	g.set.StringVar(&out, "out", "sennit-nats", "write keys and configuration into the folder `DIR`")
	addFlags(cmd, g)
	return cmd
}

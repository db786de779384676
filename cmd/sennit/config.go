package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		GroupID: "live",
		Short:   "Write, check and show the configuration of services",
		Long: `The services (up, node, processor, record) take their settings from flags, from the
environment, from a file (--config FILE, or SENNIT_CONFIG), and else have defaults,
in this order. A key of the file, which is YAML, is a flag's long name ('sennit
config init -' shows them all); one file may serve all services. In the environment
it is SENNIT_ and the name in capitals, with _ for -, and lists have commas between.
Secrets (tokens, keys) are files of their own, which the settings name.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigInit(), newConfigCheck(), newConfigShow())
	return cmd
}

func newConfigInit() *cobra.Command {
	return &cobra.Command{
		Use:   "init FILE",
		Short: "Write a file with every key, its help and its default, commented out",
		Long: `Write a file with every key, its help and its default, commented out. FILE must
not exist; "-" is standard output.`,
		Example: `  sennit config init sennit.yaml`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			write := func(w io.Writer) error { return config.Init(w, schemaOf(runners())) }
			if args[0] == "-" {
				return write(cmd.OutOrStdout())
			}
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return usagef("%s exists: give another name, or move it away", args[0])
			}
			if err != nil {
				return &usageError{err}
			}
			if err := errors.Join(write(f), f.Close()); err != nil {
				return fmt.Errorf("write %s: %w", args[0], err)
			}
			return nil
		},
	}
}

func newConfigCheck() *cobra.Command {
	list := runners()
	var names []string
	for _, r := range list {
		names = append(names, r.cmd.Name())
	}
	as := newChoice(append([]string{"all"}, names...)...)
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether a service would start with a file",
		Long: `Read a file and the environment and judge them as a service does when it starts:
keys, values, and the files that they name. Nothing is started. What is wrong is
shown with its place.`,
		Example: `  sennit config check sennit.yaml
  sennit config check --as node sennit.yaml`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := configure(cmd, list, args[0]); err != nil {
				return err
			}
			for _, r := range list {
				if as.value != "all" && as.value != r.cmd.Name() {
					continue
				}
				if err := r.check(); err != nil {
					return fmt.Errorf("for 'sennit %s': %w", r.cmd.Name(), err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "right for 'sennit %s'\n", r.cmd.Name())
			}
			return nil
		},
	}
	g := newFlagGroup("Checking")
	g.set.Var(as, "as", "check it for this service")
	addFlags(cmd, g)
	return cmd
}

func newConfigShow() *cobra.Command {
	list := runners()
	var file string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show every value and where it comes from",
		Long: `Show the value of every key as a service would have it, and where it comes from: its
default, the file and line, or the variable of the environment.`,
		Example: `  sennit config show --config sennit.yaml`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("config") {
				file = os.Getenv(config.Variable("config"))
			}
			if err := configure(cmd, list, file); err != nil {
				return err
			}
			return config.Show(cmd.OutOrStdout(), schemaOf(list))
		},
	}
	g := newFlagGroup("Reading")
	g.set.StringVar(&file, "config", "", "read `FILE` too")
	addFlags(cmd, g)
	return cmd
}

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/config"
	"github.com/sennit-io/sennit/cmd/internal/live"
	"github.com/sennit-io/sennit/cmd/internal/selftrace"
)

// runner is a verb that runs until it is stopped. Its flags are the keys of the
// configuration.
type runner struct {
	cmd    *cobra.Command
	groups []flagGroup
	// check completes what the flags say, and refuses what cannot be.
	check func() error
	run   func(ctx context.Context) error
	// service is what is traced if the variables of OpenTelemetry say so; nil for
	// nothing.
	service *live.Service
}

// runners are all that there are, with flags of their own.
func runners() []*runner {
	return []*runner{upRunner(), nodeRunner(), processorRunner(), recordRunner()}
}

func (r *runner) verb() config.Verb {
	v := config.Verb{Name: r.cmd.Name()}
	for _, g := range r.groups {
		if g.once {
			continue
		}
		v.Groups = append(v.Groups, config.Group{Title: g.title, Flags: g.set})
	}
	return v
}

func schemaOf(list []*runner) (s config.Schema) {
	for _, r := range list {
		s = append(s, r.verb())
	}
	return s
}

// command is the verb, for the command line.
func (r *runner) command() *cobra.Command {
	g := newFlagGroup("Configuration")
	file := g.set.String("config", "", "read what no flag says from `FILE`, see 'sennit config'")
	addFlags(r.cmd, append(r.groups, g)...)
	r.cmd.Args = usageArgs(cobra.NoArgs)
	r.cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		path := *file
		if !cmd.Flags().Changed("config") {
			path = os.Getenv(config.Variable("config"))
		}
		if err := configure(cmd, []*runner{r}, path); err != nil {
			return err
		}
		if err := r.check(); err != nil {
			return err
		}
		ctx, stop := untilStopped(cmd.Context())
		defer stop()
		if r.service != nil {
			var end func()
			var err error
			if r.service.Tracer, end, err = selftrace.Open(ctx, r.cmd.Name(), versionLine(), r.service.Log); err != nil {
				return &usageError{err}
			}
			defer end()
		}
		return r.run(ctx)
	}
	return r.cmd
}

// configure sets the flags of verbs that were not given from a file, "" for none,
// and from the environment. What looks like a variable of Sennit and is none is
// warned of.
func configure(cmd *cobra.Command, list []*runner, path string) error {
	s := schemaOf(runners())
	for _, w := range config.Unknown(s, os.Environ()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "sennit: warning: %s\n", w)
	}
	var file *config.File
	if path != "" {
		var err error
		if file, err = config.Read(path, s); err != nil {
			return &usageError{err}
		}
	}
	for _, r := range list {
		if err := config.Apply(r.verb(), file, os.Environ()); err != nil {
			return &usageError{err}
		}
	}
	return nil
}

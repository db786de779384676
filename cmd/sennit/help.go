package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroup is a titled part of a verb's flags, as `hubble observe --help` has
// them.
type flagGroup struct {
	title string
	set   *pflag.FlagSet
	// once: of one call, no keys of the configuration, because other verbs mean
	// something else by their names.
	once bool
}

func newFlagGroup(title string) flagGroup {
	set := pflag.NewFlagSet(title, pflag.ContinueOnError)
	set.SortFlags = false
	return flagGroup{title: title, set: set}
}

// addFlags gives the verb its flags and lists them in their groups.
func addFlags(cmd *cobra.Command, groups ...flagGroup) {
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.set)
	}
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		var b strings.Builder
		b.WriteString("Usage:\n  " + cmd.UseLine() + "\n")
		if cmd.Example != "" {
			b.WriteString("\nExamples:\n" + cmd.Example + "\n")
		}
		for _, g := range groups {
			b.WriteString("\n" + g.title + ":\n" + g.set.FlagUsagesWrapped(100))
		}
		_, err := cmd.OutOrStderr().Write([]byte(b.String()))
		return err
	})
}

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

func newChoice(allowed ...string) *choice { return &choice{allowed[0], allowed} }

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

// Set takes a word of the list.
func (c *choice) Set(s string) error {
	for _, a := range c.allowed {
		if s == a {
			c.value = s
			return nil
		}
	}
	return usagef("must be one of %s", strings.Join(c.allowed, ", "))
}

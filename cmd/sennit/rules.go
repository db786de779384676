package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/tools/txtar"

	"github.com/sennit-io/sennit/cmd/internal/wire"
	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/ingest/replay"
)

func newRules() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rules",
		GroupID: "rules",
		Short:   "Check and test rules",
		Long: `Rules say which events and timelines are alerts: YAML files with conditions in CEL
over an event, a step, a request, or steps that follow one another. 'sennit replay
--rules DIR' judges by them, and so do 'sennit up' and 'sennit processor'.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRulesCheck(), newRulesTest())
	return cmd
}

func newRulesCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR",
		Short: "Compile rules, and say what is wrong with them",
		Long: `Compile the rules in a folder. What is wrong is said with file, line and column.

Each rule is shown with its class. A monotone one, whose finding nothing later can
refute, fires as soon as it holds, while the request is still open. A refutable one
fires when its request has closed and what would refute it has come, or can come no
more; the line below says why it is refutable, with line and column in its condition.`,
		Example: `  sennit rules check deploy/rules`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := loadRules(args[0])
			if err != nil {
				return err
			}
			for _, r := range set.Rules {
				class, why := r.Class()
				fmt.Fprintf(cmd.OutOrStdout(), "%-9s %-9s %-28s %s\n", r.Severity, class, r.ID, r.Title)
				if why != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "%20s%s\n", "", why)
				}
			}
			return nil
		},
	}
}

// loadRules reads the rules of a folder; wrong ones are a failure, no wrong use.
func loadRules(dir string) (*detect.Set, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, &usageError{err}
	}
	return detect.Load(os.DirFS(dir))
}

func newRulesTest() *cobra.Command {
	return &cobra.Command{
		Use:   "test DIR",
		Short: "Run the tests beside rules",
		Long: `Run the tests in a folder of rules: each *.txtar there has recorded events, in files
of any format that 'sennit replay' reads, and a file "alerts" with the rules that
must find something in them, one a line for each alert; nothing else may be found. A
file "near" names rules that must not find anything although the events look like it.
Rules without a test of either kind are listed.`,
		Example: `  sennit rules test deploy/rules`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := loadRules(args[0])
			if err != nil {
				return err
			}
			tests, err := filepath.Glob(filepath.Join(args[0], "*.txtar"))
			if err != nil {
				return err
			}
			if len(tests) == 0 {
				return fmt.Errorf("no .txtar file in %s", args[0])
			}
			tried := map[string]tries{}
			failed := 0
			for _, name := range tests {
				wrong, err := testRules(cmd, set, name, tried)
				if err != nil {
					return err
				}
				if wrong != "" {
					failed++
					fmt.Fprintf(cmd.OutOrStdout(), "FAIL  %s\n%s", filepath.Base(name), wrong)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "ok    %s\n", filepath.Base(name))
			}
			for _, r := range set.Rules {
				if !tried[r.ID].fires {
					fmt.Fprintf(cmd.OutOrStdout(), "no test expects an alert of %s\n", r.ID)
				}
				if !tried[r.ID].near {
					fmt.Fprintf(cmd.OutOrStdout(), "no test is near %s and expects no alert\n", r.ID)
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d tests failed", failed, len(tests))
			}
			return nil
		},
	}
}

// tries are the kinds of tests that a rule has.
type tries struct{ fires, near bool }

// testRules runs one test and says what is wrong, "" if nothing is.
func testRules(cmd *cobra.Command, set *detect.Set, name string, tried map[string]tries) (wrong string, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "sennit-rules-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var want, near []string
	for _, f := range txtar.Parse(data).Files {
		if f.Name == "alerts" {
			want = strings.Fields(string(f.Data))
			continue
		}
		if f.Name == "near" {
			near = strings.Fields(string(f.Data))
			continue
		}
		if !filepath.IsLocal(f.Name) {
			return "", fmt.Errorf("%s: file %q would be outside the test", name, f.Name)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.Name)), f.Data, 0o600); err != nil {
			return "", err
		}
	}
	alerts := filepath.Join(dir, "alerts.out")
	err = wire.Replay(cmd.Context(), wire.Options{
		Replay: replay.Options{Paths: []string{dir}}, Form: wire.None, Out: io.Discard, Messages: io.Discard, Rules: set, AlertsFile: alerts, Strict: true,
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	out, err := os.ReadFile(alerts)
	if err != nil {
		return "", err
	}
	var got []string
	for line := range bytes.Lines(out) {
		var a struct {
			Rule string `json:"rule_id"`
		}
		if err := json.Unmarshal(line, &a); err != nil {
			return "", errors.Join(errors.New("read alerts"), err)
		}
		got = append(got, a.Rule)
	}
	slices.Sort(got)
	slices.Sort(want)
	for _, r := range want {
		tried[r] = tries{true, tried[r].near}
	}
	for _, r := range near {
		switch {
		case !slices.ContainsFunc(set.Rules, func(o *detect.Rule) bool { return o.ID == r }):
			wrong += fmt.Sprintf("      near: there is no rule %s\n", r)
		case slices.Contains(want, r):
			wrong += fmt.Sprintf("      near: %s is to be found as well\n", r)
		}
		tried[r] = tries{tried[r].fires, true}
	}
	if !slices.Equal(got, want) {
		wrong += fmt.Sprintf("      want %s\n      got  %s\n", or(strings.Join(want, ", "), "none"), or(strings.Join(got, ", "), "none"))
	}
	return wrong, nil
}

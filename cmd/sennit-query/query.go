package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/schemas/tables"
)

// Exit codes, those of sennit.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// usageError is a wrong use.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newQuery()
	cmd.SetArgs(append([]string{}, args...)) // none are not os.Args
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "sennit-query: %v\n", err)
	if errors.As(err, &usageError{}) {
		fmt.Fprintln(stderr, "see 'sennit-query --help'")
		return exitUsage
	}
	return exitFailed
}

func newQuery() *cobra.Command {
	var (
		dir, view, output string
		list              bool
	)
	cmd := &cobra.Command{
		Use:   "sennit-query [SQL]",
		Short: "Ask the tables of Sennit in SQL",
		Long: `Ask the tables that sennit wrote to a folder, in DuckDB's SQL. The tables are timelines,
steps and alerts, with every revision; timelines_current, steps_current and
alerts_current have the last ones. --views lists the questions that are ready.`,
		Example: `  sennit-query --view agent_latency
  sennit-query "select agent, count(*) from steps_current where layer = 'tool' group by 1"
  sennit-query --dir tables -o csv --view tokens_daily > tokens.csv`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := writers[output]
			if !ok {
				return usageError{fmt.Errorf("-o %q: must be one of table, csv, json", output)}
			}
			if list {
				for _, v := range tables.Views {
					fmt.Fprintf(cmd.OutOrStdout(), "%-20s %s\n", v.Name, v.Doc)
				}
				return nil
			}
			sql, err := question(args, view)
			if err != nil {
				return usageError{err}
			}
			db, err := openTables(cmd.Context(), dir)
			if err != nil {
				return err
			}
			defer db.Close()
			rows, err := db.QueryContext(cmd.Context(), sql)
			if err != nil {
				return fmt.Errorf("query: %w", err)
			}
			defer rows.Close()
			return write(cmd.OutOrStdout(), rows)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.Flags().StringVar(&dir, "dir", "tables", "`FOLDER` of the tables")
	cmd.Flags().StringVar(&view, "view", "", "ask what the view `NAME` asks")
	cmd.Flags().BoolVar(&list, "views", false, "list the views")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`FORM` of the answer: table, csv or json (one object a line)")
	return cmd
}

// question is the SQL that was asked for.
func question(args []string, view string) (string, error) {
	switch {
	case len(args) > 1:
		return "", errors.New("one query at a time: put it in quotes")
	case len(args) == 1 && view == "":
		return args[0], nil
	case len(args) == 0 && view != "":
		names := make([]string, len(tables.Views))
		for i, v := range tables.Views {
			if names[i] = v.Name; v.Name == view {
				return "SELECT * FROM " + view, nil
			}
		}
		return "", fmt.Errorf("no view %q: there are %s", view, strings.Join(names, ", "))
	}
	return "", errors.New("ask what? a query in SQL, or --view NAME")
}

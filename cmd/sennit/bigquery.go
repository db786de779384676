package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/schemas/tables"
	"github.com/sennit-io/sennit/sinks/bigquery"
)

func newBigQuery() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bigquery",
		GroupID: "results",
		Short:   "Make and check the tables of results in BigQuery",
		Long: `Results can be written to BigQuery: the tables timelines, steps, alerts and events, and
views of what is asked often. 'sennit replay --sink bigquery:PROJECT.DATASET' writes them.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBigQueryDDL(), newBigQueryInit(), newBigQueryCheck())
	return cmd
}

// layoutFlags are those of how tables and views are made.
func layoutFlags(cmd *cobra.Command, l *bigquery.Layout) {
	cmd.Flags().IntVar(&l.ExpireDays, "expire", tables.DefaultExpireDays, "delete partitions after `DAYS`")
	cmd.Flags().IntVar(&l.ViewDays, "view-days", tables.DefaultViewDays, "let views look `DAYS` back")
}

// accessFlags are those of how to get at BigQuery.
func accessFlags(cmd *cobra.Command, o *bigquery.Options) {
	cmd.Flags().StringVar(&o.KeyFile, "key", "", "`FILE` with the key of a service account, instead of the default credentials")
	cmd.Flags().StringVar(&o.Endpoint, "endpoint", "", "`URL` of another server than Google's, as an emulator, without credentials")
}

// dataset reads PROJECT.DATASET.
func dataset(s string, o *bigquery.Options, l *bigquery.Layout) error {
	at := strings.LastIndexByte(s, '.') // a project may have dots and colons in it
	if at <= 0 || at == len(s)-1 || strings.ContainsAny(s, "`/ ") {
		return usagef("%q: want PROJECT.DATASET", s)
	}
	if l != nil && (l.ExpireDays < 1 || l.ViewDays < 1) {
		return usagef("--expire and --view-days must be at least 1")
	}
	o.Project, o.Dataset = s[:at], s[at+1:]
	return nil
}

func newBigQueryDDL() *cobra.Command {
	var o bigquery.Options
	var l bigquery.Layout
	cmd := &cobra.Command{
		Use:     "ddl PROJECT.DATASET",
		Short:   "Print the SQL that makes the tables and views",
		Long:    `Print the SQL that makes the tables and views, for those who make them by other means than 'sennit bigquery init'.`,
		Example: `  sennit bigquery ddl my-project.agents | bq query --use_legacy_sql=false`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := dataset(args[0], &o, &l); err != nil {
				return err
			}
			made := tables.Scripts(tables.Options{Dataset: args[0], ExpireDays: l.ExpireDays, ViewDays: l.ViewDays})
			_, err := fmt.Fprint(cmd.OutOrStdout(), made["tables.sql"], "\n", made["views.sql"])
			return err
		},
	}
	layoutFlags(cmd, &l)
	return cmd
}

func newBigQueryInit() *cobra.Command {
	var o bigquery.Options
	var l bigquery.Layout
	cmd := &cobra.Command{
		Use:   "init PROJECT.DATASET",
		Short: "Make what is not there, and add columns that are new",
		Long: `Make the dataset, tables and views that are not there, add the columns that tables of
an older version do not have, and give views their present query. Nothing is deleted.
The account needs the role roles/bigquery.dataOwner on the dataset, or
roles/bigquery.user on the project to make it.`,
		Example: `  sennit bigquery init my-project.agents --location EU`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := dataset(args[0], &o, &l); err != nil {
				return err
			}
			done, err := bigquery.Init(cmd.Context(), o, l)
			for _, what := range done {
				fmt.Fprintln(cmd.OutOrStdout(), what)
			}
			if err != nil {
				return err
			}
			problems, err := bigquery.Check(cmd.Context(), o, l)
			return told(cmd, problems, err)
		},
	}
	cmd.Flags().StringVar(&l.Location, "location", "", "`REGION` of a dataset that is made, as EU; BigQuery's default is US")
	layoutFlags(cmd, &l)
	accessFlags(cmd, &o)
	return cmd
}

func newBigQueryCheck() *cobra.Command {
	var o bigquery.Options
	var l bigquery.Layout
	cmd := &cobra.Command{
		Use:     "check PROJECT.DATASET",
		Short:   "Say whether the tables and views fit, and what to do if not",
		Long:    `Say whether the tables and views are those that this version writes, and what to do if not. Nothing is changed.`,
		Example: `  sennit bigquery check my-project.agents`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := dataset(args[0], &o, &l); err != nil {
				return err
			}
			problems, err := bigquery.Check(cmd.Context(), o, l)
			return told(cmd, problems, err)
		},
	}
	layoutFlags(cmd, &l)
	accessFlags(cmd, &o)
	return cmd
}

var errTables = errors.New("the tables do not fit")

// told says what does not fit.
func told(cmd *cobra.Command, problems []string, err error) error {
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(cmd.OutOrStdout(), p)
	}
	if len(problems) > 0 {
		return errTables
	}
	fmt.Fprintln(cmd.OutOrStdout(), "the tables and views are as they should be")
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/live"
	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/sinks/fanout"
)

func newSinks() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sinks",
		GroupID: "live",
		Short:   "See where results go, and send again what did not get there",
		Long: `Ask a running 'sennit up' or 'sennit processor' on this machine about its sinks: the
receivers of results that are away, slow or refuse some. What a sink does not take
is tried again for a day; then, or when it is refused for good, it is a dead letter,
which is kept for a month.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSinksList(), newSinksDead(), newSinksRetry(), newSinksTest())
	return cmd
}

// sinksVerb is a verb that asks a service.
func sinksVerb(use, short, example string, args cobra.PositionalArgs, more func(flagGroup), run func(cmd *cobra.Command, ask asker, args []string) error) *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: usageArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, asker{cmd.Context(), addr}, args) },
	}
	g := newFlagGroup("Flags")
	g.set.StringVar(&addr, "http", "127.0.0.1:9464", "ask the service that answers on `ADDRESS` (its --http)")
	if more != nil {
		more(g)
	}
	addFlags(cmd, g)
	return cmd
}

// asker asks a service that runs on this machine.
type asker struct {
	ctx  context.Context
	addr string
}

func (a asker) ask(method, path string, into any) error {
	b, err := a.bytes(method, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", a.addr, err)
	}
	return nil
}

func (a asker) bytes(method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(a.ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.addr+path, nil)
	if err != nil {
		return nil, usagef("--http %q is no address", a.addr)
	}
	req.Header.Set(live.AskHeader, "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the service on %s: %w: does 'sennit up' or 'sennit processor' run there?", a.addr, errors.Unwrap(err))
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the service on %s: %w", a.addr, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(render.Escape(strings.TrimSpace(string(b))))
	}
	return b, nil
}

func newSinksList() *cobra.Command {
	form := newChoice("text", "json")
	return sinksVerb("list", "Show the sinks, and how they stand", "  sennit sinks list", cobra.NoArgs,
		func(g flagGroup) { g.set.VarP(form, "output", "o", "text: a table; json: one object a line") },
		func(cmd *cobra.Command, a asker, _ []string) error {
			var list []fanout.Status
			if err := a.ask(http.MethodGet, "/sinks", &list); err != nil {
				return err
			}
			if form.value == "json" {
				return writeObjects(cmd.OutOrStdout(), list)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tDELIVERED\tRETRIED\tDEAD\tBACKLOG\tLAST ERROR")
			for _, s := range list {
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\n", s.Name, s.Delivered, s.Retried, s.Dead, s.Backlog, or(render.Escape(s.LastError), "-"))
			}
			return w.Flush()
		})
}

func newSinksDead() *cobra.Command {
	form := newChoice("text", "json")
	return sinksVerb("dead NAME", "List what a sink did not take, and why", "  sennit sinks dead oncall", cobra.ExactArgs(1),
		func(g flagGroup) { g.set.VarP(form, "output", "o", "text: a table; json: one object a line") },
		func(cmd *cobra.Command, a asker, args []string) error {
			var list []bus.Letter
			if err := a.ask(http.MethodGet, "/sinks/"+url.PathEscape(args[0])+"/dead", &list); err != nil {
				return err
			}
			if form.value == "json" {
				return writeObjects(cmd.OutOrStdout(), list)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NUMBER\tGIVEN UP\tKIND\tID\tREVISION\tREASON")
			for _, l := range list {
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\n", l.Sequence, l.Time.Format(time.RFC3339), l.Kind, render.Escape(l.ID), l.Revision, render.Escape(l.Reason))
			}
			return w.Flush()
		})
}

func newSinksRetry() *cobra.Command {
	return sinksVerb("retry NAME [NUMBER]", "Send a sink's dead letters once more, all or one", "  sennit sinks retry oncall", cobra.RangeArgs(1, 2), nil,
		func(cmd *cobra.Command, a asker, args []string) error {
			path := "/sinks/" + url.PathEscape(args[0]) + "/retry"
			if len(args) == 2 {
				path += "?number=" + url.QueryEscape(args[1])
			}
			var answer struct{ Sent int }
			if err := a.ask(http.MethodPost, path, &answer); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d sent again\n", answer.Sent)
			if answer.Sent == 0 && len(args) == 2 {
				return fmt.Errorf("%s has no dead letter %s", args[0], args[1])
			}
			return nil
		})
}

func newSinksTest() *cobra.Command {
	return sinksVerb("test NAME", "Send a sink an alert that says that it is a test", "  sennit sinks test oncall", cobra.ExactArgs(1), nil,
		func(cmd *cobra.Command, a asker, args []string) error {
			var answer struct {
				ID string `json:"alert_id"`
				MS int64  `json:"ms"`
			}
			if err := a.ask(http.MethodPost, "/sinks/"+url.PathEscape(args[0])+"/test", &answer); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s took the alert %s within %d ms\n", args[0], answer.ID, answer.MS)
			return nil
		})
}

// writeObjects writes one JSON object a line.
func writeObjects[T any](w io.Writer, list []T) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, v := range list {
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("write the list: %w", err)
		}
	}
	return nil
}

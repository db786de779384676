package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/cmd/internal/wire"
	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
)

func newAlerts() *cobra.Command {
	var (
		output = newChoice("table", "json")
		state  = newChoice("open", "withdrawn", "all")
		from   alertSource
		keep   alertFilter
	)
	cmd := &cobra.Command{
		Use:     "alerts [PATH...]",
		GroupID: "rules",
		Short:   "List alerts",
		Long: `List alerts, the oldest first, each as it stands: its last revision.

Without a PATH the 'sennit up' or 'sennit processor' that runs on this machine is asked
for those of the last day. With --in they are read from a file of alerts, one JSON
object a line, as 'sennit replay --alerts' and sinks write it, or from all such files
(*.jsonl, *.ndjson) in a folder. With --rules, PATHs are recorded events, which are
judged as 'sennit replay' does.`,
		Example: `  # What the service that runs here has found
  sennit alerts --severity high --since 1h

  # What a file of alerts says of one rule
  sennit alerts --in alerts.jsonl --rule metadata_service -o json

  # What the rules find in recorded events
  sennit alerts --rules deploy/rules events/`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			keep.state = state.value
			if err := keep.check(time.Now()); err != nil {
				return err
			}
			list, err := from.read(cmd, paths)
			if err != nil {
				return err
			}
			list = keep.of(list)
			if output.value == "json" {
				w := bufio.NewWriter(cmd.OutOrStdout())
				for i := range list {
					_, _ = w.Write(append(list[i].AppendJSON(nil), '\n')) // Flush tells
				}
				return w.Flush()
			}
			return alertTable(cmd.OutOrStdout(), list)
		},
	}
	reading := newFlagGroup("Reading")
	reading.set.StringVar(&from.in, "in", "", "read alerts from `FILE`, a folder of such files, or \"-\" for standard input")
	reading.set.StringVar(&from.rules, "rules", "", "judge the recorded events of PATHs by the rules in the folder `DIR`")
	reading.set.StringVar(&from.addr, "http", "127.0.0.1:9464", "else ask the service that answers on `ADDRESS` (its --http)")
	choosing := newFlagGroup("Choosing")
	choosing.set.StringVar(&keep.severity, "severity", "", "of `SEVERITY` or worse: "+detect.SeverityNames())
	choosing.set.StringSliceVar(&keep.rules, "rule", nil, "of the rules `ID,...`")
	choosing.set.StringVar(&keep.since, "since", "", "of what happened at `TIME` or later: RFC 3339, or so long ago (90m)")
	choosing.set.StringVar(&keep.until, "until", "", "of what happened before `TIME`")
	choosing.set.Var(state, "state", "open ones, withdrawn ones, or all")
	formatting := newFlagGroup("Formatting")
	formatting.set.VarP(output, "output", "o", "table, or json: one alert a line")
	addFlags(cmd, reading, choosing, formatting)
	return cmd
}

// alertSource is where alerts come from.
type alertSource struct{ in, rules, addr string }

func (s *alertSource) read(cmd *cobra.Command, paths []string) ([]alert.Alert, error) {
	switch {
	case s.rules == "" && len(paths) > 0:
		return nil, usagef("recorded events need --rules DIR to judge them by; a file of alerts is read with --in")
	case s.rules != "" && s.in != "":
		return nil, usagef("--in and --rules exclude each other")
	case s.rules != "" && len(paths) == 0:
		return nil, usagef("--rules judges which events? name files or folders of them")
	case s.rules != "":
		return s.judge(cmd, paths)
	case s.in == "":
		b, err := asker{cmd.Context(), s.addr}.bytes(http.MethodGet, "/alerts")
		if err != nil {
			return nil, err
		}
		return lastAlerts(map[string]io.Reader{"the service on " + s.addr: bytes.NewReader(b)})
	}
	names := []string{s.in}
	if info, err := os.Stat(s.in); err == nil && info.IsDir() {
		names = nil
		for _, pattern := range []string{"*.jsonl", "*.ndjson"} {
			found, err := filepath.Glob(filepath.Join(s.in, pattern))
			if err != nil {
				return nil, err
			}
			names = append(names, found...)
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("no .jsonl or .ndjson file in %s", s.in)
		}
	}
	files := map[string]io.Reader{}
	for _, name := range names {
		f, err := openInput(cmd, name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files[name] = f
	}
	return lastAlerts(files)
}

// judge replays recorded events.
func (s *alertSource) judge(cmd *cobra.Command, paths []string) ([]alert.Alert, error) {
	set, err := loadRules(s.rules)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "sennit-alerts-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	err = wire.Replay(cmd.Context(), wire.Options{
		Replay: replay.Options{Paths: paths, Stdin: cmd.InOrStdin()}, Form: wire.None, Out: io.Discard, Messages: cmd.ErrOrStderr(), Rules: set, AlertsFile: f.Name(),
	})
	if err != nil {
		return nil, err
	}
	return lastAlerts(map[string]io.Reader{f.Name(): f})
}

// lastAlerts reads alerts, one a line, and keeps the last revision of each. Lines of
// other results, as a sink may write them to the same file, are passed over.
func lastAlerts(files map[string]io.Reader) ([]alert.Alert, error) {
	last := map[string]alert.Alert{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		in := bufio.NewReaderSize(files[name], 1<<16)
		for n := 1; ; n++ {
			line, err := in.ReadBytes('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("read alerts: %w", err)
			}
			if text := bytes.TrimSpace(line); len(text) > 0 && !bytes.HasPrefix(text, []byte(`{"timeline_id":`)) {
				var a alert.Alert
				if json.Unmarshal(text, &a) != nil || a.ID == "" {
					return nil, fmt.Errorf("%s: line %d is no alert; --in reads what 'sennit replay --alerts' and sinks wrote", name, n)
				}
				if was, ok := last[a.ID]; !ok || a.Revision >= was.Revision {
					last[a.ID] = a
				}
			}
			if err != nil {
				break
			}
		}
	}
	return slices.Collect(maps.Values(last)), nil
}

// alertFilter says which alerts are listed.
type alertFilter struct {
	severity, since, until, state string
	rules                         []string
	from, to                      event.Time
}

func (f *alertFilter) check(now time.Time) (err error) {
	if f.severity != "" && detect.Rank(alert.Severity(f.severity)) < 0 {
		return usagef("--severity %q: must be one of %s", f.severity, detect.SeverityNames())
	}
	if f.from, err = timeOf("--since", f.since, now, 0); err != nil {
		return err
	}
	f.to, err = timeOf("--until", f.until, now, event.Never)
	return err
}

// timeOf reads a time, or how long ago it was.
func timeOf(flag, text string, now time.Time, none event.Time) (event.Time, error) {
	if text == "" {
		return none, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return event.At(now.Add(-ago)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, usagef("%s %q: want a time as 2006-01-02T15:04:05Z, or how long ago it was, as 90m", flag, text)
	}
	return event.At(t), nil
}

func (f *alertFilter) of(list []alert.Alert) []alert.Alert {
	list = slices.DeleteFunc(list, func(a alert.Alert) bool {
		return f.severity != "" && a.Severity.Rank() < alert.Severity(f.severity).Rank() ||
			len(f.rules) > 0 && !slices.Contains(f.rules, a.RuleID) ||
			a.Time < f.from || a.Time >= f.to || f.state != "all" && string(a.State) != f.state
	})
	slices.SortFunc(list, func(a, b alert.Alert) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.ID, b.ID)) })
	return list
}

// alertTable writes alerts for people.
func alertTable(out io.Writer, list []alert.Alert) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no alerts")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tSEVERITY\tRULE\tTIMELINE\tCERTAINTY\tSTATE\tTITLE")
	for i := range list {
		a := &list[i]
		sure := "exact"
		if !a.Exact {
			sure = fmt.Sprintf("%.3g", a.Confidence)
		}
		if len(a.Gaps) > 0 {
			sure += ", gaps of " + strings.Join(a.Gaps, " ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.Time.Std().Format("2006-01-02T15:04:05.000Z"), a.Severity, a.RuleID,
			render.Escape(or(a.TimelineID, "-")), render.Escape(sure), a.State, render.Escape(a.Title))
	}
	return w.Flush()
}

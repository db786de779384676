package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/schemas/timeline"
)

func newGet() *cobra.Command {
	var (
		output = newChoice("text", "json", "compact")
		color  = newChoice("auto", "always", "never")
		from   lookup
		width  int
	)
	cmd := &cobra.Command{
		Use:     "get ID",
		GroupID: "events",
		Short:   "Draw one timeline",
		Long: `Draw one timeline as a waterfall, with how each of its steps was joined.

ID is a timeline's id, any prefix of it that no other trace has, or the short form
that is printed ("4bf92f35", "4bf92f35-2" for a further request of that trace). It is
looked for in the file that --in names, which 'sennit replay -o json' wrote, or 'sennit
up'; without one a running 'sennit up' or 'sennit processor' on this machine is asked
for the timelines of the last day.`,
		Example: `  # The waterfall of one request
  sennit get 4bf92f35 --in timelines.jsonl

  # From the service that runs here
  sennit get 4bf92f35

  # Straight from a replay
  sennit replay -o json events/ | sennit get 4bf92f35 --in -

  # Its JSON, to be read by other programs
  sennit get 4bf92f35 --in timelines.jsonl -o json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			line, err := from.timeline(cmd, args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if output.value == "json" {
				_, err := fmt.Fprintf(out, "%s\n", line)
				return err
			}
			var t timeline.Timeline
			if err := json.Unmarshal(line, &t); err != nil {
				return fmt.Errorf("read timeline: %w", err)
			}
			draw := render.Terminal(out, color.value, width)
			if output.value == "compact" {
				_, err := fmt.Fprintln(out, render.Compact(&t, draw))
				return err
			}
			return render.Waterfall(out, &t, draw)
		},
	}
	reading := from.reading()
	formatting := newFlagGroup("Formatting")
	formatting.set.VarP(output, "output", "o", "text: the waterfall; json: as it is in the file; compact: one line")
	formatting.set.IntVar(&width, "width", 0, "draw this many `COLUMNS` wide, 0 for as wide as the terminal")
	formatting.set.Var(color, "color", "colour the output; auto colours on a terminal unless NO_COLOR is set")
	addFlags(cmd, reading, formatting)
	return cmd
}

// lookup is where one timeline is looked for.
type lookup struct{ in, addr string }

func (l *lookup) reading() flagGroup {
	g := newFlagGroup("Reading")
	g.set.StringVar(&l.in, "in", "", "read timelines from `FILE`, \"-\" for standard input")
	g.set.StringVar(&l.addr, "http", "127.0.0.1:9464", "without --in, ask the service that answers on `ADDRESS` (its --http)")
	return g
}

// timeline returns the JSON of the timeline that typed names.
func (l *lookup) timeline(cmd *cobra.Command, typed string) ([]byte, error) {
	where, in := l.in, io.ReadCloser(nil)
	var err error
	if where != "" {
		in, err = openInput(cmd, where)
	} else {
		where = "the service on " + l.addr
		head, _, _ := strings.Cut(typed, "-") // "4bf92f35-2" is short for an id that goes on before the dash
		var b []byte
		b, err = asker{cmd.Context(), l.addr}.bytes(http.MethodGet, "/timelines/"+url.PathEscape(head))
		in = io.NopCloser(bytes.NewReader(b))
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	line, err := find(in, typed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return line, nil
}

// openInput opens a file, or standard input for "-".
func openInput(cmd *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &usageError{err}
	}
	return f, nil
}

// find returns the last line of the timeline that typed names. Typed in full, or
// as the beginning of one trace id, it is the first request of that trace,
// however many others ("…-2") there are.
func find(r io.Reader, typed string) ([]byte, error) {
	matches := map[string][]byte{} // id → its last line
	in := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		raw, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read timelines: %w", err)
		}
		line := bytes.TrimSpace(raw)
		if len(line) > 0 {
			id, ok := idOf(line)
			if !ok {
				return nil, fmt.Errorf("line %d is no timeline; --in reads what 'sennit replay -o json' wrote", n)
			}
			if render.MatchesID(id, typed) {
				matches[id] = line
			}
		}
		if err != nil {
			break
		}
	}
	ids := slices.Sorted(maps.Keys(matches))
	switch {
	case len(ids) == 0:
		return nil, fmt.Errorf("no timeline begins with %q", typed)
	case matches[typed] != nil:
		return matches[typed], nil
	case len(ids) > 1 && !sameTrace(ids):
		return nil, fmt.Errorf("%q is the beginning of %d timelines: %s", typed, len(ids), someOf(ids))
	}
	return matches[ids[0]], nil
}

// sameTrace reports whether sorted ids are the requests of one trace, with its
// first one among them.
func sameTrace(ids []string) bool {
	return !slices.ContainsFunc(ids[1:], func(id string) bool { return !strings.HasPrefix(id, ids[0]+"-") })
}

// idOf reads the id of a timeline, which is the first member of its object.
func idOf(line []byte) (id string, ok bool) {
	const head = `{"timeline_id":"`
	if rest, found := strings.CutPrefix(string(line[:min(len(line), 256)]), head); found { // Fast path: as we write it.
		if end := strings.IndexAny(rest, `"\`); end >= 0 && rest[end] == '"' {
			return rest[:end], true
		}
	}
	var t struct {
		ID *string `json:"timeline_id"`
	}
	if err := json.Unmarshal(line, &t); err != nil || t.ID == nil {
		return "", false
	}
	return *t.ID, true
}

func someOf(ids []string) string {
	const most = 5
	list := render.Escape(strings.Join(ids[:min(len(ids), most)], ", "))
	if len(ids) > most {
		list += ", …"
	}
	return list
}

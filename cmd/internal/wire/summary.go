package wire

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/ingest/replay"
)

// writeSummary says on w what was read, what became of it and what went wrong,
// with the names of the counters that --stats writes.
func writeSummary(w io.Writer, s *Stats, r *replay.Result) {
	events, bad, unknown := s.read()
	sources := 0
	for _, c := range s.Sources {
		if c.In > 0 {
			sources++
		}
	}
	fmt.Fprintf(w, "%s from %s and %s in %.2f s", render.Many(events, "event"), render.Many(uint64(len(r.Files)), "file"),
		render.Many(uint64(sources), "source"), s.ElapsedS)
	if events >= 1000 && s.ElapsedS > 0 { // of fewer, the start of the process is all one would see
		fmt.Fprintf(w, " (%s/s, %.1f µs CPU an event, %s of memory)",
			render.Count(uint64(float64(events)/s.ElapsedS)), s.CPUS*1e6/float64(events), size(s.MaxRSSBytes))
	}
	fmt.Fprintln(w)
	for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
		if c := s.Sources[name]; c != (SourceStats{}) {
			fmt.Fprintf(w, "  %-9s %s\n", name, pairs("in", c.In, "bad", c.Bad, "unknown_type", c.UnknownType, "lost_upstream", c.LostUpstream))
		}
	}
	e := &s.Events
	fmt.Fprintf(w, "events      %s\n", pairs("in", e.In, "derived", e.Derived, "joined", e.Joined, "ambiguous", e.Ambiguous,
		"ambient", e.Ambient, "control", e.Control, "duplicate", e.Duplicate, "late", e.Late, "held", e.Held)+counted(" dropped", e.Dropped))
	t := &s.Timelines
	fmt.Fprintf(w, "timelines   %s\n", pairs("closed", t.Closed, "open", t.Open, "revised", t.Revised, "superseded", t.Superseded))
	if joins := counted("", s.Joins); joins != "" {
		fmt.Fprintf(w, "joins       %s\n", strings.TrimLeft(joins, " "))
	}
	writeWarnings(w, r, bad, unknown)
	for _, law := range s.Check() {
		fmt.Fprintf(w, "ERROR: events do not add up, this is a bug in sennit: %s\n", law)
	}
}

func writeWarnings(w io.Writer, r *replay.Result, bad, unknown uint64) {
	for i, f := range r.Skipped {
		if i == replay.MaxShown {
			fmt.Fprintf(w, "skipped     … and %d more files\n", len(r.Skipped)-i)
			break
		}
		fmt.Fprintf(w, "skipped     %s: %s\n", render.Escape(f.Path), render.Escape(f.Why))
	}
	for _, f := range r.Files {
		if f.Err != nil {
			fmt.Fprintf(w, "warning: %s was not read to its end: %s (%s before that count)\n",
				render.Escape(f.Path), render.Escape(f.Err.Error()), render.Many(f.Events, "event"))
		}
	}
	problems := func(n uint64, what string, list []replay.Problem) {
		if n == 0 {
			return
		}
		fmt.Fprintf(w, "warning: %s %s", render.Many(n, "record"), what)
		if n > uint64(len(list)) {
			fmt.Fprintf(w, ", the first %d", len(list))
		}
		fmt.Fprintln(w, ":")
		for _, p := range list {
			fmt.Fprintf(w, "  %s\n", render.Escape(p.String()))
		}
	}
	problems(bad, "could not be read", r.Bad)
	problems(unknown, "of a type that sennit does not read", r.Unknown)
}

// pairs writes names with their numbers.
func pairs(list ...any) string {
	var b strings.Builder
	for i := 0; i+1 < len(list); i += 2 {
		if i > 0 {
			b.WriteString("  ")
		}
		fmt.Fprintf(&b, "%s %s", list[i], render.Grouped(list[i+1].(uint64)))
	}
	return b.String()
}

// counted writes the counters of a table that are not zero, under a prefix.
func counted(prefix string, table map[string]uint64) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if table[name] > 0 {
			fmt.Fprintf(&b, " %s %s %s", prefix, name, render.Grouped(table[name]))
		}
	}
	return b.String()
}

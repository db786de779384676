package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/ingest/replay/extsort"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Form is how timelines are written.
type Form string

// Forms.
const (
	Text    Form = "text"    // the waterfall of the most interesting one
	JSON    Form = "json"    // one object a line
	Compact Form = "compact" // one line each, for people
	None    Form = "none"
)

// results keeps the last revision of every timeline on its way to the output,
// in memory or on disk (docs/adr/0003).
type results struct {
	ctx    context.Context
	form   Form
	draw   render.Options
	sort   extsort.Options
	byID   *extsort.Sorter
	record []byte
	err    error // the first one; the engine does not take errors back
}

// A record of byID is a head of fixed size and the body that will be printed
// (compact) or decoded (text, json).
const (
	headSuperseded = 0
	headStart      = 1
	headRank       = 9
	headSize       = headRank + rankSize
)

func newResults(ctx context.Context, form Form, draw render.Options, sort extsort.Options) *results {
	return &results{ctx: ctx, form: form, draw: draw, sort: sort, byID: extsort.New(sort)}
}

// timeline takes one revision. A later one of the same id takes its place.
func (r *results) timeline(t *timeline.Timeline) {
	if r.form == None || r.err != nil {
		return
	}
	b := append(r.record[:0], 0)
	if t.SupersededBy != "" {
		b[headSuperseded] = 1
	}
	b = appendTime(b, t.Start)
	rank := rankOf(t)
	b = append(b, rank[:]...)
	if t.SupersededBy == "" {
		if r.form == Compact {
			b = append(b, render.Compact(t, r.draw)...)
		} else {
			b = t.AppendJSON(b)
		}
	}
	r.record = b
	r.err = r.byID.Add(r.ctx, []byte(t.ID), b)
}

// appendTime appends a time so that bytes sort as times do.
func appendTime(b []byte, t event.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t)^1<<63)
}

// each calls f for the last revision of every timeline that is not superseded,
// in order of their ids. The slices are valid during the call only.
func (r *results) each(f func(id, record []byte) error) error {
	if r.err != nil {
		return fmt.Errorf("keep timelines: %w", r.err)
	}
	var id, last []byte
	have := false
	flush := func() error {
		if !have || last[headSuperseded] == 1 {
			return nil
		}
		return f(id, last)
	}
	err := r.byID.Each(r.ctx, func(key, payload []byte) error {
		if have && !bytes.Equal(key, id) {
			if err := flush(); err != nil {
				return err
			}
		}
		id, last, have = append(id[:0], key...), append(last[:0], payload...), true
		return nil
	})
	if err == nil {
		err = flush()
	}
	return err
}

// writeLines writes one line for each timeline, ordered by start then id, and
// returns how many.
func (r *results) writeLines(w io.Writer) (n int, err error) {
	ordered := extsort.New(r.sort)
	defer func() { err = errFirst(err, ordered.Close()) }()
	var key []byte
	err = r.each(func(id, record []byte) error {
		key = append(append(key[:0], record[headStart:headRank]...), id...)
		return ordered.Add(r.ctx, key, record[headSize:])
	})
	if err != nil {
		return 0, err
	}
	var line []byte
	err = ordered.Each(r.ctx, func(_, body []byte) error {
		line = append(append(line[:0], body...), '\n')
		n++
		if _, err := w.Write(line); err != nil {
			return fmt.Errorf("write timelines: %w", err)
		}
		return nil
	})
	return n, err
}

// shownOthers is how many further timelines the text form names.
const shownOthers = 5

// writeText draws the most interesting timeline and names the next ones; hint
// says how to see them.
func (r *results) writeText(w io.Writer, hint string) (n int, err error) {
	type candidate struct {
		rank rank
		body []byte
	}
	var top []candidate
	err = r.each(func(_, record []byte) error {
		n++
		c := candidate{rank: rank(record[headRank:headSize])}
		// Equal ranks: the one that comes first by id.
		at, _ := slices.BinarySearchFunc(top, c, func(a, b candidate) int {
			if bytes.Compare(a.rank[:], b.rank[:]) >= 0 {
				return -1
			}
			return 1
		})
		if at > shownOthers {
			return nil
		}
		c.body = slices.Clone(record[headSize:])
		top = slices.Insert(top, at, c)
		top = top[:min(len(top), shownOthers+1)]
		return nil
	})
	if err != nil || len(top) == 0 {
		return n, err
	}
	for i, c := range top {
		var t timeline.Timeline
		if err := json.Unmarshal(c.body, &t); err != nil {
			return n, fmt.Errorf("read timeline back: %w", err)
		}
		if i == 0 {
			if err := render.Waterfall(w, &t, r.draw); err != nil {
				return n, err
			}
			continue
		}
		if i == 1 {
			fmt.Fprintf(w, "\nother requests, the most interesting first (%d in all):\n", n)
		}
		if _, err := fmt.Fprintf(w, "  %s\n", render.Compact(&t, r.draw)); err != nil {
			return n, fmt.Errorf("write timelines: %w", err)
		}
	}
	if len(top) > 1 {
		fmt.Fprintln(w, hint)
	}
	return n, nil
}

func (r *results) close() error { return r.byID.Close() }

func errFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

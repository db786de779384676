package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sennit-io/sennit/ingest/replay/extsort"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Unmatched is one line of --unmatched: an event that belongs to no request
// (fate "ambient"), or to one of several (fate "ambiguous").
type Unmatched struct {
	EventID      event.ID             `json:"event_id"`
	Kind         event.Kind           `json:"kind"`
	Source       event.Source         `json:"source"`
	Node         string               `json:"node"`
	Start        event.Time           `json:"start"`
	End          event.Time           `json:"end"`
	PID          uint32               `json:"pid"`
	SocketCookie string               `json:"socket_cookie"` // decimal, empty for none
	Fate         string               `json:"fate"`
	Candidates   []timeline.Candidate `json:"candidates"`
	Attributes   timeline.Attributes  `json:"attributes"` // the names of the steps' attributes
}

// unmatched collects those events on their way to a file, in order of their
// time, source and id.
type unmatched struct {
	ctx    context.Context
	sorter *extsort.Sorter
	key    []byte
	err    error
}

// newUnmatched collects nothing when on is false.
func newUnmatched(ctx context.Context, on bool, sort extsort.Options) *unmatched {
	u := &unmatched{ctx: ctx}
	if on {
		sort.ByPayload = true
		u.sorter = extsort.New(sort)
	}
	return u
}

func (u *unmatched) add(e *event.Event, fate string, candidates []timeline.Candidate) {
	if u.sorter == nil || u.err != nil {
		return
	}
	f := factsOf(e)
	line := Unmatched{
		EventID: e.ID, Kind: e.Kind, Source: e.Source, Node: e.Node, Start: f.start, End: e.Time, PID: f.pid,
		Fate: fate, Candidates: candidates, Attributes: f.attrs,
	}
	if f.cookie != 0 {
		line.SocketCookie = f.cookie.String()
	}
	if line.Candidates == nil {
		line.Candidates = []timeline.Candidate{}
	}
	body, err := json.Marshal(&line)
	if err != nil {
		u.err = fmt.Errorf("encode unmatched event %s: %w", e.ID, err)
		return
	}
	u.key = append(append(appendTime(u.key[:0], e.Time), byte(e.Source)), e.ID[:]...)
	u.err = u.sorter.Add(u.ctx, u.key, body)
}

func (u *unmatched) write(w io.Writer) error {
	if u.sorter == nil {
		return nil
	}
	if u.err != nil {
		return fmt.Errorf("keep unmatched events: %w", u.err)
	}
	return u.sorter.Each(u.ctx, func(_, line []byte) error {
		if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
			return fmt.Errorf("write unmatched events: %w", err)
		}
		return nil
	})
}

func (u *unmatched) close() error {
	if u.sorter == nil {
		return nil
	}
	return u.sorter.Close()
}

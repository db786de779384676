// Package exchanges reads and writes the plain format on which linking can be
// judged alone: who called whom and when, one JSON object a line.
//
//	{"id":"…","workload":"…","direction":"in|out","peer":"…","start_ns":0,"end_ns":0}
//	{"id":"…","parent":"…","confidence":0.987}
//
// The first is an exchange as an observer beside the workload has it: a request
// that it served ("in", from its peer) or a call that it made ("out", to its
// peer). The second says which request of the same workload made a call.
package exchanges

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/ingest/replay/unpack"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/jsontext"
)

// Prediction is one line of output.
type Prediction struct {
	ID, Parent string
	Confidence float64
}

// Set holds the exchanges of one input by workload.
type Set struct {
	Lines     int
	workloads []*workload
	byName    map[string]*workload
	ids       map[string]int // → line
	names     scan.Intern
}

type workload struct {
	name    string
	in, out []exchange
	peers   map[string]uint32 // callers and callees
}

type exchange struct {
	id         string
	peer       uint32 // who called, or was called
	start, end event.Time
}

var fields = scan.NewNames("id", "workload", "direction", "peer", "start_ns", "end_ns")

// Read reads exchanges, packed with gzip or zstd or not. Errors name the line.
func Read(r io.Reader) (*Set, error) {
	u, err := unpack.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read exchanges: %w", err)
	}
	defer u.Close()
	s := &Set{byName: map[string]*workload{}, ids: map[string]int{}}
	in := bufio.NewScanner(u)
	in.Buffer(make([]byte, 0, 1<<16), 1<<20)
	var js scan.JSON
	for in.Scan() {
		s.Lines++
		if len(in.Bytes()) == 0 {
			continue
		}
		if err := s.add(&js, in.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w", s.Lines, err)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("after line %d: %w", s.Lines, err)
	}
	return s, nil
}

var (
	errDirection = errors.New(`"direction" must be "in" (a request that the workload served) or "out" (a call that it made)`)
	errNoID      = errors.New(`"id" is missing or empty`)
	errBackwards = errors.New(`"end_ns" is before "start_ns"`)
	errTimes     = errors.New(`"start_ns" and "end_ns" must be nanoseconds since 1970, above zero`)
)

// add takes in one line.
func (s *Set) add(js *scan.JSON, line []byte) error {
	var (
		e         exchange
		workload  string
		peer      string
		direction byte
	)
	js.Reset(line)
	js.Object()
	for i := js.Member(fields, 0); i >= 0; i = js.Member(fields, i+1) {
		switch i {
		case 0:
			e.id = string(js.Text())
		case 1:
			workload = s.names.String(js.Text())
		case 2:
			switch string(js.Text()) {
			case "in":
				direction = 'i'
			case "out":
				direction = 'o'
			}
		case 3:
			peer = s.names.String(js.Text())
		case 4:
			e.start = event.Time(js.Uint())
		case 5:
			e.end = event.Time(js.Uint())
		default:
			js.Skip()
		}
	}
	if err := js.End(); err != nil {
		return err
	}
	switch before, twice := s.ids[e.id]; {
	case e.id == "":
		return errNoID
	case twice:
		return fmt.Errorf("id %q was given on line %d already", e.id, before)
	case direction == 0:
		return errDirection
	case e.start <= 0 || e.end <= 0:
		return errTimes
	case e.end < e.start:
		return errBackwards
	}
	s.ids[e.id] = s.Lines
	w := s.byName[workload]
	if w == nil {
		w = newWorkload(workload)
		s.byName[workload] = w
		s.workloads = append(s.workloads, w)
	}
	w.add(e, direction == 'i', peer)
	return nil
}

func newWorkload(name string) *workload {
	return &workload{name: name, peers: map[string]uint32{}}
}

func (w *workload) add(e exchange, in bool, peer string) {
	id, ok := w.peers[peer]
	if !ok {
		id = uint32(len(w.peers))
		w.peers[peer] = id
	}
	e.peer = id
	if in {
		w.in = append(w.in, e)
	} else {
		w.out = append(w.out, e)
	}
}

// Link gives every call of the set its likeliest request and calls f with the
// predictions, workload by workload in order of their names, the calls of each
// in order of start. A call without an open request has no prediction.
func (s *Set) Link(f func(Prediction) error) error {
	slices.SortFunc(s.workloads, func(a, b *workload) int { return cmp.Compare(a.name, b.name) })
	for _, w := range s.workloads {
		if err := w.link(f); err != nil {
			return err
		}
	}
	return nil
}

func (w *workload) link(f func(Prediction) error) error {
	if len(w.out) == 0 {
		return nil
	}
	order := func(a, b exchange) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end), cmp.Compare(a.id, b.id))
	}
	slices.SortFunc(w.in, order)
	slices.SortFunc(w.out, order)
	l := link.New(link.Config{Horizon: w.longest()})
	for i := range w.in {
		o := &w.in[i]
		l.Owner(link.Owner{ID: uint64(i + 1), Class: o.peer, Start: o.start, End: o.end})
	}
	for i := range w.out {
		c := &w.out[i]
		l.Call(link.Call{ID: uint64(i + 1), Peer: c.peer, Start: c.start, End: c.end})
	}
	for _, m := range l.Advance(event.Never) {
		if m.Owner == 0 {
			continue
		}
		err := f(Prediction{ID: w.out[m.Call-1].id, Parent: w.in[m.Owner-1].id, Confidence: m.Confidence})
		if err != nil {
			return err
		}
	}
	return nil
}

// longest is how long the longest request took: the horizon of a file is known.
func (w *workload) longest() (d time.Duration) {
	for i := range w.in {
		d = max(d, w.in[i].end.Sub(w.in[i].start))
	}
	return max(d, time.Millisecond)
}

// AppendJSON appends a prediction as a line of JSON.
func (p Prediction) AppendJSON(b []byte) []byte {
	b = append(b, `{"id":`...)
	b = jsontext.String(b, p.ID)
	b = append(b, `,"parent":`...)
	b = jsontext.String(b, p.Parent)
	b = append(b, `,"confidence":`...)
	b = jsontext.Float(b, p.Confidence)
	return append(b, "}\n"...)
}

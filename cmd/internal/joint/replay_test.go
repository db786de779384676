package joint_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sennit-io/sennit/cmd/internal/wire"
	"github.com/sennit-io/sennit/ingest/otlp"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/schemas/timeline/timelinetest"
	"github.com/sennit-io/sennit/testdata/joint/convert"
)

// run is one replay of the recording.
type run struct {
	timelines []timeline.Timeline
	lines     []byte // as they were written
	steps     map[string][]step
	stats     wire.Stats
	records   []event.Event
	spans     map[event.SpanID]*event.Event
}

// step is where an event came to be.
type step struct {
	*timeline.Step
	t *timeline.Timeline
}

func runReplay(t *testing.T, dir string, o convert.Options, shards int) *run {
	t.Helper()
	in := t.TempDir()
	if _, err := convert.Run(dir, in, o); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	statsFile := filepath.Join(t.TempDir(), "stats.json")
	err := wire.Replay(t.Context(), wire.Options{
		Replay: replay.Options{Paths: []string{in}}, Shards: shards, Form: wire.JSON,
		Out: &out, Messages: io.Discard, StatsFile: statsFile, Strict: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{lines: out.Bytes(), steps: map[string][]step{}, records: records(t, dir, o), spans: readSpans(t, dir)}
	r.timelines = slices.Grow(r.timelines, bytes.Count(r.lines, []byte("\n"))) // steps point into it
	for line := range bytes.Lines(r.lines) {
		r.timelines = append(r.timelines, timeline.Timeline{})
		tl := &r.timelines[len(r.timelines)-1]
		if err := json.Unmarshal(line, tl); err != nil {
			t.Fatal(err)
		}
		for i := range tl.Steps {
			for _, id := range tl.Steps[i].EventIDs {
				r.steps[id] = append(r.steps[id], step{&tl.Steps[i], tl})
			}
		}
	}
	stats, err := os.ReadFile(statsFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(stats, &r.stats); err != nil {
		t.Fatal(err)
	}
	return r
}

// readSpans reads the recording's spans with the product's own decoder.
func readSpans(t *testing.T, dir string) map[event.SpanID]*event.Event {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "traces.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var d otlp.Decoder
	batch := &event.Batch{}
	for line := range bytes.Lines(b) {
		if _, err := d.Decode(line, batch); err != nil {
			t.Fatal(err)
		}
	}
	out := map[event.SpanID]*event.Event{}
	for i := range batch.Events {
		if s, ok := batch.Events[i].Payload.(*event.Span); ok {
			out[s.SpanID] = &batch.Events[i]
		}
	}
	return out
}

// modes are the two ways to see the wire.
var modes = []struct {
	name string
	o    convert.Options
}{
	{"no trace context on the wire", convert.Options{}},
	{"trace context on the wire", convert.Options{TraceContext: true}},
}

func TestReplayOfRecording(t *testing.T) {
	dir := corpus(t)
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			r := runReplay(t, dir, mode.o, 2)
			for _, law := range r.stats.Check() {
				t.Errorf("a law of conservation is broken: %s", law)
			}
			if in := r.stats.Sources["socket"].In; in != uint64(len(r.records)) {
				t.Errorf("%d records were read, %d written", in, len(r.records))
			}
			if n := timelinetest.Validate(t, r.lines); n == 0 || n != len(r.timelines) {
				t.Errorf("%d timelines were validated of %d", n, len(r.timelines))
			}
			r.checkRequests(t, dir, mode.o)
			r.checkModelCalls(t, dir, mode.o)
			r.checkTools(t, dir)
		})
	}
}

func TestShardsDoNotMatter(t *testing.T) {
	dir := corpus(t)
	want := runReplay(t, dir, convert.Options{}, 1)
	for _, shards := range []int{2, 7} {
		if got := runReplay(t, dir, convert.Options{}, shards); !bytes.Equal(want.lines, got.lines) {
			t.Errorf("%d shards give other timelines than one", shards)
		}
	}
}

// checkRequests holds every server span against the socket and the exchange it
// must have joined.
func (r *run) checkRequests(t *testing.T, dir string, o convert.Options) {
	t.Helper()
	driver := readDriver(t, dir)
	ingress, _, _ := readTruth(t, dir)
	truths := map[event.TraceID]fact{}
	for _, f := range ingress {
		truths[f.Trace] = f
	}
	served := exchanges(r.records, event.RoleServer, agentPort)
	taken := map[event.ID]bool{}
	byPort := map[uint16]int{}
	agreed := 0
	for _, e := range r.spans {
		span := e.Payload.(*event.Span)
		if span.Kind != event.SpanKindServer {
			continue
		}
		steps := r.steps[e.ID.String()]
		if len(steps) != 1 {
			t.Errorf("server span %v is on %d steps", span.SpanID, len(steps))
			continue
		}
		s := steps[0]
		i := slices.IndexFunc(served, func(e *event.Event) bool { return slices.Contains(s.EventIDs, e.ID.String()) })
		if i < 0 {
			t.Errorf("server span %v has no exchange, its step: %+v", span.SpanID, s.Step)
			continue
		}
		x := served[i].Payload.(*event.Exchange)
		method := timeline.SpanPeer
		if o.TraceContext {
			method = timeline.TraceContext // the stronger one
		}
		if s.Join.Method != method || !s.Join.Exact || s.Join.Confidence != 1 || s.Layer != timeline.LayerServer {
			t.Errorf("server span %v: layer %s, join %+v, want %s", span.SpanID, s.Layer, s.Join, method)
		}
		if taken[served[i].ID] {
			t.Errorf("server span %v: its exchange is another span's as well", span.SpanID)
		}
		taken[served[i].ID] = true
		if s.SocketCookie != x.Cookie.String() || x.Tuple.Dst != span.Peer || s.PID != x.Process.PID {
			t.Errorf("server span %v: socket %s, process %d; the exchange has %v, %v and %d", span.SpanID, s.SocketCookie, s.PID, x.Cookie, x.Tuple, x.Process.PID)
		}
		byPort[x.Tuple.Dst.Port()]++

		// Is it the right one?
		want := driver[span.TraceID]
		if want.ClientPort != x.Tuple.Dst.Port() || want.ServerPort != x.Tuple.Src.Port() || want.Status != x.HTTP.Status ||
			x.Start < want.Start || served[i].Time > want.End || s.t.TraceID != want.Trace.String() {
			t.Errorf("server span %v of %s has %v from %v to %v, the driver did %+v", span.SpanID, s.t.TraceID, x.Tuple, x.Start, served[i].Time, want)
		}
		if f, ok := truths[span.TraceID]; ok && f.Peer == x.Tuple.Dst && x.Start <= f.at() && f.at() <= served[i].Time && f.TID == x.TID {
			agreed++
		}
	}
	if len(taken) != 40 || agreed != len(truths) {
		t.Errorf("%d server spans have an exchange of their own, %d agree with the truth, want 40 and %d", len(taken), agreed, len(truths))
	}
	for _, port := range []uint16{35904, 35906, 35914, 35924} {
		if byPort[port] != 10 {
			t.Errorf("socket of port %d: %d requests, want 10 (%v)", port, byPort[port], byPort)
		}
	}
	t.Logf("server spans: %d of 40 joined an exchange of their own, %d of the %d with a truth line agree", len(taken), agreed, len(truths))
}

// tally is what exact rungs made of observations whose truth is known.
type tally struct {
	joined  int // to a trace
	right   int // to the right one
	onSpan  int // on the very step of the span that caused it
	own     int // in a timeline that has no trace
	nowhere int
}

// score looks where one observation came to be.
func (r *run) score(n *tally, id event.ID, f *fact, span event.SpanID) {
	steps := slices.DeleteFunc(slices.Clone(r.steps[id.String()]), func(s step) bool { return !s.Join.Exact })
	switch {
	case len(steps) == 0:
		n.nowhere++
		return
	case steps[0].t.TraceID == "":
		n.own++
		return
	}
	n.joined++
	if len(steps) != 1 || steps[0].t.TraceID != f.Trace.String() {
		return
	}
	n.right++
	if e := r.spans[span]; e != nil && slices.Contains(steps[0].EventIDs, e.ID.String()) {
		n.onSpan++
	}
}

func (r *run) checkModelCalls(t *testing.T, dir string, o convert.Options) {
	t.Helper()
	_, egress, _ := readTruth(t, dir)
	calls := exchanges(r.records, event.RoleClient, modelPort)
	var n tally
	for i := range egress {
		f := &egress[i]
		at := slices.IndexFunc(calls, func(e *event.Event) bool {
			x := e.Payload.(*event.Exchange)
			return x.Tuple.Src == f.Local && soon(f, x.Start)
		})
		if at < 0 {
			t.Errorf("model call at %v has no exchange", f.at())
			continue
		}
		r.score(&n, calls[at].ID, f, f.Caller)
	}
	if n.right != n.joined {
		t.Errorf("model calls: %d were joined to a wrong trace", n.joined-n.right)
	}
	if o.TraceContext && n.onSpan != len(egress) {
		t.Errorf("model calls: %d of %d are on the step of the span that the wire names", n.onSpan, len(egress))
	}
	t.Logf("model calls: of %d, exact rungs join %d to a trace, %d rightly, %d on the span's own step; %d in a timeline of their own, %d nowhere",
		len(egress), n.joined, n.right, n.onSpan, n.own, n.nowhere)
}

func (r *run) checkTools(t *testing.T, dir string) {
	t.Helper()
	_, _, tools := readTruth(t, dir)
	var n tally
	for i := range tools {
		f := &tools[i]
		at := slices.IndexFunc(r.records, func(e event.Event) bool {
			p, ok := e.Payload.(*event.Process)
			return ok && e.Kind == event.KindProcessExec && p.Process.PID == f.PID && soon(f, e.Time)
		})
		if at < 0 {
			t.Errorf("tool process %d has no exec", f.PID)
			continue
		}
		r.score(&n, r.records[at].ID, f, f.SpanID)
	}
	if n.right != n.joined {
		t.Errorf("tool processes: %d were joined to a wrong trace", n.joined-n.right)
	}
	t.Logf("tool processes: of %d, exact rungs join %d to a trace, %d rightly, %d on the span's own step; %d in a timeline of their own, %d nowhere",
		len(tools), n.joined, n.right, n.onSpan, n.own, n.nowhere)
}

package score

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// The truth of these tests: two requests of three exchanges each, and one
// background process. Event n has the id n in every byte.
func id(n byte) string { return strings.Repeat(fmt.Sprintf("%02x", n), 16) }

func truthOf(facts ...Fact) *bytes.Buffer {
	var b bytes.Buffer
	for _, f := range facts {
		line, err := json.Marshal(f)
		if err != nil {
			panic(err)
		}
		b.Write(append(line, '\n'))
	}
	return &b
}

func exchange(request string, n byte, entry bool, possible ...string) Fact {
	return Fact{
		Request: request, Kind: "ingress", Entry: entry, Node: "n1", Key: Key{EventID: id(n), SocketCookie: fmt.Sprint(n), Ordinal: 1},
		StartNS: int64(n) * 1000, EndNS: int64(n)*1000 + 500, Possible: possible,
	}
}

func twoRequests() []Fact {
	tc, assign := timeline.TraceContext, timeline.Assignment
	return []Fact{
		exchange("r-1", 1, true, tc), exchange("r-1", 2, false, tc), exchange("r-1", 3, false, assign),
		exchange("r-2", 4, true, tc), exchange("r-2", 5, false, tc), exchange("r-2", 6, false, assign),
		{Kind: "process", Node: "n1", Key: Key{EventID: id(7), PID: 70}, StartNS: 7000, EndNS: 7500},
	}
}

// tlOf makes a timeline whose steps report the given events; a number above 100
// is an inferred join of the event less 100.
func tlOf(name string, events ...int) timeline.Timeline {
	t := timeline.Timeline{ID: name, Revision: 1, State: timeline.Closed}
	for i, n := range events {
		s := timeline.Step{
			ID: fmt.Sprint(name, "/", i), Layer: timeline.LayerServer, Node: "n1",
			Join: timeline.Join{Method: timeline.TraceContext, Exact: true, Confidence: 1, Candidates: 1},
		}
		if n > 100 {
			n -= 100
			s.Join = timeline.Join{Method: timeline.Assignment, Confidence: 0.96, Candidates: 2}
		}
		s.EventIDs = []string{id(byte(n))}
		t.Steps = append(t.Steps, s)
	}
	return t
}

func linesOf(tls ...timeline.Timeline) *bytes.Buffer {
	var b bytes.Buffer
	for i := range tls {
		line, err := json.Marshal(&tls[i])
		if err != nil {
			panic(err)
		}
		b.Write(append(line, '\n'))
	}
	return &b
}

func TestScore(t *testing.T) {
	type figures struct {
		ExactPrecision, ExactRecall, InferredPrecision, InferredRecall float64
		MisStitched, Orphans, Ambiguous, Fragmented, Duplicates        int
	}
	f := func(name string, tls []timeline.Timeline, want figures) {
		t.Helper()
		r, err := Run(truthOf(twoRequests()...), linesOf(tls...))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := figures{
			r.Exact.Precision, r.Exact.Recall, r.Inferred.Precision, r.Inferred.Recall,
			r.MisStitched, r.Orphans, r.Ambiguities, r.Fragmented, r.DuplicateSteps,
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	type list = []timeline.Timeline
	f("perfect", list{tlOf("a", 1, 2, 103), tlOf("b", 4, 5, 106)}, figures{1, 1, 1, 1, 0, 0, 0, 0, 0})
	f("nothing", nil, figures{1, 0, 1, 0, 0, 6, 0, 0, 0})
	f("one missing", list{tlOf("a", 1, 2, 103)}, figures{1, 0.5, 1, 0.5, 0, 3, 0, 0, 0})
	f("inferred not tried", list{tlOf("a", 1, 2), tlOf("b", 4, 5)}, figures{1, 1, 1, 0, 0, 2, 0, 0, 0})
	f("swapped exact pair", list{tlOf("a", 1, 5, 103), tlOf("b", 4, 2, 106)}, figures{0.5, 0.5, 1, 1, 2, 0, 0, 0, 0})
	f("swapped inferred pair", list{tlOf("a", 1, 2, 106), tlOf("b", 4, 5, 103)}, figures{1, 1, 0, 0, 2, 0, 0, 0, 0})
	f("both in one", list{tlOf("a", 1, 2, 103, 4, 5, 106)}, figures{0.5, 0.5, 0.5, 0.5, 3, 0, 0, 0, 0})
	f("a fragment", list{tlOf("a", 1, 103), tlOf("c", 2), tlOf("b", 4, 5, 106)}, figures{1, 0.75, 1, 1, 0, 0, 0, 1, 0})
	f("background drawn in", list{tlOf("a", 1, 2, 103, 107), tlOf("b", 4, 5, 106)}, figures{1, 1, 0.666667, 1, 1, 0, 0, 0, 0})
	f("background apart", list{tlOf("a", 1, 2, 103), tlOf("b", 4, 5, 106), tlOf("c", 7)}, figures{1, 1, 1, 1, 0, 0, 0, 0, 0})
	f("a step twice", list{tlOf("a", 1, 2, 2, 103), tlOf("b", 4, 5, 106)}, figures{0.8, 1, 1, 1, 0, 0, 0, 0, 1})
	f("in both", list{tlOf("a", 1, 2, 103), tlOf("b", 4, 5, 106, 2)}, figures{0.8, 0.75, 1, 1, 1, 0, 0, 0, 0})

	listed := tlOf("a", 1, 2)
	listed.Ambiguous = []timeline.Ambiguous{{EventID: id(3), Candidates: []timeline.Candidate{{TimelineID: "a", Confidence: 0.5}}}}
	f("ambiguous", list{listed, tlOf("b", 4, 5, 106)}, figures{1, 1, 1, 0.5, 0, 0, 1, 0, 0})

	older := tlOf("a", 1, 5)
	newer := tlOf("a", 1, 2, 103)
	newer.Revision = 2
	f("the last revision counts", list{older, newer, tlOf("b", 4, 5, 106)}, figures{1, 1, 1, 1, 0, 0, 0, 0, 0})
	f("in any order", list{newer, older, tlOf("b", 4, 5, 106)}, figures{1, 1, 1, 1, 0, 0, 0, 0, 0})
	gone := tlOf("c", 2)
	gone.SupersededBy = "a"
	f("superseded ones do not count", list{gone, tlOf("a", 1, 2, 103), tlOf("b", 4, 5, 106)}, figures{1, 1, 1, 1, 0, 0, 0, 0, 0})
}

// TestDuplicatedTimelines: the whole output twice must not look perfect.
func TestDuplicatedTimelines(t *testing.T) {
	a, b := tlOf("a", 1, 2, 103), tlOf("b", 4, 5, 106)
	r, err := Run(truthOf(twoRequests()...), linesOf(a, b, a, b))
	if err != nil {
		t.Fatal(err)
	}
	if r.DuplicateTimelines != 2 || r.Fragmented != 2 {
		t.Errorf("duplicate timelines %d, fragmented %d, want 2 and 2", r.DuplicateTimelines, r.Fragmented)
	}
}

// TestMeeting: facts without an event id are met by their other names.
func TestMeeting(t *testing.T) {
	attr := func(k, v string) timeline.Attribute { return timeline.Attribute{Key: k, Str: v} }
	num := func(k string, v int64) timeline.Attribute {
		return timeline.Attribute{Key: k, Num: v, IsNum: true}
	}
	exact := timeline.Join{Method: timeline.SpanPeer, Exact: true, Confidence: 1}
	facts := []Fact{
		{Request: "r-1", Kind: "ingress", Entry: true, Node: "n1", Key: Key{SocketCookie: "9", Ordinal: 1}, StartNS: 1000, EndNS: 2000, Possible: []string{timeline.SpanPeer}},
		{Request: "r-1", Kind: "egress", Node: "n1", Key: Key{SocketCookie: "10", StreamID: 3}, StartNS: 1100, EndNS: 1900, Possible: []string{timeline.TraceContext}},
		{Request: "r-1", Kind: "process", Node: "n1", Key: Key{ExecID: "x", PID: 77}, StartNS: 1200, EndNS: 1800, Possible: []string{timeline.ExecLineage}},
		{Request: "r-1", Kind: "syscall", Node: "n1", Key: Key{PID: 77}, StartNS: 1300, EndNS: 1300, Possible: []string{timeline.ExecLineage}},
	}
	good := timeline.Timeline{ID: "a", Revision: 1, Steps: []timeline.Step{
		{ID: "1", Layer: timeline.LayerServer, Node: "n1", SocketCookie: "9", Start: 900, Join: exact, Attributes: timeline.Attributes{attr("observed.start", event.Time(1000).String())}},
		{ID: "2", Layer: timeline.LayerModel, Node: "n1", SocketCookie: "10", Start: 1050, Join: exact, Attributes: timeline.Attributes{num("http2.stream_id", 3)}},
		{ID: "3", Layer: timeline.LayerProcess, Node: "n1", PID: 77, Start: 1150, Join: exact},
		{ID: "4", Layer: timeline.LayerFile, Node: "n1", PID: 77, Start: 1300, Join: exact},
	}}
	r, err := Run(truthOf(facts...), linesOf(good))
	if err != nil {
		t.Fatal(err)
	}
	if r.Right != 4 || r.Exact.N != 4 || r.Exact.Precision != 1 || r.Exact.Recall != 1 {
		t.Errorf("not all facts were met: %+v", r)
	}
	// Another node, stream, time and pid are other things.
	bad := good
	bad.Steps = append([]timeline.Step(nil), good.Steps...)
	bad.Steps[0].Node = "n2"
	bad.Steps[1].Attributes = timeline.Attributes{num("http2.stream_id", 5)}
	bad.Steps[2].Start += 5e9
	bad.Steps[3].PID = 78
	if r, err = Run(truthOf(facts...), linesOf(bad)); err != nil {
		t.Fatal(err)
	}
	if r.Right != 0 || r.Orphans != 4 {
		t.Errorf("strangers met facts: %+v", r)
	}
}

// TestCalibration: ten bins of one size, and the error by hand.
func TestCalibration(t *testing.T) {
	var facts []Fact
	var tls []timeline.Timeline
	for q := range 20 {
		name := fmt.Sprintf("r-%d", q)
		entry, other := byte(2*q+1), byte(2*q+2)
		facts = append(facts, exchange(name, entry, true, timeline.TraceContext), exchange(name, other, false, timeline.Assignment))
		tl := tlOf(name, int(entry), 100+int(other))
		tl.Steps[1].Join.Confidence = 0.9
		tls = append(tls, tl)
	}
	// Two requests have each other's: 18 of 20 are right at confidence 0.9.
	tls[0].Steps[1].EventIDs, tls[1].Steps[1].EventIDs = tls[1].Steps[1].EventIDs, tls[0].Steps[1].EventIDs
	tls[0].Steps[1].Join.Confidence, tls[1].Steps[1].Join.Confidence = 0.5, 0.5
	r, err := Run(truthOf(facts...), linesOf(tls...))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Calibration) != 10 || r.Calibration[0] != (Bin{Confidence: 0.5, Accuracy: 0, N: 2}) || r.Calibration[9] != (Bin{Confidence: 0.9, Accuracy: 1, N: 2}) {
		t.Errorf("bins: %+v", r.Calibration)
	}
	if want := 0.14; r.ECE != want { // (2 × 0.5 + 18 × 0.1) / 20
		t.Errorf("ece %v, want %v", r.ECE, want)
	}
}

// TestReport holds the names that other programs read.
func TestReport(t *testing.T) {
	r, err := Run(truthOf(twoRequests()...), linesOf(tlOf("a", 1, 2, 103), tlOf("b", 4, 5, 106)))
	if err != nil {
		t.Fatal(err)
	}
	line, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"exact", "inferred", "by_method", "mis_stitch", "orphan", "ambiguous", "ece", "calibration"} {
		if m[name] == nil {
			t.Errorf("no %q in %s", name, line)
		}
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"exact", "100.000 %", "trace_context", "assignment", "mis-stitched"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
}

func TestBadInput(t *testing.T) {
	f := func(truth, timelines, want string) {
		t.Helper()
		_, err := Run(strings.NewReader(truth), strings.NewReader(timelines))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
	}
	f("{", "", "read truth, line 1")
	f(`{"kind":"dance"}`, "", "unknown kind")
	f(`{"kind":"flow","possible":["magic"]}`, "", `unknown method "magic"`)
	f(`{"kind":"flow","key":{"event_id":"xy"}}`, "", "event_id")
	f("", "\n\n{}", "read timelines, line 3: no timeline_id")
	f("", `{"timeline_id":"a","steps":[{"step_id":"s","socket_cookie":"x"}]}`, "step s: socket_cookie")
}

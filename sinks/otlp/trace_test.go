package otlp

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/schemas/timeline/timelinetest"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// The whole of a trace: every attribute, link and event.
func TestTrace(t *testing.T) {
	tl := timelinetest.Example()
	tl.Revision = 2
	unseen := tl.Steps[0]
	unseen.ID, unseen.Layer, unseen.Name, unseen.Status, unseen.Source = "s2", timeline.LayerProcess, "/bin/sh", timeline.Killed, "tetragon"
	unseen.ParentID, unseen.SpanID, unseen.Start, unseen.Connection = "s1", "", 0, nil
	unseen.Attributes = timeline.Attributes{{Key: "process.executable.path", Str: "/bin/\xff"}}
	tl.Steps = append(tl.Steps, unseen)
	tl.Alerts = append(tl.Alerts, timeline.AlertRef{AlertID: "a2", RuleID: "gone", Severity: "low", State: "open", StepIDs: []string{"left out"}})
	raw, err := protojson.MarshalOptions{Multiline: true}.Marshal(&tracepb.TracesData{ResourceSpans: trace(tl)})
	if err != nil {
		t.Fatal(err)
	}
	var flat bytes.Buffer
	for line := range strings.Lines(string(raw)) { // protojson varies its blanks on purpose
		flat.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	golden := filepath.Join("testdata", "trace.golden")
	if *update {
		if err := os.WriteFile(golden, flat.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, flat.Bytes()) {
		t.Errorf("the trace is\n%s\nrun with -update if that is right", flat.Bytes())
	}
}

func spansOf(tl *timeline.Timeline) map[string]*tracepb.Span {
	m := map[string]*tracepb.Span{}
	for _, rs := range trace(tl) {
		for _, s := range rs.ScopeSpans[0].Spans {
			m[s.Name] = s
		}
	}
	return m
}

// The same revision makes the same spans, another one other ones.
func TestSameAgain(t *testing.T) {
	one, again := trace(timelinetest.Example()), trace(timelinetest.Example())
	for i := range one {
		if !proto.Equal(one[i], again[i]) {
			t.Errorf("%v\n%v", one[i], again[i])
		}
	}
	next := timelinetest.Example()
	next.Revision++
	first, second := spansOf(timelinetest.Example())["POST /run"], spansOf(next)["POST /run"]
	if bytes.Equal(first.TraceId, second.TraceId) {
		t.Error("two revisions are one trace")
	}
	links := second.Links
	if last := links[len(links)-1]; !bytes.Equal(last.TraceId, first.TraceId) || !bytes.Equal(last.SpanId, first.SpanId) {
		t.Errorf("the second revision does not lead to the first: %v", links)
	}
}

// Whatever is above what, every span is below the request's.
func TestOneTree(t *testing.T) {
	f := func(parents string, want string) {
		t.Helper()
		tl := timelinetest.Example()
		step := tl.Steps[0]
		tl.Steps = nil
		for _, p := range strings.Fields(parents) {
			child, parent, _ := strings.Cut(p, "<")
			step.ID, step.Name, step.ParentID = child, child, parent
			tl.Steps = append(tl.Steps, step)
		}
		spans := spansOf(tl)
		names := map[string]string{"": "-"}
		for name, s := range spans {
			names[string(s.SpanId)] = name
		}
		var got []string
		for i := range tl.Steps {
			name := tl.Steps[i].ID
			above := names[string(spans[name].ParentSpanId)]
			got = append(got, name+"<"+strings.Replace(above, "POST /run", "", 1))
			n := 0
			for at := spans[name]; len(at.ParentSpanId) > 0 && n <= len(spans); n++ {
				at = spans[names[string(at.ParentSpanId)]]
			}
			if n > len(spans) {
				t.Errorf("%s: %s is not below the request", parents, name)
			}
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: got %s, want %s", parents, g, want)
		}
	}
	f("a< b<a c<b", "a< b<a c<b")
	f("a<gone b<a", "a< b<a")
	f("a<a", "a<")
	f("a<b b<a c<a", "a< b<a c<a")
	f("c<a a<b b<d d<a", "c<a a< b<d d<a")
}

// No span begins in 1970 or ends before it began.
func TestTimes(t *testing.T) {
	f := func(start, end, otherwise event.Time, from, to uint64) {
		t.Helper()
		if a, b := times(start, end, otherwise); a != from || b != to {
			t.Errorf("%d to %d (%d): got %d to %d", start, end, otherwise, a, b)
		}
	}
	f(5, 9, 1, 5, 9)
	f(0, 9, 1, 9, 9)
	f(5, 0, 1, 5, 5)
	f(0, 0, 1, 1, 1)
	f(9, 5, 1, 9, 9)
	f(-5, -3, 1, 0, 0)
}

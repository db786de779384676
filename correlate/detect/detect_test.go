package detect_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

func load(t testing.TB, text string) *detect.Set {
	t.Helper()
	s, err := detect.Load(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge judges a timeline when nothing can be refuted any more.
func judge(s *detect.Set, t *timeline.Timeline) ([]alert.Alert, error) {
	v, err := detect.NewWatch(s, detect.Options{}).Closed(t, event.Never)
	return v.Found, err
}

func rule(kind, condition string) string {
	if strings.HasPrefix(condition, "'") {
		condition = fmt.Sprintf("%q", condition)
	}
	return "lists:\n  bad: [evil.example]\nrules:\n- id: r\n  title: t\n  severity: high\n  why: w\n  " + kind + ": " + condition + "\n"
}

// sample is a request: a tool that runs curl, which is inferred and speaks to
// evil.example.
func sample() *timeline.Timeline {
	exact := timeline.Join{Method: timeline.TraceContext, Exact: true, Confidence: 1}
	at := func(ms int) event.Time { return event.Time(1_700_000_000_000_000_000 + ms*1_000_000) }
	return &timeline.Timeline{
		ID: "tl", Revision: 3, Start: at(0), End: at(100), Tokens: timeline.Tokens{Input: 7},
		Request:      timeline.Request{Method: "POST", Path: "/run", Status: 200},
		Completeness: timeline.Completeness{Gaps: []timeline.Gap{{Source: "hubble"}, {Source: "hubble"}}},
		Steps: []timeline.Step{
			{ID: "a", Layer: timeline.LayerServer, Name: "POST /run", Start: at(0), End: at(100), Status: timeline.OK, SpanID: "1", EventIDs: []string{"ea"}, Join: exact},
			{ID: "b", ParentID: "a", Layer: timeline.LayerTool, Name: "execute_tool shell", Start: at(10), End: at(90), Status: timeline.OK, SpanID: "2", EventIDs: []string{"eb"}, Join: exact},
			{
				ID: "c", ParentID: "b", Layer: timeline.LayerProcess, Name: "/usr/bin/curl", Start: at(20), End: at(80), Status: timeline.OK, Source: "tetragon", EventIDs: []string{"ec", "ec2"},
				Join: timeline.Join{Method: timeline.ToolWindow, Confidence: 0.97},
			},
			{
				ID: "d", ParentID: "c", Layer: timeline.LayerHTTP, Name: "GET /x", Start: at(30), End: at(70), Status: timeline.Unclaimed, Source: "socket", EventIDs: []string{"ed"}, Join: exact,
				Attributes: timeline.Attributes{{Key: "server.address", Str: "evil.example"}, {Key: "server.port", Num: 443, IsNum: true}},
			},
		},
	}
}

func TestConditions(t *testing.T) {
	f := func(kind, condition string, want ...string) {
		t.Helper()
		found, err := judge(load(t, rule(kind, condition)), sample())
		if err != nil {
			t.Errorf("%s: %v", condition, err)
		}
		var steps []string
		if len(found) > 0 {
			steps = found[0].StepIDs
		}
		if d := cmp.Diff(want, steps); d != "" {
			t.Errorf("%s (-want +got)\n%s", condition, d)
		}
	}
	f("step", `step.layer == 'process'`, "c")
	f("step", `step.host in bad && step.attr('server.port') == '443' && step.attr('none') == ''`, "d")
	f("step", `step.tool == 'execute_tool shell' && step.observed`, "c", "d")
	f("step", `'tool' in step.within && !step.claimed && step.process.startsWith('/usr')`, "d")
	f("step", `step.duration > duration('75ms')`, "a", "b")
	f("step", `step.name.matches('^/nothing')`)
	f("request", `request.input_tokens == 7 && request.path == '/run' && request.tool_calls == 1`, "a")
	f("request", `request.steps.exists(s, s.layer == 'process' && s.confidence < 0.98)`, "a")
	f("request", `request.duration < duration('1ms')`)
	f("sequence", `["step.layer == 'process'", "step.layer == 'http'"]`, "c", "d")
	f("sequence", `["step.layer == 'http'", "step.layer == 'process'"]`)
}

// An alert says on which steps it rests, how sure these are, and what it could not
// see through; its id stays when the timeline is revised.
func TestAlert(t *testing.T) {
	s := load(t, rule("step", "step.layer in ['process', 'http']"))
	found, err := judge(s, sample())
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	a := found[0]
	want := alert.Alert{
		ID: a.ID, RuleID: "r", Severity: alert.High, Title: "t", State: alert.Open, Time: sample().Steps[2].Start, TimelineID: "tl",
		StepIDs: []string{"c", "d"}, EventIDs: []string{"ec", "ec2", "ed"}, Confidence: 0.97, Gaps: []string{"hubble"}, Tags: []string{},
	}
	if d := cmp.Diff(want, a); d != "" {
		t.Error(d)
	}
	later := sample()
	later.Revision = 4
	later.Steps = append(later.Steps, timeline.Step{ID: "z", Layer: timeline.LayerHTTP, Start: later.End, EventIDs: []string{"ez"}, Join: timeline.Join{Exact: true, Confidence: 1}})
	again, err := judge(s, later)
	if err != nil || len(again) != 1 || again[0].ID != a.ID || len(again[0].StepIDs) != 3 {
		t.Errorf("%+v, %v", again, err)
	}
}

// What is told of an alert: new ones, changed ones, those that are gone, each with its
// next revision; nothing of one that is as it was, or that another timeline has now.
func TestChanges(t *testing.T) {
	told := map[string]*alert.Alert{}
	f := func(timeline string, had, now []string, want ...string) {
		t.Helper()
		var alerts []alert.Alert
		for _, text := range now {
			id, title, _ := strings.Cut(text, " ")
			alerts = append(alerts, alert.Alert{ID: id, Title: title, State: alert.Open, TimelineID: timeline})
		}
		changes, err := detect.Changes(detect.Verdict{Timeline: timeline, Found: alerts}, had, func(id string) (*alert.Alert, error) { return told[id], nil })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range changes {
			told[a.ID] = &a
			got = append(got, fmt.Sprintf("%s/%d %s %s", a.ID, a.Revision, a.State, a.Title))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s had %v, has %v (-want +got):\n%s", timeline, had, now, d)
		}
	}
	f("one", nil, []string{"a x", "b y"}, "a/1 open x", "b/1 open y")
	f("one", []string{"a", "b", "of-the-engine"}, []string{"a x", "b z"}, "b/2 open z")
	f("one", []string{"a", "b"}, []string{"b z"}, "a/2 withdrawn x")
	f("one", []string{"b"}, []string{"b z"})
	f("one", []string{"a", "b"}, []string{"b z", "a x"}, "a/3 open x")
	f("two", nil, []string{"b z"}, "b/3 open z") // superseded by two
	f("one", []string{"a", "b"}, nil, "a/4 withdrawn x")
	f("one", []string{"a", "b"}, nil)
	f("two", []string{"b"}, nil, "b/4 withdrawn z")
	broken := errors.New("broken")
	for _, had := range [][]string{nil, {"a"}} {
		var now []alert.Alert
		if had == nil {
			now = []alert.Alert{{ID: "a"}}
		}
		if _, err := detect.Changes(detect.Verdict{Timeline: "one", Found: now}, had, func(string) (*alert.Alert, error) { return nil, broken }); err != broken {
			t.Errorf("%v, want the error of what was told", err)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := detect.Load(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q:\n%v\nwant %q", text, err, w)
			}
		}
	}
	f(rule("step", "step.layr == 'x'"), "r.yaml:8:13: rule r: undefined field 'layr'")
	f(rule("step", "step.layer"), "r.yaml:8:9: rule r: it gives a string, want true or false")
	f(rule("step", "|\n    step.layer == 'x' &&\n    step.pid == 'y'"), "r.yaml:10:")
	f(rule("when", "true"), "r.yaml:8:", "when")
	f(strings.Replace(rule("step", "true"), "severity: high", "severity: awful", 1), "r.yaml:6:13: rule r: severity \"awful\", want one of info, low, medium, high, critical")
	f(strings.Replace(rule("step", "true"), "id: r", "id: R-1", 1), `r.yaml:4:7: id "R-1"`)
	f(rule("step", "true")+"- id: r\n  title: t\n  severity: low\n  why: w\n  step: 'true'\n", "rule r is in r.yaml too")
	f(rule("step", "true")+"  request: 'true'\n", "needs one of event, step, request and sequence")
	f(rule("step", "'"+strings.Repeat("x", 5000)+"' == step.name"), "at most 4096")
	f("rules: [", "r.yaml:1:")
	f("lists: {step: [a]}\n", `list "step"`)
	if _, err := detect.Load(fstest.MapFS{}); err == nil {
		t.Error("no files are no rules, and no error")
	}
}

// What may cost too much on the largest request is refused when it is loaded, and
// says where; what looks at every step of it once is not.
func TestCost(t *testing.T) {
	_, err := detect.Load(fstest.MapFS{"r.yaml": {Data: []byte(rule("request", "request.steps.all(a, request.steps.all(b, request.steps.all(c, a.name != 'x')))"))}})
	if err == nil || !strings.Contains(err.Error(), "r.yaml:8:12: rule r: judging it may cost") {
		t.Errorf("%v", err)
	}
	s := load(t, rule("request", "request.steps.exists(s, s.name.contains('x') && s.attr('file.path').matches('^/etc/.*'))"))
	tl := sample()
	for i := range 10_000 {
		tl.Steps = append(tl.Steps, timeline.Step{ID: fmt.Sprint("s", i), Name: strings.Repeat("y", 4096), Start: tl.End})
	}
	if found, err := judge(s, tl); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// The starter rules compile, and judge a timeline of the largest size in time.
func TestStarterRules(t *testing.T) {
	s, err := detect.Load(os.DirFS("../../deploy/rules"))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rules) < 12 {
		t.Errorf("%d rules", len(s.Rules))
	}
	for _, r := range s.Rules {
		if len(r.Tags) == 0 || len(r.Why) < 20 {
			t.Errorf("rule %s has no tags, or says not why", r.ID)
		}
	}
	tl := sample()
	for i := range 2000 {
		tl.Steps = append(tl.Steps, timeline.Step{ID: fmt.Sprint("s", i), ParentID: "c", Layer: timeline.LayerFile, Name: "openat /data/x", Start: tl.End, EventIDs: []string{"e"}})
	}
	if _, err := judge(s, tl); err != nil {
		t.Error(err)
	}
}

func BenchmarkJudge(b *testing.B) {
	s, err := detect.Load(os.DirFS("../../deploy/rules"))
	if err != nil {
		b.Fatal(err)
	}
	tl := sample()
	for b.Loop() {
		if _, err := judge(s, tl); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(tl.Steps)), "ns/step")
}

// What the compiler can prove to be monotone, and what it cannot.
func TestClass(t *testing.T) {
	f := func(kind, condition string, want detect.Class, why string) {
		t.Helper()
		text := condition
		if kind != "sequence" {
			text = fmt.Sprintf("%q", condition)
		}
		class, got := load(t, rule(kind, text)).Rules[0].Class()
		if class != want || !strings.Contains(got, why) || (class == detect.Refutable) != (got != "") {
			t.Errorf("%s: %s, %q; want %s, %q", condition, class, got, want, why)
		}
	}
	yes := func(kind, condition string) { t.Helper(); f(kind, condition, detect.Monotone, "") }
	no := func(kind, condition, why string) { t.Helper(); f(kind, condition, detect.Refutable, why) }
	// One event never changes, whatever is asked of it.
	yes("event", `event.kind == 'process_exec' && !(event.binary in bad) && !event.binary.startsWith('/usr')`)
	yes("event", `event.kind == 'flow' && (event.port > 1024 ? event.denied : event.host != 'x')`)
	yes("event", `bad.exists(b, event.host.endsWith(b)) && bad.all(b, b != event.host)`)
	no("event", `event.kind == 'flow' && request.path == '/run'`, "1:32: request.path")
	yes("event", `event.kind == 'flow' && 'curl' in request.tools`)
	no("event", `event.kind == 'flow' && !('curl' in request.tools)`, "absent")
	// Steps that nothing becomes part of another step.
	yes("step", `step.layer == 'policy' && step.status == 'denied' && step.host in bad`)
	yes("step", `step.layer in ['file', 'syscall'] && step.attr('file.path') != '/tmp'`)
	yes("step", `step.layer == 'process' && step.name == '/bin/nc' && step.status == 'killed'`)
	yes("step", `(step.layer == 'file' && step.name == 'x') || (step.layer == 'process' && step.pid > 3)`)
	no("step", `step.layer == 'http'`, "1:12: a step of such a layer may still become part of another")
	no("step", `step.host in bad`, "may still become part of another")
	no("step", `step.layer == 'process' && step.status == 'unclaimed'`, "may still claim it")
	no("step", `step.layer == 'process' && !('tool' in step.within)`, "children come before their parents")
	no("step", `step.layer == 'policy' && step.exact`, "a better join")
	no("step", `step.layer != 'policy'`, "may still become part of another")
	no("step", `!(step.layer == 'policy')`, "absent")
	no("step", `step.layer == 'process' && step.duration > duration('1s')`, "may still become")
	no("step", `step.layer == 'policy' || step.name == 'x'`, "may still become")
	// Requests: what only grows, and what does not.
	yes("request", `request.tool_calls > 100 || 50 < request.tool_calls`)
	yes("request", `request.steps.exists(s, s.layer == 'process' && s.name == '/bin/nc')`)
	no("request", `request.tool_calls < 100`, "absent")
	no("request", `request.tool_calls == 100`, "compares what may change")
	no("request", `request.model_calls > 100`, "when the request has closed")
	no("request", `request.input_tokens > 100`, "when the request has closed")
	no("request", `!request.steps.exists(s, s.layer == 'process')`, "absent")
	no("request", `request.steps.all(s, s.layer == 'process')`, "until another one comes")
	no("request", `request.steps.exists(s, s.layer == 'model')`, "may still become")
	no("request", `size(request.steps) > 3`, "when the request has closed")
	yes("sequence", `["step.layer == 'file'", "step.layer == 'process' && step.name == '/bin/nc'"]`)
	no("sequence", `["step.layer == 'file'", "step.layer == 'http'"]`, "may still become")
}

// Macros stand for conditions, also for those of other macros and other files; what
// is wrong with one is said once, where it is.
func TestMacros(t *testing.T) {
	with := func(macros, condition string) fstest.MapFS {
		return fstest.MapFS{"m.yaml": {Data: []byte("macros:\n" + macros)}, "r.yaml": {Data: []byte(rule("step", condition))}}
	}
	s, err := detect.Load(with("  evil: step.host in bad\n  call: step.layer == 'http' && evil()\n", "call() && step.status == 'unclaimed'"))
	if err != nil {
		t.Fatal(err)
	}
	if found, err := judge(s, sample()); err != nil || len(found) != 1 || found[0].StepIDs[0] != "d" {
		t.Errorf("%+v, %v", found, err)
	}
	f := func(macros, condition, want string) {
		t.Helper()
		if _, err := detect.Load(with(macros, condition)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("  a: step.host ==\n", "a()", "m.yaml:2:18: macro a: ")
	f("  a: b()\n  b: a()\n", "a()", "leads back to itself")
	f("  bad: 'true'\n", "bad()", "there is one of that name")
	f("  a: step.hast == 'x'\n", "a()", "undefined field 'hast'")
	f("  a: 'true'\n", "c()", "r.yaml:8:")
}

// fifty are as many rules as a house may have, of every kind, none of which holds.
func fifty() string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range 50 {
		condition := [...]string{
			`event: event.kind == 'enforcement' && event.binary == '/bin/%d'`,
			`event: event.kind in ['syscall', 'process_exec'] && event.binary == '/bin/%d'`,
			`step: step.layer == 'policy' && step.status == 'denied' && step.name == '%d'`,
			`step: step.layer == 'file' && step.name.contains('/etc/%d')`,
			`event: event.kind == 'exchange' && event.host in ['%d.example', 'evil.example']`,
		}[i%5]
		fmt.Fprintf(&b, "- id: r%d\n  title: t\n  severity: low\n  why: w\n  "+condition+"\n", i, i)
	}
	return b.String()
}

// BenchmarkMiss is what fifty rules cost an event that none of them holds for: of a
// kind that no rule asks of, and of one that twenty do.
func BenchmarkMiss(b *testing.B) {
	s := load(b, fifty())
	f := func(name string, rules int, e *event.Event) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := detect.NewWatch(s, detect.Options{Early: true, Claim: time.Hour, Keep: time.Hour})
			for b.Loop() {
				if v, err := w.Event(e, 1); err != nil || len(v.Found) > 0 {
					b.Fatal(v, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rules), "ns/rule")
		})
	}
	f("kind", 50, &event.Event{Kind: event.KindFlow, Time: 1, Payload: &event.Flow{}})
	f("fields", 10, &event.Event{Kind: event.KindSyscall, Time: 1, Payload: &event.Syscall{Binary: "/usr/bin/curl", Function: "openat", File: "/data/x"}})
	f("exchange", 10, &event.Event{Kind: event.KindExchange, Time: 1, Payload: &event.Exchange{HTTP: event.HTTP{Host: "model.example"}}})
	b.Run("step", func(b *testing.B) {
		b.ReportAllocs()
		w, tl := detect.NewWatch(s, detect.Options{}), sample()
		for b.Loop() {
			if v, err := w.Closed(tl, event.Never); err != nil || len(v.Found) > 0 {
				b.Fatal(v, err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(tl.Steps)), "ns/step")
	})
}

// An event that no rule asks of costs nothing that the collector would have to take
// away, however many rules there are.
func TestMissAllocatesNothing(t *testing.T) {
	w := detect.NewWatch(load(t, fifty()), detect.Options{Early: true, Claim: time.Hour, Keep: time.Hour})
	e := &event.Event{Kind: event.KindFlow, Time: 1, Payload: &event.Flow{}}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := w.Event(e, 1); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

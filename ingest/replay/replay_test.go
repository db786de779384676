package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/recordings"
)

// One record of every writer, a second apart.
const (
	hubbleLine    = `{"flow":{"time":"2026-11-23T07:16:01Z","uuid":"c938628b-0000-4000-8000-000000000001","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":40000,"destination_port":8080,"flags":{"SYN":true}}},"node_name":"n1","Type":"L3_L4","event_type":{"type":4}},"node_name":"n1","time":"2026-11-23T07:16:01Z"}`
	lostLine      = `{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"7"},"node_name":"n1","time":"2026-11-23T07:16:02Z"}`
	otlpLine      = `{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"917d5fdf105d2a660c1b481a6fca6c54","spanId":"270fdc808d58c0ed","name":"a","kind":2,"startTimeUnixNano":"1795418163000000000","endTimeUnixNano":"1795418163500000000"},{"traceId":"917d5fdf105d2a660c1b481a6fca6c54","spanId":"270fdc808d58c0ee","name":"b","kind":1,"startTimeUnixNano":"1795418163000000000","endTimeUnixNano":"1795418164000000000"}]}]}]}`
	policyLine    = `{"connection":{"src_ip":"10.0.0.1","dest_ip":"10.0.0.2","src_port":40000,"dest_port":8080,"protocol":"tcp","direction":"ingress"},"disposition":"deny","src":{"pod_name":"a","namespace":"x"},"dest":{"pod_name":"b","namespace":"x"},"count":3,"timestamp":"2026-11-23T07:16:05Z"}`
	recordingLine = `{"id":"00112233445566778899aabbccddeeff","kind":"socket_open","source":"socket","node":"n1","time":"2026-11-23T07:16:06.000000000Z","payload":{"socket_cookie":"17","role":"client"}}`
	tetragonLine  = `{"process_exec":{"process":{"exec_id":"bjE6MTAwOjE3","pid":17,"binary":"/bin/sh","start_time":"2026-11-23T07:16:07Z"}},"node_name":"n1","time":"2026-11-23T07:16:07Z"}`
	testLine      = `{"test":{"arg0":"1"},"node_name":"n1","time":"2026-11-23T07:16:08Z"}`
	podLine       = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"x","uid":"u1","creationTimestamp":"2026-11-23T07:16:00Z"},"spec":{"nodeName":"n1"},"status":{"podIP":"10.0.0.1"}}`
	foreignLine   = `{"hello":"world"}`
	badLine       = `{"flow":{"time":`
)

// outcome is what Run did, small enough to compare.
type outcome struct {
	Events  int
	Sources map[string]ingest.Tally
	Bad     []string
	Unknown []string
}

// replayed runs over paths and checks what must hold for any input.
func replayed(t testing.TB, o Options) (Result, []string) {
	t.Helper()
	var lines []string
	last := event.Time(-1 << 63)
	var previous event.Event
	var perSource [event.Sources]int
	res, err := Run(t.Context(), o, func(b *event.Batch, now event.Time) error {
		if len(b.Events) == 0 || len(b.Events) > BatchEvents {
			t.Errorf("a batch of %d events", len(b.Events))
		}
		for i := range b.Events {
			e := &b.Events[i]
			if o.Order == OrderEvent && len(lines) > 0 && event.Compare(&previous, e) > 0 {
				t.Errorf("event %d is out of order", len(lines))
			}
			previous = *e
			perSource[e.Source]++
			lines = append(lines, string(e.AppendJSON(nil)))
		}
		if o.Order == OrderEvent && now != 0 || now < last && o.Order == OrderArrival {
			t.Errorf("now is %v after %v", now, last)
		}
		last = now
		return nil
	})
	if err != nil && !(errors.Is(err, ErrNothingRead) && len(lines) == 0) {
		t.Fatal(err)
	}
	if int(res.Events) != len(lines) {
		t.Errorf("%d events counted, %d handed on", res.Events, len(lines))
	}
	var all ingest.Tally
	for s, n := range res.Sources {
		all.Add(n.Tally)
		if n.In != perSource[s]+n.Bad+n.UnknownType {
			t.Errorf("law broken for %v: %+v with %d events", event.Source(s), n, perSource[s])
		}
	}
	if all.In != len(lines)+all.Bad+all.UnknownType {
		t.Errorf("law broken: %+v with %d events", all, len(lines))
	}
	return res, lines
}

func summary(res Result) outcome {
	o := outcome{Events: int(res.Events), Sources: map[string]ingest.Tally{}}
	for s, c := range res.Sources {
		if c.Tally != (ingest.Tally{}) {
			o.Sources[event.Source(s).String()] = c.Tally
		}
	}
	for _, p := range res.Bad {
		o.Bad = append(o.Bad, fmt.Sprintf("%s:%d", filepath.Base(p.Path), p.Line))
	}
	for _, p := range res.Unknown {
		o.Unknown = append(o.Unknown, fmt.Sprintf("%s:%d", filepath.Base(p.Path), p.Line))
	}
	return o
}

func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zst(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(b, nil)
}

var mixed = strings.Join([]string{
	testLine, tetragonLine, recordingLine, policyLine, otlpLine, lostLine, hubbleLine, foreignLine, badLine, "", "garbage", podLine,
}, "\n") + "\n"

var wantMixed = outcome{
	Events: 8,
	Sources: map[string]ingest.Tally{
		"unknown":  {In: 3, Bad: 2, UnknownType: 1},
		"hubble":   {In: 2},
		"otlp":     {In: 2},
		"gcp":      {In: 1},
		"k8s":      {In: 1},
		"socket":   {In: 1},
		"tetragon": {In: 2, UnknownType: 1},
	},
	Bad:     []string{"mixed.json:9", "mixed.json:11"},
	Unknown: []string{"mixed.json:1", "mixed.json:8"},
}

func TestRunMixed(t *testing.T) {
	dir := t.TempDir()
	f := func(data []byte) {
		t.Helper()
		path := write(t, dir, "mixed.json", data)
		res, lines := replayed(t, Options{Paths: []string{path}})
		if diff := cmp.Diff(wantMixed, summary(res)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(lines) == 8 && !(strings.Contains(lines[0], `"pod"`) && strings.Contains(lines[1], `"flow"`) && strings.Contains(lines[7], `"process_exec"`)) {
			t.Errorf("order:\n%s", strings.Join(lines, "\n"))
		}
		if lost := res.Sources[event.SourceHubble].LostUpstream; lost != 7 {
			t.Errorf("lost upstream: %d", lost)
		}
		if res.Files[0].Err != nil || res.Files[0].Bytes != int64(len(data)) {
			t.Errorf("%+v", res.Files[0])
		}
	}
	f([]byte(mixed))
	f([]byte("\xef\xbb\xbf" + mixed))
	f([]byte(strings.ReplaceAll(mixed, "\n", "\r\n")))
	f(gz([]byte(mixed)))
	f(zst([]byte(mixed)))
	f(gz(zst([]byte(mixed))))

	// The same from standard input.
	res, _ := replayed(t, Options{Paths: []string{"-"}, Stdin: strings.NewReader(mixed)})
	got := summary(res)
	want := wantMixed
	want.Bad, want.Unknown = []string{"-:9", "-:11"}, []string{"-:1", "-:8"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stdin (-want +got):\n%s", diff)
	}
}

// Every wrapping gives the same events as the plain lines.
func TestRunWrappings(t *testing.T) {
	plain := []string{hubbleLine, lostLine, otlpLine, policyLine, recordingLine, tetragonLine, podLine}
	dir := t.TempDir()
	_, want := replayed(t, Options{Paths: []string{write(t, dir, "plain.json", []byte(strings.Join(plain, "\n")))}})
	if len(want) != 8 {
		t.Fatalf("%d events", len(want))
	}
	f := func(name, data string) {
		t.Helper()
		res, got := replayed(t, Options{Paths: []string{write(t, dir, "x", []byte(data))}})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(res.Bad)+len(res.Unknown) > 0 {
			t.Errorf("%s: %v %v", name, res.Bad, res.Unknown)
		}
	}
	f("array", "["+strings.Join(plain, ",")+"]")
	f("array over lines", "[\n"+strings.Join(plain, ",\n")+"\n]\n")
	f("one line", strings.Join(plain, ""))
	f("one line, spaced", strings.Join(plain, "  "))
	f("pretty", pretty(t, "", plain...))
	f("pretty array", pretty(t, "", "["+strings.Join(plain, ",")+"]"))
	f("blank lines", "\n\n"+strings.Join(plain, "\n \n")+"\n\n")
	f("commas", strings.Join(plain, ",\n")+",\n")

	var cri, parts strings.Builder
	for i, l := range plain {
		fmt.Fprintf(&cri, "2026-11-23T08:00:%02dZ stdout F %s\n", i, l)
		fmt.Fprintf(&parts, "2026-11-23T08:00:%02dZ stdout P %s\n", i, l[:20])
		fmt.Fprintf(&parts, "2026-11-23T08:00:%02dZ stderr P %s\n", i, l[:9])
		fmt.Fprintf(&parts, "2026-11-23T08:00:%02dZ stdout F %s\n", i, l[20:])
		fmt.Fprintf(&parts, "2026-11-23T08:00:%02dZ stderr F %s\n", i, "")
	}
	res, got := replayed(t, Options{Paths: []string{write(t, dir, "x", []byte(cri.String()))}})
	observed := 0
	for i := range got {
		if strings.Contains(got[i], `"observed":"2026-11-23T08:00:0`) {
			observed++
		}
	}
	if len(got) != 8 || observed != 8 || len(res.Bad) > 0 {
		t.Errorf("cri: %d of %d observed, %v", observed, len(got), res.Bad)
	}
	res, got = replayed(t, Options{Paths: []string{write(t, dir, "x", []byte(parts.String()))}})
	if len(got) != 8 || res.Sources[event.SourceUnknown].Bad != 7 {
		t.Errorf("cri parts: %d events, %v", len(got), res.Bad)
	}
}

func TestRunBrokenFiles(t *testing.T) {
	dir := t.TempDir()
	f := func(name string, data []byte, events int, says string) {
		t.Helper()
		res, lines := replayed(t, Options{Paths: []string{write(t, dir, "x", data), write(t, dir, "after.json", []byte(lostLine))}})
		if n := len(lines) - 1; n < events {
			t.Errorf("%s: %d events, want %d", name, n, events)
		}
		if err := res.Files[0].Err; err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	var many strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&many, `{"id":"%032x","kind":"socket_open","source":"socket","node":"n%d","time":"2026-11-23T07:16:06.%09dZ","payload":{"socket_cookie":"%d"}}`+"\n", i*i*7919, i*i%97, i*i, i*i*31)
	}
	whole := gz([]byte(many.String()))
	f("truncated gzip", whole[:len(whole)*9/10], 1500, "truncated after")
	packed := zst([]byte(many.String()))
	f("truncated zstd", packed[:len(packed)*9/10], 0, "truncated after")
	f("gzip of nothing else", whole[:8], 0, "truncated")
	f("bomb", gz(append([]byte(hubbleLine+"\n"), make([]byte, 40<<20)...)), 1, "250 times its size")
	f("three layers", gz(gz(gz([]byte(hubbleLine)))), 0, "more than 2 layers")
}

func TestRunErrors(t *testing.T) {
	dir := t.TempDir()
	emit := func(*event.Batch, event.Time) error { return nil }
	good := write(t, dir, "good.json", []byte(hubbleLine))
	var path *PathError
	if _, err := Run(t.Context(), Options{Paths: []string{good, filepath.Join(dir, "none.json")}}, emit); !errors.As(err, &path) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	for _, o := range []Options{{}, {Paths: []string{write(t, dir, "bad.json", []byte("x\n"))}}, {Paths: []string{t.TempDir()}}, {Paths: []string{"-"}}} {
		if _, err := Run(t.Context(), o, emit); !errors.Is(err, ErrNothingRead) {
			t.Errorf("%v: %v", o.Paths, err)
		}
	}
	stop := errors.New("stop")
	if _, err := Run(t.Context(), Options{Paths: []string{good}}, func(*event.Batch, event.Time) error { return stop }); err != stop {
		t.Errorf("got %v", err)
	}
}

// waiting is a terminal at which nobody types.
type waiting struct{ begun chan struct{} }

func (w *waiting) Read([]byte) (int, error) {
	close(w.begun)
	select {}
}

func TestRunCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := &waiting{make(chan struct{})}
	go func() { <-w.begun; cancel() }()
	if _, err := Run(ctx, Options{Paths: []string{"-"}, Stdin: w}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	// While spilling, and while handing on from disk.
	dir, temp := t.TempDir(), t.TempDir()
	path := write(t, dir, "x.json", []byte(strings.Repeat(mixed, 1500)))
	f := func(o Options, emit func(cancel func()) error) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o.Paths, o.TempDir, o.SortMemory = []string{path}, temp, 1<<20
		if o.Progress != nil {
			o.Progress = func(Progress) { cancel() }
		}
		_, err := Run(ctx, o, func(*event.Batch, event.Time) error { return emit(cancel) })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	f(Options{Progress: func(Progress) {}}, func(func()) error { return nil })
	f(Options{}, func(cancel func()) error { cancel(); return nil })
}

func TestRunProgress(t *testing.T) {
	path := write(t, t.TempDir(), "x.json", gz([]byte(strings.Repeat(mixed, 1000))))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var last Progress
	phase := PhaseRead
	res, err := Run(t.Context(), Options{Paths: []string{path}, Progress: func(p Progress) {
		if p.Phase < phase || p.Read < last.Read || p.Emitted < last.Emitted || p.Bytes < last.Bytes {
			t.Errorf("%+v after %+v", p, last)
		}
		phase, last = p.Phase, p
	}}, func(*event.Batch, event.Time) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	want := Progress{Phase: PhaseEmit, Bytes: info.Size(), Total: info.Size(), Read: res.Events, Emitted: res.Events}
	if last != want {
		t.Errorf("got %+v, want %+v", last, want)
	}
}

// A pipe that delivers slowly is read as it comes.
func TestRunPipe(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		for _, b := range []byte(mixed) {
			w.Write([]byte{b})
		}
		w.Close()
	}()
	res, _ := replayed(t, Options{Paths: []string{"-"}, Stdin: r})
	if res.Events != 8 {
		t.Errorf("%d events", res.Events)
	}
}

func TestRunRecordings(t *testing.T) {
	dir := recordings.Dir(t)
	for _, o := range []Order{OrderEvent, OrderArrival} {
		res, lines := replayed(t, Options{Paths: []string{filepath.Join(dir, "hubble"), filepath.Join(dir, "tetragon"), filepath.Join(dir, "adk-truth")}, Order: o})
		for _, s := range []event.Source{event.SourceHubble, event.SourceTetragon, event.SourceOTLP} {
			if c := res.Sources[s]; c.Bad != 0 || c.In == 0 {
				t.Errorf("%v: %+v", s, c)
			}
		}
		if len(res.Bad) > 0 {
			t.Errorf("bad: %v", res.Bad)
		}
		t.Logf("%d events", len(lines))
	}
}

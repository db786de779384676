package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// service is a `sennit up` of its own process.
type service struct {
	cmd               *exec.Cmd
	otlp, http, pprof string
	log               *bytes.Buffer
	ended             chan error
}

var (
	listening = regexp.MustCompile(`answers on (\S+),`)
	profiling = regexp.MustCompile(`serves profiles on (\S+),`)
	otlpHTTP  = regexp.MustCompile(`and (\S+) \(HTTP\)`)
)

// startUp starts a service in a folder, on ports that are free.
func startUp(t *testing.T, dir string, more ...string) *service {
	t.Helper()
	return startService(t, append([]string{
		"up", "--data", dir, "--lateness", "1s", "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0",
	}, more...)...)
}

// startService starts a process and waits until it says where it listens.
func startService(t *testing.T, args ...string) *service {
	t.Helper()
	return startProgram(t, "sennit", args...)
}

func startProgram(t *testing.T, program string, args ...string) *service {
	t.Helper()
	s := &service{log: &bytes.Buffer{}, ended: make(chan error, 1)}
	s.cmd = exec.Command(program, args...)
	errOut, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(errOut)
		for lines.Scan() {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				s.http = m[1]
				if m := otlpHTTP.FindStringSubmatch(lines.Text()); m != nil {
					s.otlp = m[1]
				}
				if m := profiling.FindStringSubmatch(lines.Text()); m != nil {
					s.pprof = m[1]
				}
				close(ready)
			}
			fmt.Fprintln(s.log, lines.Text())
		}
		s.ended <- s.cmd.Wait()
	}()
	select {
	case <-ready:
	case err := <-s.ended:
		t.Fatalf("sennit %s ended: %v\n%s", args[0], err, s.log)
	case <-time.After(30 * time.Second):
		s.kill(t)
		t.Fatalf("sennit %s does not listen\n%s", args[0], s.log)
	}
	return s
}

func (s *service) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ended
}

// request is OTLP/JSON of one agent's request, which ends now.
func request(n int) []byte {
	end := time.Now()
	span := func(id, parent, name string, kind int, begin, until time.Duration, attributes string) string {
		return fmt.Sprintf(`{"traceId":"%032x","spanId":%q,"parentSpanId":%q,"name":%q,"kind":%d,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[%s]}`,
			n+1, id, parent, name, kind, end.Add(-begin).UnixNano(), end.Add(-until).UnixNano(), attributes)
	}
	return fmt.Appendf(nil, `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"agent"}}]},"scopeSpans":[{"spans":[%s,%s,%s]}]}]}`,
		span(fmt.Sprintf("%016x", 3*n+1), "", "POST /run", 2, 50*time.Millisecond, 0, ""),
		span(fmt.Sprintf("%016x", 3*n+2), fmt.Sprintf("%016x", 3*n+1), "invoke_agent a", 1, 40*time.Millisecond, 10*time.Millisecond, `{"key":"gen_ai.operation.name","value":{"stringValue":"invoke_agent"}}`),
		span(fmt.Sprintf("%016x", 3*n+3), fmt.Sprintf("%016x", 3*n+2), "execute_tool t", 1, 30*time.Millisecond, 20*time.Millisecond, `{"key":"gen_ai.operation.name","value":{"stringValue":"execute_tool"}}`))
}

// post sends a body once and reports whether it was taken.
func post(addr string, body []byte) bool {
	client := http.Client{Timeout: 5 * time.Second}
	r, err := client.Post("http://"+addr+"/v1/traces", "application/json", bytes.NewReader(body))
	if err != nil {
		return false
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil && r.StatusCode == http.StatusOK
}

// lines reads the timelines that are written.
func readTimelines(t *testing.T, path string) (lines []string, last map[string]*timeline.Timeline) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	last = map[string]*timeline.Timeline{}
	for line := range strings.Lines(string(b)) {
		var tl timeline.Timeline
		if !strings.HasSuffix(line, "\n") {
			break // being written
		}
		if err := json.Unmarshal([]byte(line), &tl); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		lines = append(lines, fmt.Sprint(tl.ID, "/", tl.Revision))
		last[tl.ID] = &tl
	}
	return lines, last
}

// TestUpSurvivesKills: whatever moment the process dies in, every span that a
// sender was told is taken gets into its timeline, no revision is written twice,
// and the timelines are those of a replay of the same spans. SENNIT_KILLS says how
// often it dies, 5 times by default.
func TestUpSurvivesKills(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 5
	if n, err := strconv.Atoi(os.Getenv("SENNIT_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	data, out := filepath.Join(dir, "data"), filepath.Join(dir, "data", "timelines.jsonl")
	s := startUp(t, data)
	var addr atomic.Value
	addr.Store(s.otlp)
	sent, stop, done := 0, make(chan struct{}), make(chan struct{})
	var recording bytes.Buffer
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			body := request(sent)
			for !post(addr.Load().(string), body) {
				time.Sleep(20 * time.Millisecond) // dead; it is started again
			}
			sent++
			recording.Write(append(body, '\n'))
			time.Sleep(2 * time.Millisecond)
		}
	}()
	for range kills {
		time.Sleep(time.Duration(200+rand.IntN(1300)) * time.Millisecond)
		s.kill(t)
		s = startUp(t, data)
		addr.Store(s.otlp)
	}
	time.Sleep(300 * time.Millisecond)
	close(stop)
	<-done
	waitFor(t, out, sent)
	s.laws(t)
	r, err := http.Get("http://" + s.http + "/readyz")
	if err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %v, %v", r, err)
	}
	r.Body.Close()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("after SIGTERM it ended with %v\n%s", err, s.log)
	}

	lines, last := readTimelines(t, out)
	t.Logf("%d requests, %d kills, %d revisions of %d timelines", sent, kills, len(lines), len(last))
	if sent < 50 || len(last) != sent {
		t.Errorf("%d requests were taken, %d timelines written", sent, len(last))
	}
	seen := map[string]bool{}
	for _, l := range lines {
		if seen[l] {
			t.Errorf("revision %s is written twice", l)
		}
		seen[l] = true
	}
	file := filepath.Join(dir, "sent.otlp.jsonl")
	if err := os.WriteFile(file, recording.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	replayed := map[string]string{}
	for line := range bytes.Lines(sennit(t, "replay", file, "-o", "json")) {
		var tl timeline.Timeline
		if err := json.Unmarshal(line, &tl); err != nil {
			t.Fatal(err)
		}
		replayed[tl.ID] = content(&tl)
	}
	lived := map[string]string{}
	for id, tl := range last {
		lived[id] = content(tl)
	}
	if d := cmp.Diff(replayed, lived); d != "" {
		t.Errorf("live and replay differ (-replay +live):\n%.2000s", d)
	}
}

// waitFor waits until so many timelines have all their steps, for as long as there are
// more of them every minute.
func waitFor(t *testing.T, path string, requests int) {
	t.Helper()
	whole := 0
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		_, last := readTimelines(t, path)
		before := whole
		whole = 0
		for _, tl := range last {
			if len(tl.Steps) == 3 && tl.SupersededBy == "" {
				whole++
			}
		}
		if whole == requests {
			return
		}
		if whole > before {
			deadline = time.Now().Add(60 * time.Second)
		}
	}
	t.Errorf("%d of %d requests have a whole timeline", whole, requests)
}

// TestUpFollows: lines of a file get into their timelines, through rotations and a
// kill, and each once.
func TestUpFollows(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "spans.jsonl")
	rules := filepath.Join(dir, "rules")
	err := os.Mkdir(rules, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(rules, "r.yaml"), []byte("rules: [{id: ran, title: a tool ran, severity: low, why: to see it, step: step.layer == 'tool'}]"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	follow := []string{"--follow", filepath.Join(dir, "*.jsonl"), "--rules", rules}
	s := startUp(t, data, follow...)
	sent := 0
	write := func(n int) {
		t.Helper()
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range n {
			if _, err := f.Write(append(request(sent), '\n')); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	for round := range 4 {
		write(20)
		if round == 0 { // one that nobody has seen before it is renamed is not followed
			time.Sleep(time.Second)
		}
		if round == 2 {
			s.kill(t)
		}
		write(5)
		if err := os.Rename(file, fmt.Sprint(file, ".", round)); err != nil {
			t.Fatal(err)
		}
		write(5)
		if round == 2 {
			s = startUp(t, data, follow...)
		}
		time.Sleep(300 * time.Millisecond)
	}
	write(1)
	if err := os.WriteFile(filepath.Join(dir, "bad.jsonl"), []byte("no JSON\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(data, "timelines.jsonl")
	waitFor(t, out, sent)
	r, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || !bytes.Contains(metrics, []byte(`sennit_records_total{source="unknown",what="bad"} 1`)) {
		t.Errorf("the bad line is not counted: %v\n%s", err, metrics)
	}
	if !bytes.Contains(metrics, []byte(`sennit_alerts_total{rule="ran",severity="low"}`)) {
		t.Errorf("no alert is counted\n%s", metrics)
	}
	s.laws(t)
	s.kill(t)
	if !strings.Contains(s.log.String(), "level=WARN msg=alert rule=ran") {
		t.Errorf("no alert is logged\n%s", s.log)
	}
	lines, last := readTimelines(t, out)
	if len(last) != sent {
		t.Errorf("%d timelines of %d requests", len(last), sent)
	}
	for id, tl := range last {
		if len(tl.Alerts) != 1 || tl.Alerts[0].RuleID != "ran" {
			t.Errorf("timeline %s has alerts %+v", id, tl.Alerts)
		}
	}
	slices.Sort(lines)
	if twice := len(lines) - len(slices.Compact(lines)); twice > 0 {
		t.Errorf("%d revisions are written twice", twice)
	}
}

// TestUpTellsUnreadable: a followed file that cannot be read is logged and counted.
func TestUpTellsUnreadable(t *testing.T) {
	t.Parallel() // it waits more than it works

	const unreadable = "/proc/self/mem" // at 0: EIO
	if _, err := os.Stat(unreadable); err != nil {
		t.Skip("SKIPPED: no file that cannot be read: ", err)
	}
	s := startUp(t, t.TempDir(), "--follow", unreadable)
	s.metric(t, `sennit_followed_problems_total{what="read_error"} 2`)
	s.metric(t, `sennit_followed_problems_total{what="long_line"} 0`)
	s.kill(t)
	if n := strings.Count(s.log.String(), "a followed file cannot be read"); n != 1 {
		t.Errorf("told %d times\n%s", n, s.log)
	}
}

// content is what a timeline says, whichever revision it is.
func content(tl *timeline.Timeline) string {
	tl.Revision = 1
	return string(tl.AppendJSON(nil))
}

func TestUpRefuses(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	s := startUp(t, dir)
	other := exec.Command("sennit", "up", "--data", dir, "--otlp-http", "127.0.0.1:0", "--otlp-grpc", "", "--http", "")
	if b, err := other.CombinedOutput(); err == nil || !bytes.Contains(b, []byte("another sennit works there")) {
		t.Errorf("a second one in the folder: %v\n%s", err, b)
	}
	s.kill(t)
	for flag, want := range map[string][]string{
		"needs a token":    {"--otlp-http", "0.0.0.0:0", "set a token"},
		"no such token":    {"--token-file", filepath.Join(dir, "none"), "none"},
		"no such lateness": {"--lateness", "2h", "between 0 and 1h"},
		"open to all":      {"--http", "0.0.0.0:0", "0.0.0.0:0 is not a loopback address: listen on 127.0.0.1, or say that"},
		"open by no host":  {"--http", ":0", "--http-open"},
		"no such host":     {"--http", "127.0.0.1", "missing port"},
		"open profiles":    {"--pprof", "0.0.0.0:0", "profiles show what is in memory"},
	} {
		args := slices.Concat([]string{"up", "--data", t.TempDir(), "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", ""}, want[:2])
		if b, err := exec.Command("sennit", args...).CombinedOutput(); err == nil || !bytes.Contains(b, []byte(want[2])) {
			t.Errorf("%s: %v\n%s", flag, err, b)
		}
	}
}

// startRefused runs a command that must not start, and returns what it says.
func startRefused(t *testing.T, args ...string) string {
	t.Helper()
	b, err := exec.Command("sennit", args...).CombinedOutput()
	if err == nil {
		t.Errorf("sennit %s has started", strings.Join(args, " "))
	}
	return string(b)
}

// TestUpServesProfiles: apart from what others may ask, which can be open.
func TestUpServesProfiles(t *testing.T) {
	t.Parallel() // it waits more than it works
	s := startUp(t, t.TempDir(), "--pprof", "127.0.0.1:0", "--http", "0.0.0.0:0", "--http-open")
	defer s.kill(t)
	get := func(url string) (int, string) {
		t.Helper()
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	if code, body := get("http://" + s.pprof + "/debug/pprof/goroutine?debug=1"); code != http.StatusOK || !strings.Contains(body, "goroutine profile") {
		t.Errorf("profile: %d %.200s", code, body)
	}
	if code, _ := get("http://" + s.http + "/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("profiles at the open address: %d", code)
	}
	if code, _ := get("http://" + s.http + "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
}

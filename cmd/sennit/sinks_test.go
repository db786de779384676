package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is an HTTP server that alerts are posted to.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	got   []delivery
	code  int           // to answer with
	delay time.Duration // before the answer
}

// delivery is what a receiver understood.
type delivery struct {
	id, key, kind, rule string // webhook-id, Idempotency-Key, type, rule of the alert
	revision            uint32
	timeline            string
}

// receive starts a receiver, which refuses what is not signed.
func receive(t *testing.T, l net.Listener) *receiver {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{code: http.StatusNoContent}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // it was killed
		}
		if err := verifier.Verify(body, req.Header); err != nil {
			t.Error(err)
		}
		var e struct {
			Type, Subject string
			Data          struct {
				Unmapped struct {
					Sennit struct {
						RuleID   string `json:"rule_id"`
						Revision uint32 `json:"revision"`
					}
				}
			}
		}
		if err := json.Unmarshal(body, &e); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		a := e.Data.Unmapped.Sennit
		if r.code < 300 {
			r.got = append(r.got, delivery{req.Header.Get("Webhook-Id"), req.Header.Get("Idempotency-Key"), e.Type, a.RuleID, a.Revision, e.Subject})
		}
		code, delay := r.code, r.delay
		r.mu.Unlock()
		time.Sleep(delay)
		w.WriteHeader(code)
	}))
	if l != nil {
		r.Listener.Close()
		r.Listener = l
	}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) set(code int, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.code, r.delay = code, delay
}

// wait waits until so many different alert revisions were delivered that match.
func (r *receiver) wait(t *testing.T, n int, match func(delivery) bool) (all []delivery) {
	t.Helper()
	distinct := map[string]bool{}
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		r.mu.Lock()
		all = slices.DeleteFunc(slices.Clone(r.got), func(d delivery) bool { return !match(d) })
		r.mu.Unlock()
		clear(distinct)
		for _, d := range all {
			distinct[d.id] = true
		}
		if len(distinct) >= n {
			return all
		}
	}
	t.Fatalf("%d of %d alerts were delivered", len(distinct), n)
	return nil
}

const tellRules = `rules:
- {id: ran, title: a tool ran, severity: low, why: to see it, step: step.layer == 'tool'}
- {id: idle, title: no tool was used, severity: high, why: to see it go, request: request.tool_calls == 0}
`

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestUpTells: alerts reach their receivers, signed, each once; a receiver that refuses, or is not there, stops no other and nothing
// else, and has all of it in the end; and a kill loses none.
func TestUpTells(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	data, out := filepath.Join(dir, "data"), filepath.Join(dir, "data", "timelines.jsonl")
	writeFiles(t, dir, map[string]string{"rules/r.yaml": tellRules, "secret": testSecret + "\n"})
	good, picky := receive(t, nil), receive(t, nil)
	picky.set(http.StatusUnprocessableEntity, 0)
	awayAt := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	args := []string{
		"--rules", filepath.Join(dir, "rules"), "--webhook-secret-file", filepath.Join(dir, "secret"),
		"--webhook", good.URL + "/hook?token=hidden#name=good", "--webhook", picky.URL + "#name=picky&min-severity=high", "--webhook", "http://" + awayAt + "#name=away",
	}
	s := startUp(t, data, args...)
	ask := func(args ...string) string {
		t.Helper()
		b, err := exec.Command("sennit", append(append([]string{"sinks"}, args...), "--http", s.http)...).CombinedOutput()
		if err != nil {
			t.Errorf("sinks %v: %v\n%s", args, err, b)
		}
		return string(b)
	}
	send := func(body []byte) {
		t.Helper()
		if !post(s.otlp, body) {
			t.Fatalf("not taken\n%s", s.log)
		}
	}
	rule := func(id string) func(delivery) bool { return func(d delivery) bool { return d.rule == id } }
	sent := 0
	requests := func(n int) {
		for range n {
			send(request(sent))
			sent++
		}
	}

	requests(30)
	began := time.Now()
	all := good.wait(t, 30, rule("ran"))
	t.Logf("30 alerts with one receiver away: %v after the last span", time.Since(began).Round(time.Millisecond))
	for _, d := range all {
		if d.kind != "io.sennit.alert.opened" || d.revision != 1 || d.key != d.id {
			t.Errorf("delivered %+v", d)
		}
	}
	if len(all) != 30 {
		t.Errorf("%d deliveries of 30 alerts", len(all))
	}
	waitFor(t, out, 30)

	// A request without a tool.
	first, rest, ok := bytes.Cut(request(1000), []byte(`"spans":[`))
	root, _, ok2 := bytes.Cut(rest, []byte(`},{"traceId"`))
	if !ok || !ok2 {
		t.Fatal("a request is not what it was")
	}
	send(slices.Concat(first, []byte(`"spans":[`), root, []byte(`}]}]}]}`)))
	opened := good.wait(t, 1, rule("idle"))[0]
	if opened.kind != "io.sennit.alert.opened" {
		t.Errorf("delivered %+v", opened)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(ask("dead", "picky"), "422"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no dead letter is listed")
		}
	}
	if list := ask("list"); !strings.Contains(list, "picky") || !strings.Contains(list, "good") || strings.Contains(list, "hidden") {
		t.Errorf("the sinks are\n%s", list)
	}
	if b, err := exec.Command("sennit", "sinks", "test", "picky", "--http", s.http).CombinedOutput(); err == nil || !bytes.Contains(b, []byte("422")) {
		t.Errorf("a test of a receiver that refuses: %v\n%s", err, b)
	}
	picky.set(http.StatusOK, 0)
	if said := ask("test", "picky"); !strings.Contains(said, "picky took the alert") {
		t.Errorf("a test: %s", said)
	}
	if said := ask("retry", "picky"); said != "1 sent again\n" {
		t.Errorf("retry: %s", said)
	}
	if again := picky.wait(t, 1, rule("idle"))[0]; again.id != opened.id {
		t.Errorf("sent again as %+v, want %+v", again, opened)
	}
	if left := ask("dead", "picky", "-o", "json"); left != "" {
		t.Errorf("still dead:\n%s", left)
	}
	for name, value := range map[string]string{
		`sennit_sink_results_total{sink="picky",what="dead"} `: "1", `sennit_sink_results_total{sink="picky",what="delivered"} `: "1",
		`sennit_sink_backlog{sink="away"} `: "3", // and another digit
	} {
		if m := get(t, "http://"+s.http+"/metrics", nil); !strings.Contains(m, name+value) {
			t.Errorf("metrics lack %s%s:\n%s", name, value, m)
		}
	}
	for _, header := range []http.Header{{}, {"Sennit-Ask": {"1"}, "Host": {"evil.example"}}} {
		if said := get(t, "http://"+s.http+"/sinks", header); !strings.Contains(said, "on this machine only") {
			t.Errorf("asked with %v, it says %s", header, said)
		}
	}

	// Killed between deliveries: those under way come again under the same id.
	good.set(http.StatusOK, 100*time.Millisecond)
	requests(20)
	good.wait(t, 31+5, func(delivery) bool { return true })
	s.kill(t)
	l, err := net.Listen("tcp", awayAt)
	if err != nil {
		t.Fatal(err)
	}
	away := receive(t, l)
	s = startUp(t, data, args...)
	waitFor(t, out, 50)
	const expected = 50 + 1
	all = good.wait(t, expected, func(delivery) bool { return true })
	// One was under way; and the bus, which died too, writes acknowledgements down about
	// every tenth of a second.
	if len(all) > expected+3 {
		t.Errorf("%d deliveries of %d alert revisions, want at most three twice", len(all), expected)
	}
	away.wait(t, expected, func(delivery) bool { return true })
	s.kill(t)
	if !strings.Contains(s.log.String(), "sennit takes OTLP") || strings.Contains(s.log.String(), "hidden") {
		t.Errorf("the log shows a URL's token:\n%s", s.log)
	}
}

func get(t *testing.T, url string, header http.Header) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header, req.Host = header, header.Get("Host")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReplayTells: a replay posts the alerts at its end, and fails if one was not
// taken.
func TestReplayTells(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"rules/r.yaml": tellRules, "secret": testSecret, "spans.jsonl": string(request(1)) + "\n" + string(request(2)) + "\n"})
	r := receive(t, nil)
	replay := func(more ...string) (string, error) {
		cmd := exec.Command("sennit", append([]string{
			"replay", filepath.Join(dir, "spans.jsonl"), "-o", "none", "--rules", filepath.Join(dir, "rules"),
			"--webhook-secret-file", filepath.Join(dir, "secret"),
		}, more...)...)
		b, err := cmd.CombinedOutput()
		return string(b), err
	}
	if said, err := replay("--webhook", r.URL+"#name=r"); err != nil || !strings.Contains(said, "r: 2 delivered, 0 dead, 0 ignored") {
		t.Errorf("%v\n%s", err, said)
	}
	if got := r.wait(t, 2, func(delivery) bool { return true }); len(got) != 2 {
		t.Errorf("%+v", got)
	}
	if said, err := replay("--webhook", r.URL+"#name=r&min-severity=high"); err != nil || !strings.Contains(said, "r: 0 delivered, 0 dead, 2 ignored") {
		t.Errorf("%v\n%s", err, said)
	}
	r.set(http.StatusBadRequest, 0)
	said, err := replay("--webhook", r.URL+"#name=r")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(said, "deliver to r: 2 of 2 results could not be delivered") {
		t.Errorf("%v\n%s", err, said)
	}
	for want, args := range map[string][]string{
		"use https://":             {"--webhook", "http://hooks.example.com"},
		"no option":                {"--webhook", r.URL + "#colour=red"},
		"must be of a-z":           {"--webhook", r.URL + "#name=A"},
		"two receivers":            {"--webhook", r.URL, "--webhook", r.URL},
		"no severity":              {"--webhook", r.URL, "--webhook-min-severity", "awful"},
		"it must be a network":     {"--webhook", r.URL, "--webhook-allow", "10.0.0.1"},
		"no such file":             {"--webhook", r.URL, "--webhook-ca", filepath.Join(dir, "none")},
		"holds no certificate":     {"--webhook", r.URL, "--webhook-ca", filepath.Join(dir, "secret")},
		"--webhook-key":            {"--webhook", r.URL, "--webhook-cert", filepath.Join(dir, "secret")},
		"is not 'Name: value'":     {"--webhook", r.URL, "--webhook-header-file", filepath.Join(dir, "secret")},
		"a secret begins with":     {"--webhook", r.URL, "--webhook-secret-file", filepath.Join(dir, "spans.jsonl")},
		"what follows # is not NA": {"--webhook", r.URL + "#%zz"},
	} {
		said, err := replay(args...)
		if !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !strings.Contains(said, want) {
			t.Errorf("%v: %v, want it to say %q\n%s", args, err, want, said)
		}
	}
}

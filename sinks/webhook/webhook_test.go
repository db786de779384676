package webhook_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/webhook"
)

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	newSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDJbuPPFDgBz0="
)

func sample() *alert.Alert {
	return &alert.Alert{
		ID: "9f2c", RuleID: "agent_metadata", Severity: alert.High, Title: "a tool asked for <credentials>", State: alert.Open, Revision: 1, Time: 1_763_888_400_123_000_000,
		TimelineID: "4bf92f35", StepIDs: []string{"a1", "b2"}, EventIDs: []string{"e1"}, Exact: true, Confidence: 1, Gaps: []string{}, Tags: []string{"attack.t1552.005", "owasp.llm06"},
	}
}

func record(a *alert.Alert) sinks.Record {
	return sinks.Record{Kind: sinks.Alert, ID: a.ID, Revision: a.Revision, Data: a.AppendJSON(nil)}
}

// request is what a receiver was sent.
type request struct {
	header http.Header
	body   []byte
}

// receive starts a receiver that answers as it is told.
func receive(t *testing.T, answer func(n int, w http.ResponseWriter)) (url string, got *[]request) {
	t.Helper()
	got = new([]request)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*got = append(*got, request{r.Header, body})
		answer(len(*got), w)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func open(t *testing.T, c webhook.Config) *webhook.Sink {
	t.Helper()
	s, err := webhook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func secrets(t *testing.T, text string) []webhook.Secret {
	t.Helper()
	list, err := webhook.ParseSecrets(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// What arrives is signed so that the library of Standard Webhooks takes it, with
// either secret; the SDK of CloudEvents reads it; and it fits the schema.
func TestDelivers(t *testing.T) {
	url, got := receive(t, func(int, http.ResponseWriter) {})
	s := open(t, webhook.Config{
		URL: url + "/hook?key=1", Secrets: secrets(t, "# both, while receivers change over\n"+newSecret+"\n\n"+oldSecret+"\n"), MinSeverity: alert.Medium,
		Header: http.Header{"x-team": {"security"}},
	})
	first, second, third, minor := sample(), sample(), sample(), sample()
	second.Revision, second.Exact, second.Confidence = 2, false, 0.962
	third.Revision, third.State = 3, alert.Withdrawn
	minor.Severity = alert.Low
	err := s.Write(t.Context(), []sinks.Record{record(first), record(second), {Kind: sinks.Timeline, Data: []byte("{}")}, record(minor), record(third)})
	if err != nil || len(*got) != 3 {
		t.Fatalf("%d requests, want 3: %v", len(*got), err)
	}
	for i, r := range *got {
		id := fmt.Sprint("9f2c-", i+1)
		for name, want := range map[string]string{
			"Webhook-Id": id, "Idempotency-Key": id, "Content-Type": "application/cloudevents+json", "X-Team": "security",
		} {
			if r.header.Get(name) != want {
				t.Errorf("request %d has %s %q, want %q", i, name, r.header.Get(name), want)
			}
		}
		for _, secret := range []string{oldSecret, newSecret} {
			verifier, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify(r.body, r.header); err != nil {
				t.Errorf("request %d is refused with %.12s…: %v", i, secret, err)
			}
			if err := verifier.Verify(append(r.body[:len(r.body):len(r.body)], ' '), r.header); err == nil {
				t.Errorf("request %d is taken though it was changed", i)
			}
		}
		var ce event.Event
		if err := json.Unmarshal(r.body, &ce); err != nil {
			t.Fatal(err)
		}
		if err := ce.Validate(); err != nil || ce.ID() != id || ce.Subject() != "4bf92f35" || ce.Time().UnixMilli() != 1_763_888_400_123 {
			t.Errorf("request %d is the CloudEvent %v: %v", i, ce, err)
		}
		if err := fits(t, r.body); err != nil {
			t.Errorf("request %d: %v\n%s", i, err, r.body)
		}
	}
	var data struct {
		Type string
		Data struct {
			Activity   int `json:"activity_id"`
			Type       int `json:"type_uid"`
			Severity   int `json:"severity_id"`
			Status     int `json:"status_id"`
			IsAlert    bool
			Confidence int `json:"confidence_id"`
			Score      int `json:"confidence_score"`
			Unmapped   struct{ Sennit alert.Alert }
		}
	}
	type lifecycle struct {
		Type                                              string
		Activity, Class, Severity, Status, Certain, Score int
	}
	var life []lifecycle
	for i, a := range []*alert.Alert{first, second, third} {
		if err := json.Unmarshal((*got)[i].body, &data); err != nil {
			t.Fatal(err)
		}
		d := data.Data
		life = append(life, lifecycle{data.Type, d.Activity, d.Type, d.Severity, d.Status, d.Confidence, d.Score})
		if diff := cmp.Diff(*a, d.Unmapped.Sennit); diff != "" {
			t.Errorf("the alert itself (-sent +got):\n%s", diff)
		}
	}
	want := []lifecycle{
		{"io.sennit.alert.opened", 1, 200401, 4, 1, 3, 100},
		{"io.sennit.alert.updated", 2, 200402, 4, 1, 2, 96},
		{"io.sennit.alert.withdrawn", 3, 200403, 4, 4, 3, 100},
	}
	if diff := cmp.Diff(want, life); diff != "" {
		t.Errorf("the finding's life (-want +got):\n%s", diff)
	}
}

// fits reports how a body does not fit the schema.
func fits(t *testing.T, body []byte) error {
	t.Helper()
	read := func(b []byte) any {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("body.schema.json", read(webhook.Schema())); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("body.schema.json").Validate(read(body))
}

// What a receiver answers decides whether an alert is sent again, and when.
func TestAnswers(t *testing.T) {
	f := func(code int, header string, permanent bool, after time.Duration) {
		t.Helper()
		url, _ := receive(t, func(_ int, w http.ResponseWriter) {
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		})
		var failed sinks.Failures
		err := open(t, webhook.Config{URL: url}).Write(t.Context(), []sinks.Record{record(sample())})
		if !errors.As(err, &failed) || len(failed) != 1 {
			t.Fatalf("%d: %v", code, err)
		}
		if got := failed[0]; got.Permanent != permanent || got.After > after || got.After < after-3*time.Second {
			t.Errorf("%d: %+v, want permanent %v, after %v", code, got, permanent, after)
		}
	}
	for _, code := range []int{301, 302, 307, 308, 400, 401, 403, 404, 410, 413, 422} {
		f(code, "", true, 0)
	}
	for _, code := range []int{408, 425, 429, 500, 502, 503, 504} {
		f(code, "", false, 0)
	}
	f(429, "7", false, 7*time.Second)
	f(503, time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat), false, 30*time.Second)
	f(503, "99999999", false, time.Hour)
	f(503, "soon", false, 0)
}

// A receiver that asks to wait is not called for other alerts either; one that fails
// several times is left alone for a while; one that is gone for good.
func TestLeavesAlone(t *testing.T) {
	batch := make([]sinks.Record, 6)
	for i := range batch {
		a := sample()
		a.ID = fmt.Sprint("id", i)
		batch[i] = record(a)
	}
	f := func(name string, code int, header string, called, failures int, permanent bool) {
		t.Helper()
		url, got := receive(t, func(n int, w http.ResponseWriter) {
			if n == 1 { // the first is well
				return
			}
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.WriteHeader(code)
		})
		s := open(t, webhook.Config{URL: url})
		var failed sinks.Failures
		if err := s.Write(t.Context(), batch); !errors.As(err, &failed) || len(failed) != failures || len(*got) != called {
			t.Errorf("%s: called %d times, want %d; %d failed, want %d: %v", name, len(*got), called, len(failed), failures, err)
		}
		for i, one := range failed {
			if one.Index != i+1 || one.Permanent != permanent || header != "" && one.After < 8*time.Second || code == 500 && i > 2 && one.After == 0 {
				t.Errorf("%s: failure %d is %+v", name, i, one)
			}
		}
	}
	f("asks to wait", 429, "9", 2, 5, false)
	f("fails", 500, "", 4, 5, false)
	f("gone", 410, "", 2, 5, true)
	f("refuses each", 422, "", 6, 5, true)
}

// A receiver that comes back is called again, and the pauses begin anew.
func TestComesBack(t *testing.T) {
	url, got := receive(t, func(n int, w http.ResponseWriter) {
		if n <= 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	s := open(t, webhook.Config{URL: url})
	write := func() time.Duration {
		var failed sinks.Failures
		if errors.As(s.Write(t.Context(), []sinks.Record{record(sample())}), &failed) {
			return failed[0].After
		}
		return -1
	}
	for range 3 {
		write()
	}
	wait := write()
	if len(*got) != 3 || wait <= 0 || wait > time.Second {
		t.Fatalf("called %d times, left alone for %v", len(*got), wait)
	}
	time.Sleep(wait)
	for range 2 {
		if wait := write(); wait != -1 {
			t.Errorf("when it is back, it is left alone for %v", wait)
		}
	}
	if len(*got) != 5 {
		t.Errorf("called %d times, want 5", len(*got))
	}
}

func TestHangs(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	var failed sinks.Failures
	err := open(t, webhook.Config{URL: s.URL, Timeout: 50 * time.Millisecond}).Write(t.Context(), []sinks.Record{record(sample())})
	if !errors.As(err, &failed) || failed[0].Permanent || strings.Contains(err.Error(), s.URL) {
		t.Errorf("%v, want a failure that passes and does not show the URL", err)
	}
}

// A name that leads to the metadata server, into the cluster or to this machine is
// not followed, unless it is allowed.
func TestRefusesAddresses(t *testing.T) {
	write := func(c webhook.Config) sinks.Failure {
		t.Helper()
		c.Timeout = 300 * time.Millisecond
		var failed sinks.Failures
		if err := open(t, c).Write(t.Context(), []sinks.Record{record(sample())}); !errors.As(err, &failed) {
			t.Fatalf("%s: %v", c.URL, err)
		}
		return failed[0]
	}
	for _, host := range []string{
		"169.254.169.254", "10.0.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "[fd00::1]", "[fe80::1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
	} {
		if f := write(webhook.Config{URL: "https://" + host}); !f.Permanent || !strings.Contains(f.Err.Error(), "prohibited") {
			t.Errorf("%s: %+v, want it refused", host, f)
		}
	}
	resolve(t, netip.MustParseAddr("127.0.0.1"))
	url, got := receive(t, func(int, http.ResponseWriter) {})
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	if f := write(webhook.Config{URL: "https://hooks.example.com:" + port}); !f.Permanent || !strings.Contains(f.Err.Error(), "network that is allowed") {
		t.Errorf("a name that leads to loopback: %+v, want it refused", f)
	}
	other := []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("fd00::/8")}
	for _, to := range []string{"http://hooks.example.com:" + port, "http://198.41.0.4"} { // in the clear, and not in the network
		if f := write(webhook.Config{URL: to, Allow: other}); !f.Permanent || !strings.Contains(f.Err.Error(), "prohibited") {
			t.Errorf("%s: %+v, want it refused", to, f)
		}
	}
	if len(*got) > 0 {
		t.Errorf("%d requests came through", len(*got))
	}
	if err := open(t, webhook.Config{URL: "http://hooks.example.com:" + port, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}).
		Write(t.Context(), []sinks.Record{record(sample())}); err != nil || len(*got) != 1 {
		t.Errorf("a network that is allowed: %v", err)
	}
}

// resolve answers every question after a name with one address.
func resolve(t *testing.T, to netip.Addr) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AResource{A: to.As4()}}}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = server.WriteTo(out, from) // else it is asked again
			}
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = before; server.Close() })
}

func TestNewRefuses(t *testing.T) {
	f := func(want string, c webhook.Config) {
		t.Helper()
		if _, err := webhook.New(c); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "token") {
			t.Errorf("%v, want it to say %q", err, want)
		}
	}
	f("not a URL", webhook.Config{URL: "https://h\x00/token"})
	f("must begin with https://", webhook.Config{URL: "hooks.example.com/token"})
	f("must begin with https://", webhook.Config{URL: "ftp://hooks.example.com/token"})
	f("use https://", webhook.Config{URL: "http://hooks.example.com/token"})
	f("give a header", webhook.Config{URL: "https://me:token@hooks.example.com"})
	f("cannot be chosen", webhook.Config{URL: "https://h", Header: http.Header{"webhook-id": {"1"}}})
	f("is no header", webhook.Config{URL: "https://h", Header: http.Header{"x": {"a\r\nb: c"}}})
	f("no format", webhook.Config{URL: "https://h", Format: "telex"})
	f("needs the key", webhook.Config{URL: "https://h", Format: webhook.PagerDuty})
	f("no severity", webhook.Config{URL: "https://h", MinSeverity: "awful"})
}

func TestParseSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "no secret",
		"# none\n":               "no secret",
		"hunter2":                "begins with whsec_",
		oldSecret + "\nwhsec_!!": "line 2",
		"whsec_c2hvcnQ=":         "openssl rand",
	} {
		if _, err := webhook.ParseSecrets(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v", secrets(t, oldSecret), webhook.Config{Secrets: secrets(t, oldSecret)}, secrets(t, oldSecret)); strings.Contains(shown, "MfKQ") || strings.Contains(shown, "0x31") {
		t.Errorf("a secret shows itself: %s", shown)
	}
}

// A certificate of one's own is shown to a receiver that asks for one, and its
// authority trusted.
func TestMutualTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 {
			t.Error("no certificate was shown")
		}
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if err := open(t, webhook.Config{URL: s.URL}).Write(t.Context(), []sinks.Record{record(sample())}); err == nil {
		t.Error("a receiver of an unknown authority was trusted")
	}
	c := webhook.Config{URL: s.URL, TLS: &tls.Config{RootCAs: roots, Certificates: slices.Clone(s.TLS.Certificates)}}
	if err := open(t, c).Write(t.Context(), []sinks.Record{record(sample())}); err != nil {
		t.Error(err)
	}
}

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/sinks"
)

// Config says where alerts go, and how.
type Config struct {
	URL         string
	Format      Format
	Key         string         // of an integration, where the format has one
	Secrets     []Secret       // requests are signed with each; none for unsigned ones
	MinSeverity alert.Severity // less severe alerts are not sent; "" for all
	Header      http.Header    // further headers of each request
	Allow       []netip.Prefix // networks that are not public in which receivers may be
	TLS         *tls.Config    // whom to trust, and the certificate to show; nil for the system's
	Timeout     time.Duration  // of a request, default 15 s
	Pause       time.Duration  // after some failures in a row, default 1 s; then up to 60 times as long
	Log         *slog.Logger   // of what nobody must miss; may be nil
}

// Sink posts alerts to one receiver, one after another.
//
// Guarantee: each revision of an alert is taken by the receiver (it answered 2xx) at
// least once, with the same webhook-id whenever it is sent again.
type Sink struct {
	config Config
	url    *url.URL
	client *http.Client
	inRow  int       // failures
	until  time.Time // it is left alone
	why    error     // it is left alone
	gone   bool      // it answered 410
}

// New checks a configuration. The receiver is not called.
func New(c Config) (*Sink, error) {
	u, err := parseAddress(c.URL, c.Allow)
	if err != nil {
		return nil, fmt.Errorf("open webhook: %w", err)
	}
	for name, values := range c.Header {
		ours := strings.HasPrefix(strings.ToLower(name), "webhook-")
		for _, known := range []string{"Content-Type", "Content-Length", "Idempotency-Key", "Host", "User-Agent"} {
			ours = ours || strings.EqualFold(name, known)
		}
		if ours {
			return nil, fmt.Errorf("open webhook: the header %s cannot be chosen", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("open webhook: %q is no header", name)
			}
		}
	}
	if err := c.checkFormat(); err != nil {
		return nil, fmt.Errorf("open webhook: %w", err)
	}
	if c.MinSeverity != "" && c.MinSeverity.Rank() < 0 {
		return nil, fmt.Errorf("open webhook: there is no severity %q", c.MinSeverity)
	}
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	if c.Pause == 0 {
		c.Pause = time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Sink{config: c, url: u, client: newClient(u, c.Allow, c.TLS, c.Timeout)}, nil
}

// Takes reports whether a record is for this receiver: an alert that is severe
// enough. One that cannot be read is, so that Write says what is wrong.
func (s *Sink) Takes(r *sinks.Record) bool {
	if r.Kind != sinks.Alert {
		return false
	}
	var a struct {
		Severity alert.Severity `json:"severity"`
	}
	if err := json.Unmarshal(r.Data, &a); err != nil || s.config.MinSeverity == "" {
		return true
	}
	return a.Severity.Rank() < 0 || a.Severity.Rank() >= s.config.MinSeverity.Rank()
}

// A receiver that failed so often one after another is left alone for a while, the
// longer the more often, and then tried with one alert.
const (
	patience     = 3
	pausesLonger = 60
)

// Write posts each record. What fails is in the Failures it returns.
func (s *Sink) Write(ctx context.Context, batch []sinks.Record) error {
	var failed sinks.Failures
	for i := range batch {
		if f := s.write(ctx, &batch[i]); f != nil {
			f.Index = i
			failed = append(failed, *f)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return failed
}

func (s *Sink) write(ctx context.Context, r *sinks.Record) *sinks.Failure {
	if !s.Takes(r) {
		return nil
	}
	wait := time.Until(s.until)
	switch {
	case s.gone:
		return &sinks.Failure{Err: ErrGone, Permanent: true}
	case wait > 0:
		return &sinks.Failure{Err: fmt.Errorf("not tried again yet: %w", s.why), After: wait}
	}
	a := new(alert.Alert)
	if err := json.Unmarshal(r.Data, a); err != nil {
		return &sinks.Failure{Err: fmt.Errorf("read alert: %w", err), Permanent: true}
	}
	body, contentType, err := s.config.body(a)
	if err != nil {
		return &sinks.Failure{Err: fmt.Errorf("write the body: %w", err), Permanent: true}
	}
	f := s.post(ctx, messageID(a), contentType, body)
	if f == nil || f.Permanent {
		s.inRow = 0
	} else {
		s.pause(f)
	}
	if f != nil && errors.Is(f.Err, ErrGone) {
		s.gone = true
		s.config.Log.Error("a webhook is disabled", "host", s.url.Host, "error", ErrGone)
	}
	return f
}

// pause leaves the receiver alone after a failure, if it asked for that or fails and
// fails.
func (s *Sink) pause(f *sinks.Failure) {
	s.inRow++
	wait := f.After
	if n := s.inRow - patience; n >= 0 {
		wait = max(wait, s.config.Pause*time.Duration(min(1<<min(n, 10), pausesLonger)))
	}
	if f.After = wait; wait > 0 {
		s.until, s.why = time.Now().Add(wait), f.Err
	}
}

// post makes one request; nil says that the receiver took it.
func (s *Sink) post(ctx context.Context, id, contentType string, body []byte) *sinks.Failure {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return &sinks.Failure{Err: explain(err), Permanent: true}
	}
	for name, values := range s.config.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	now := time.Now()
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "sennit")
	req.Header.Set("Idempotency-Key", id)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if len(s.config.Secrets) > 0 {
		req.Header.Set("Webhook-Signature", signatures(s.config.Secrets, id, now, body))
	}
	res, err := s.client.Do(req)
	if err != nil {
		return &sinks.Failure{Err: explain(err), Permanent: refused(err)}
	}
	defer res.Body.Close()
	f := judge(res, now)
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	return f
}

// Close gives back the connections.
func (s *Sink) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
	"github.com/sennit-io/sennit/sinks/webhook"
)

// webhookFlags say to whom alerts are posted.
type webhookFlags struct {
	urls, allow                             []string
	minSeverity                             string
	secretFile, headerFile, ca, cert, keyOf string
}

func (f *webhookFlags) group() flagGroup {
	g := newFlagGroup("Webhooks (docs/webhooks.md)")
	g.set.StringArrayVar(&f.urls, "webhook", nil, "post alerts to `URL`; may be given several times; behind # is what is for it alone: name=NAME, min-severity=SEVERITY, format=slack, pagerduty (with key=KEY), alertmanager or falcosidekick, with & between")
	g.set.StringVar(&f.secretFile, "webhook-secret-file", "", "sign with the secrets in `FILE` (whsec_…), one a line")
	g.set.StringVar(&f.minSeverity, "webhook-min-severity", "", "post alerts of `SEVERITY` or worse: "+detect.SeverityNames())
	g.set.StringVar(&f.headerFile, "webhook-header-file", "", "send the headers in `FILE`, one a line (Name: value)")
	g.set.StringArrayVar(&f.allow, "webhook-allow", nil, "receivers may be in the network `CIDR`, though it is not public, and there without TLS; may be given several times")
	g.set.StringVar(&f.ca, "webhook-ca", "", "trust the certificates in `FILE`")
	g.set.StringVar(&f.cert, "webhook-cert", "", "show the certificate in `FILE`")
	g.set.StringVar(&f.keyOf, "webhook-key", "", "whose key is in `FILE`")
	return g
}

// open makes a sink of each receiver. What is wrong with the flags is wrong use.
func (f *webhookFlags) open(log *slog.Logger) ([]fanout.Config, error) {
	if len(f.urls) == 0 {
		return nil, nil
	}
	base := webhook.Config{MinSeverity: alert.Severity(f.minSeverity), Log: log}
	if err := f.read(&base); err != nil {
		return nil, &usageError{err}
	}
	var list []fanout.Config
	names := map[string]bool{}
	for _, text := range f.urls {
		c := base
		name, err := ofURL(text, &c)
		if err != nil {
			return nil, usagef("--webhook: %w", err)
		}
		if names[name] {
			return nil, usagef("--webhook: two receivers have the name %s", name)
		}
		names[name] = true
		s, err := webhook.New(c)
		if err != nil {
			return nil, usagef("--webhook %s: %w", name, err)
		}
		// One at a time, so that no more than one is posted again after a crash.
		list = append(list, fanout.Config{Name: name, Takes: []sinks.Kind{sinks.Alert}, Wants: s.Takes, Sink: s, BatchCount: 1})
	}
	return list, nil
}

// ofURL reads a receiver: its URL, which is not shown, as it may hold a token, and
// behind # what is for it alone.
func ofURL(text string, c *webhook.Config) (name string, err error) {
	var options string
	c.URL, options, _ = strings.Cut(text, "#")
	values, err := url.ParseQuery(options)
	if err != nil {
		return "", fmt.Errorf("what follows # is not NAME=VALUE&…: %w", err)
	}
	for option := range values {
		v := values.Get(option)
		switch option {
		case "name":
			if !sinkName.MatchString(v) {
				return "", fmt.Errorf("the name %q must be of a-z, 0-9 and -", v)
			}
			name = v
		case "min-severity":
			c.MinSeverity = alert.Severity(v)
		case "format":
			c.Format = webhook.Format(v)
		case "key":
			c.Key = v
		default:
			return "", fmt.Errorf("there is no option %q", option)
		}
	}
	if name == "" { // the same at each start, for its place in the stream goes by it
		host := "unknown"
		if u, err := url.Parse(c.URL); err == nil && u.Host != "" {
			host = strings.Trim(notOfNames.ReplaceAllString(strings.ToLower(u.Host), "-"), "-")
		}
		sum := sha256.Sum256([]byte(c.URL))
		name = host + "-" + hex.EncodeToString(sum[:4])
	}
	return name, nil
}

var (
	sinkName   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	notOfNames = regexp.MustCompile(`[^a-z0-9]+`)
)

// read reads the files and networks that all receivers share.
func (f *webhookFlags) read(c *webhook.Config) error {
	if f.secretFile != "" {
		b, err := os.ReadFile(f.secretFile)
		if err != nil {
			return err
		}
		if c.Secrets, err = webhook.ParseSecrets(string(b)); err != nil {
			return fmt.Errorf("%s: %w", f.secretFile, err)
		}
	}
	if f.headerFile != "" {
		var err error
		if c.Header, err = readHeaders(f.headerFile); err != nil {
			return err
		}
	}
	for _, text := range f.allow {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("--webhook-allow %q: it must be a network as 10.96.0.0/12", text)
		}
		c.Allow = append(c.Allow, p.Masked())
	}
	var err error
	if c.TLS, err = clientTLS(f.ca, f.cert, f.keyOf); err != nil {
		return fmt.Errorf("--webhook-ca, --webhook-cert and --webhook-key: %w", err)
	}
	return nil
}

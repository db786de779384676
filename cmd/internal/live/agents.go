package live

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"google.golang.org/grpc/credentials"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/hubble/observer"
	"github.com/sennit-io/sennit/ingest/rpc"
	"github.com/sennit-io/sennit/ingest/tetragon/sensors"
	"github.com/sennit-io/sennit/schemas/event"
)

// AgentOptions say where an agent answers over gRPC, and how it is known. With a
// file of certificates or a name it is spoken to in TLS.
type AgentOptions struct {
	Address       string // host:port or unix:///path, "" for not asking
	CA, Cert, Key string // files: whom to trust ("" for the system's), and who asks
	Name          string // in the agent's certificate, "" for that of the address
}

func (a *AgentOptions) credentials() (credentials.TransportCredentials, error) {
	if a.CA == "" && a.Cert == "" && a.Name == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.Name}
	if a.CA != "" {
		var err error
		if cfg.RootCAs, err = authorities(a.CA); err != nil {
			return nil, err
		}
	}
	if a.Cert != "" {
		pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
		if err != nil {
			return nil, fmt.Errorf("read the certificate to show: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(cfg), nil
}

// openAgents prepares the streams of agents; they are connected to later.
func (i *intake) openAgents() error {
	policy := i.options.OTLP.Redact
	for _, one := range []struct {
		options AgentOptions
		feed    rpc.Feed
	}{
		{i.options.Hubble, observer.Feed(policy)},
		{i.options.Tetragon, sensors.Feed(policy)},
	} {
		if one.options.Address == "" {
			continue
		}
		creds, err := one.options.credentials()
		if err != nil {
			return err
		}
		report := i.report(one.feed.Source, "address", one.options.Address)
		s, err := rpc.New(one.feed, rpc.Config{
			Target: one.options.Address, TLS: creds, Position: filepath.Join(i.service.Dir, one.feed.Source.String()+".json"),
			Connected: report.connected, Records: report.records,
		})
		if err != nil {
			return err
		}
		i.agents = append(i.agents, s)
	}
	return nil
}

// report tells and counts what a stream says of itself.
type report struct {
	source  event.Source
	metrics *Metrics
	log     *slog.Logger
	told    sync.Once // of a record without an event
}

func (i *intake) report(source event.Source, where ...any) *report {
	i.metrics.stream(source, false)
	return &report{source: source, metrics: i.metrics, log: i.service.Log.With("source", source).With(where...)}
}

func (r *report) connected(err error) {
	r.metrics.stream(r.source, err == nil)
	if err != nil {
		r.log.Warn("the source is away", "error", err)
		return
	}
	r.log.Info("the source is followed")
}

func (r *report) records(t ingest.Tally, err error) {
	r.metrics.lines(r.source, t)
	if err != nil {
		r.told.Do(func() { r.log.Warn("a record gave no event; others are only counted", "error", err) })
	}
}

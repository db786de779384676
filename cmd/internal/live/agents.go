package live

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"sync"

	"google.golang.org/grpc/credentials"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/hubble/observer"
	"github.com/sennit-io/sennit/ingest/rpc"
	"github.com/sennit-io/sennit/ingest/tetragon/sensors"
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
		source, log := one.feed.Source, i.service.Log.With("source", one.feed.Source, "address", one.options.Address)
		var told sync.Once
		i.metrics.stream(source, false)
		s, err := rpc.New(one.feed, rpc.Config{
			Target: one.options.Address, TLS: creds, Position: filepath.Join(i.service.Dir, source.String()+".json"),
			Connected: func(err error) {
				i.metrics.stream(source, err == nil)
				if err != nil {
					log.Warn("the agent is away", "error", err)
					return
				}
				log.Info("the agent is followed")
			},
			Records: func(t ingest.Tally, err error) {
				i.metrics.lines(source, t)
				if err != nil {
					told.Do(func() { log.Warn("a record gave no event; others are only counted", "error", err) })
				}
			},
		})
		if err != nil {
			return err
		}
		i.agents = append(i.agents, s)
	}
	return nil
}

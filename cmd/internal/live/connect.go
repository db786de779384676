package live

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/cmd/internal/config"
	"github.com/sennit-io/sennit/cmd/internal/natsauth"
	"github.com/sennit-io/sennit/ingest/bus"
)

// BusOptions say where the bus is and who asks.
type BusOptions struct {
	URL   string // nats://host:4222, tls://host:4222; several with commas between
	Creds string // file of a user's JWT and seed, "" for none
	NKey  string // file of a user's seed, "" for none
	CA    string // file of the certificates to trust, "" for the system's
	Cert  string // file of the client's certificate, "" for none
	Key   string // file of its key
	Token string
}

// options are how to connect. One who is refused later asks again and again: whoever
// keeps the users of the bus may have made a mistake, and mends it.
func (b BusOptions) options(log *slog.Logger, h *busHealth) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name("sennit"), nats.MaxReconnects(-1), nats.ReconnectJitter(100*time.Millisecond, time.Second), nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Warn("the bus is away", "error", err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("the bus is back", "server", nc.ConnectedUrl()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) || refusedUser(err) {
				log.Error("the bus refuses: its user may not, see 'sennit nats-config'", "error", err)
				h.refuse(err)
				return
			}
			log.Warn("the bus reports an error", "error", err)
		}),
	}
	if b.Creds != "" {
		opts = append(opts, nats.UserCredentials(b.Creds))
	}
	if b.NKey != "" {
		o, err := nats.NkeyOptionFromSeed(b.NKey)
		if err != nil {
			return nil, fmt.Errorf("read the bus user's seed: %w", err)
		}
		opts = append(opts, o)
	}
	if file := b.NKey + b.Creds; file != "" { // one of them
		prefix, err := inboxOf(file)
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.CustomInboxPrefix(prefix))
	}
	if b.Cert != "" {
		opts = append(opts, nats.ClientCert(b.Cert, b.Key))
	}
	if b.CA != "" {
		opts = append(opts, nats.RootCAs(b.CA))
	}
	if b.Token != "" {
		opts = append(opts, nats.Token(b.Token))
	}
	return opts, nil
}

// refusedUser reports whether the server does not know a user, or no more.
func refusedUser(err error) bool {
	for _, one := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// dial connects now or as soon as the bus is there and lets the user in. Files that
// cannot be read are errors.
func (b BusOptions) dial(log *slog.Logger, h *busHealth) (*nats.Conn, jetstream.JetStream, error) {
	opts, err := b.options(log, h)
	if err != nil {
		return nil, nil, err
	}
	nc, err := nats.Connect(b.URL, append(opts, nats.RetryOnFailedConnect(true))...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the bus at %s: %w", b.shown(), err)
	}
	h.connected(nc)
	if err := h.check(); err != nil {
		log.Warn("events are kept here until the bus takes them", "url", b.shown(), "error", err)
	}
	return streams(nc)
}

// streams is JetStream over a connection, which it closes if there is none.
func streams(nc *nats.Conn) (*nats.Conn, jetstream.JetStream, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return nc, js, nil
}

// connect waits for the bus until ctx ends. Credentials that are refused, and
// files that cannot be read, are errors at once.
func (b BusOptions) connect(ctx context.Context, log *slog.Logger, h *busHealth) (*nats.Conn, jetstream.JetStream, error) {
	opts, err := b.options(log, h)
	if err != nil {
		return nil, nil, err
	}
	for told := false; ; {
		nc, err := nats.Connect(b.URL, opts...)
		if err == nil {
			h.connected(nc)
			return streams(nc)
		}
		var untrusted *tls.CertificateVerificationError
		if errors.Is(err, nats.ErrAuthorization) || errors.As(err, &untrusted) || !transient(err) {
			return nil, nil, fmt.Errorf("connect to the bus at %s: %w", b.shown(), err)
		}
		if !told {
			told = true
			log.Warn("waiting for the bus", "url", b.shown(), "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// shown is where the bus is, without passwords.
func (b BusOptions) shown() string { return config.HidePasswords(b.URL) }

// inboxOf is where the user whose seed a file holds takes answers.
func inboxOf(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the bus user's seed: %w", err)
	}
	key, err := natsauth.PublicKey(data)
	if err != nil {
		return "", fmt.Errorf("read the bus user's seed in %s: %w", file, err)
	}
	return bus.InboxPrefix(key), nil
}

// transient reports whether waiting may mend a failed connection.
func transient(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.As(err, &timeout)
}

// setup makes and checks the streams, waiting for a bus that is not ready.
func (b BusOptions) setup(ctx context.Context, js jetstream.JetStream, log *slog.Logger) error {
	for {
		err := bus.Setup(ctx, js, limits)
		if err == nil || errors.Is(err, bus.ErrStream) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		log.Warn("the bus is not ready", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

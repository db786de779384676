// Package bustest runs a bus for tests: a real server with a file store.
package bustest

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/embed"
)

// Limits are those of the streams that Start makes.
var Limits = bus.Limits{MaxBytes: 1 << 30, MaxAge: time.Hour}

// Start runs a bus within the test, with its streams, until the test ends.
func Start(t testing.TB) jetstream.JetStream {
	t.Helper()
	_, js := Serve(t, embed.Options{Dir: t.TempDir()})
	return js
}

// Serve is Start for a server of one's own options.
func Serve(t testing.TB, o embed.Options) (*embed.Server, jetstream.JetStream) {
	t.Helper()
	s, err := embed.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Setup(t.Context(), js, Limits); err != nil {
		t.Fatal(err)
	}
	return s, js
}

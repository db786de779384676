// Package embed runs a NATS server with JetStream inside the program: the bus of
// a laptop, a single machine or a test.
package embed

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Options of a server.
type Options struct {
	Dir string // of its files
	// Host and Port are where nodes reach it; without a host nothing listens,
	// and Connect stays within the program. Port -1 takes any that is free.
	Host string
	Port int
	// Token is what clients must show, "" for none.
	Token string
}

// Server is a running server.
type Server struct {
	s     *server.Server
	token string
}

// Start starts a server and waits until it takes connections. It writes every
// message to the disk before it acknowledges it.
func Start(o Options) (*Server, error) {
	opts := &server.Options{
		ServerName: "sennit", JetStream: true, StoreDir: o.Dir, SyncAlways: true, MaxPayload: 2 << 20,
		Host: o.Host, Port: o.Port, DontListen: o.Host == "", NoSigs: true, NoLog: true, Authorization: o.Token,
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start the bus: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		s.Shutdown()
		return nil, errors.New("start the bus: it does not take connections: is its port or its folder in use?")
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		return nil, fmt.Errorf("start the bus: JetStream does not start in %s: is there space, and may it be written?", o.Dir)
	}
	return &Server{s, o.Token}, nil
}

// Connect connects within the program.
func (s *Server) Connect() (*nats.Conn, error) {
	opts := []nats.Option{nats.InProcessServer(s.s), nats.MaxReconnects(-1)}
	if s.token != "" {
		opts = append(opts, nats.Token(s.token))
	}
	nc, err := nats.Connect("", opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return nc, nil
}

// URL is where nodes reach the server, "" if it does not listen.
func (s *Server) URL() string {
	if a := s.s.Addr(); a != nil {
		return "nats://" + a.String()
	}
	return ""
}

// Port is where the server listens, 0 if it does not.
func (s *Server) Port() int {
	if a, ok := s.s.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}

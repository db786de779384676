// Package rpctest serves recorded records as Hubble's and Tetragon's agents do,
// with the generated service types, for tests of what follows them.
package rpctest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// ring holds the last records, as Hubble's does, and wakes who waits for more.
type ring[T any] struct {
	mu     sync.Mutex
	kept   []T
	next   int // number of the next record; kept ends before it
	most   int
	change chan struct{}
}

func (r *ring[T]) add(m T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, m)
	r.next++
	if drop := len(r.kept) - r.most; drop > 0 {
		r.kept = r.kept[drop:]
	}
	close(r.change)
	r.change = make(chan struct{})
}

// from returns the records from a number on, the number after them, and what is
// closed when there is one more.
func (r *ring[T]) from(n int) ([]T, int, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.next - len(r.kept)
	return append([]T(nil), r.kept[min(len(r.kept), max(0, n-first)):]...), r.next, r.change
}

// Agent is a server that can be stopped and started again at its address.
type Agent struct {
	Target string

	network, address string
	creds            credentials.TransportCredentials
	register         func(*grpc.Server)
	server           *grpc.Server

	mu      sync.Mutex
	streams int
}

// Streams is how many streams were begun.
func (a *Agent) Streams() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.streams
}

func (a *Agent) began() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams++
}

// Start listens, on the address of before if there was one.
func (a *Agent) Start(t testing.TB) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), a.network, a.address)
	for deadline := time.Now().Add(5 * time.Second); err != nil && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		l, err = lc.Listen(t.Context(), a.network, a.address)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.address = l.Addr().String()
	if a.Target = a.address; a.network == "unix" {
		a.Target = "unix://" + a.address
	}
	a.server = grpc.NewServer(grpc.Creds(a.creds))
	a.register(a.server)
	go a.server.Serve(l) //nolint:errcheck // ends with Stop
	t.Cleanup(a.Stop)
}

// Stop drops all connections.
func (a *Agent) Stop() { a.server.Stop() }

// Hubble is an agent that keeps the last flows.
type Hubble struct {
	Agent
	observer.UnimplementedObserverServer
	flows *ring[*observer.GetFlowsResponse]
}

// NewHubble returns one that keeps so many flows. With an address of a file it
// listens on a unix socket, else on loopback; creds may be nil.
func NewHubble(t testing.TB, socket string, creds credentials.TransportCredentials, keep int) *Hubble {
	h := &Hubble{flows: &ring[*observer.GetFlowsResponse]{most: keep, change: make(chan struct{})}}
	h.listenAt(socket, creds, func(s *grpc.Server) { observer.RegisterObserverServer(s, h) })
	h.Start(t)
	return h
}

func (a *Agent) listenAt(socket string, creds credentials.TransportCredentials, register func(*grpc.Server)) {
	a.network, a.address, a.creds, a.register = "tcp", "127.0.0.1:0", creds, register
	if socket != "" {
		a.network, a.address = "unix", socket
	}
	if creds == nil {
		a.creds = insecure.NewCredentials()
	}
}

// Add is a new record.
func (h *Hubble) Add(m *observer.GetFlowsResponse) { h.flows.add(m) }

// Forget empties the ring, as a restart of the agent does.
func (h *Hubble) Forget() {
	h.flows.mu.Lock()
	defer h.flows.mu.Unlock()
	h.flows.kept = nil
}

// GetFlows answers as Hubble's ring does.
func (h *Hubble) GetFlows(req *observer.GetFlowsRequest, s grpc.ServerStreamingServer[observer.GetFlowsResponse]) error {
	list, next, change := h.flows.from(0)
	switch {
	case req.GetFirst():
		for _, m := range list[:min(len(list), int(req.GetNumber()))] {
			if err := s.Send(m); err != nil {
				return err
			}
		}
		return nil
	case req.GetSince() != nil:
		since := req.GetSince().AsTime()
		for len(list) > 0 && list[0].GetTime().AsTime().Before(since) {
			list = list[1:]
		}
	default:
		list = nil
	}
	h.began()
	return follow(s.Context(), h.flows, list, next, change, s.Send)
}

func follow[T any](ctx context.Context, r *ring[T], list []T, next int, change <-chan struct{}, send func(T) error) error {
	for {
		for _, m := range list {
			if err := send(m); err != nil {
				return err
			}
		}
		select {
		case <-change:
			list, next, change = r.from(next)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Tetragon is an agent that keeps nothing.
type Tetragon struct {
	Agent
	tetragon.UnimplementedFineGuidanceSensorsServer
	events *ring[*tetragon.GetEventsResponse]
}

// NewTetragon returns one that listens as NewHubble does.
func NewTetragon(t testing.TB, socket string) *Tetragon {
	a := &Tetragon{events: &ring[*tetragon.GetEventsResponse]{most: 4096, change: make(chan struct{})}}
	a.listenAt(socket, nil, func(s *grpc.Server) { tetragon.RegisterFineGuidanceSensorsServer(s, a) })
	a.Start(t)
	return a
}

// Add is a new record.
func (a *Tetragon) Add(m *tetragon.GetEventsResponse) { a.events.add(m) }

// GetEvents sends what comes.
func (a *Tetragon) GetEvents(_ *tetragon.GetEventsRequest, s grpc.ServerStreamingServer[tetragon.GetEventsResponse]) error {
	_, next, change := a.events.from(1 << 62)
	a.began()
	return follow(s.Context(), a.events, nil, next, change, s.Send)
}

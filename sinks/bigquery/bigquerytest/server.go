// Package bigquerytest is a BigQuery for tests: the Storage Write API over gRPC and
// the calls for datasets and tables over HTTP, with the semantics of the real one
// where a client can get them wrong, and where the emulators that exist do. Streams
// check offsets, change data capture replaces by primary key and sequence number,
// bad rows refuse their request, requests are capped, and faults strike where they
// are told to.
package bigquerytest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	bq "google.golang.org/api/bigquery/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// MaxRequest is the largest append, in bytes.
const MaxRequest = 10 << 20

// Fault is what happens to an append. The zero value is none.
type Fault struct {
	Code  codes.Code // the error; OK with Reset for a connection that breaks
	Reset bool       // the connection ends with the error, where it would be in the response
	After bool       // the rows were appended, nobody is told
}

// Server is a BigQuery. It is safe for concurrent use.
type Server struct {
	storagepb.UnimplementedBigQueryWriteServer

	GRPC string // address of the Storage Write API
	HTTP string // URL of the REST API

	rpc  *grpc.Server
	rest *http.Server

	mu       sync.Mutex
	datasets map[string]*bq.Dataset // "project.dataset"
	tables   map[string]*table      // "project.dataset.table"
	streams  map[string]*stream
	fault    func(stream string, append int) Fault
	appends  int
	taken    map[string]int // rows by table
	requests []string       // of HTTP, "METHOD path"
	trusting bool
	refuse   func(Row) string
}

// New starts a server on loopback. Close stops it.
func New() (*Server, error) {
	s := &Server{
		rpc:      grpc.NewServer(grpc.MaxRecvMsgSize(2 * MaxRequest)),
		datasets: map[string]*bq.Dataset{}, tables: map[string]*table{}, streams: map[string]*stream{}, taken: map[string]int{},
	}
	storagepb.RegisterBigQueryWriteServer(s.rpc, s)
	s.rest = &http.Server{Handler: s.handler()}
	for at, serve := range map[*string]func(net.Listener) error{&s.GRPC: s.rpc.Serve, &s.HTTP: s.rest.Serve} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start BigQuery: %w", err), s.Close())
		}
		*at = l.Addr().String()
		go serve(l) // until Close; that it ended is no error
	}
	s.HTTP = "http://" + s.HTTP
	return s, nil
}

// Close stops the server at once.
func (s *Server) Close() error {
	s.rpc.Stop()
	return s.rest.Close()
}

// SetFault lets f decide what happens to each append, counted from 0 over all
// streams; nil for nothing.
func (s *Server) SetFault(f func(stream string, append int) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Refuse lets f say what is wrong with a row, if anything; nil for nothing.
func (s *Server) Refuse(f func(Row) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

// Trust lets rows through unread and forgets all but how many they were, so that a
// benchmark measures the client.
func (s *Server) Trust() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trusting = true
}

// Taken is how many rows were appended to a table, named project.dataset.table, those
// that Trust forgot among them.
func (s *Server) Taken(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[name]
}

// Requests are the HTTP requests so far, as "METHOD path".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// Rows are the committed rows of a table, named project.dataset.table, in the order
// of their arrival, or of their keys where it has a primary key.
func (s *Server) Rows(name string) []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[name]
	if t == nil {
		return nil
	}
	return t.current()
}

// Table describes a table or view. What is changed in it is changed in the server;
// nothing else may happen meanwhile.
func (s *Server) Table(name string) *bq.Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tables[name]; t != nil {
		return t.meta
	}
	return nil
}

// Appends is how many append requests came.
func (s *Server) Appends() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appends
}

// nameOf makes project.dataset.table of a path of the API.
func nameOf(path string) string {
	parts := strings.Split(path, "/") // projects/P/datasets/D/tables/T/…
	if len(parts) < 6 {
		return ""
	}
	return parts[1] + "." + parts[3] + "." + parts[5]
}

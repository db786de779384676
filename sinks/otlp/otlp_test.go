package otlp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sennit-io/sennit/ingest/otlp/receiver"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/schemas/timeline/timelinetest"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/otlp"
)

// record is a revision of a timeline with a process below a tool below an agent.
func record(id string, revision uint32, change ...func(*timeline.Timeline)) sinks.Record {
	t := timelinetest.Example()
	t.ID, t.Revision, t.SupersededBy = id, revision, ""
	first := t.Steps[0]
	t.Steps = nil
	for i, layer := range []timeline.Layer{timeline.LayerAgent, timeline.LayerTool, timeline.LayerProcess} {
		s := first
		s.ID, s.ParentID, s.Layer, s.Name = fmt.Sprint("s", i+1), fmt.Sprint("s", i), layer, string(layer)
		t.Steps = append(t.Steps, s)
	}
	for _, f := range change {
		f(t)
	}
	return sinks.Record{Kind: sinks.Timeline, ID: id, Revision: revision, Data: t.AppendJSON(nil)}
}

func open(t *testing.T, o otlp.Options) *otlp.Sink {
	t.Helper()
	s, err := otlp.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// certificate makes a certificate that signs itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// Sennit's own receiver takes what the sink sends, over both ways, with TLS and a
// token, and all of it is there: the tree, and the links to the original.
func TestDelivers(t *testing.T) {
	own, trusted := certificate(t)
	f := func(scheme string, secured bool) {
		t.Helper()
		cfg := receiver.Config{GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0", Token: "open sesame"}
		o := otlp.Options{Header: http.Header{"Authorization": {"Bearer open sesame"}}}
		if secured {
			cfg.TLS = &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
			o.TLS = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
		}
		r, err := receiver.Listen(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		got := map[string]*event.Span{}
		ctx, stop := context.WithCancel(t.Context())
		var served sync.WaitGroup
		served.Go(func() {
			if err := r.Run(ctx, func(_ context.Context, b *event.Batch) error {
				mu.Lock()
				defer mu.Unlock()
				for i := range b.Events {
					s := b.Events[i].Payload.(*event.Span)
					got[s.Name] = s
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
		defer served.Wait()
		defer stop()
		o.URL = scheme + "://" + r.HTTPAddr().String()
		if strings.HasPrefix(scheme, "grpc") {
			o.URL = scheme + "://" + r.GRPCAddr().String()
		}
		send := func() {
			t.Helper()
			if err := open(t, o).Write(t.Context(), []sinks.Record{record("a", 1), {Kind: sinks.Alert, ID: "x", Data: []byte("{}")}}); err != nil {
				t.Fatalf("%s: %v", scheme, err)
			}
		}
		send() // to a Sennit, which takes no traces of its own kind
		was := otlp.SetScope("test")
		defer otlp.SetScope(was)
		send()
		mu.Lock()
		defer mu.Unlock()
		root, agent, tool, process := got["POST /run"], got["agent"], got["tool"], got["process"]
		if len(got) != 4 || root == nil || agent == nil || tool == nil || process == nil {
			t.Fatalf("%s: got %d spans: %v", scheme, len(got), got)
		}
		if agent.ParentID != root.SpanID || tool.ParentID != agent.SpanID || process.ParentID != tool.SpanID || !root.ParentID.IsZero() {
			t.Errorf("%s: the spans make no tree: %v %v %v %v", scheme, root, agent, tool, process)
		}
		if c := r.Counts(); c.In != 8 || c.Own != 4 || c.Bad != 0 {
			t.Errorf("%s: the receiver counts %+v", scheme, c)
		}
		if l := process.Links; len(l) != 1 || l[0].TraceID.String() != "4bf92f3577b34da6a3ce929d0e0e4736" || l[0].SpanID.String() != "00f067aa0ba902b7" {
			t.Errorf("%s: the process has links %v", scheme, l)
		}
		// Without the token nobody takes it, and that is not for ever.
		o.Header = nil
		var failed sinks.Failures
		if err := open(t, o).Write(t.Context(), []sinks.Record{record("a", 1)}); !errors.As(err, &failed) || failed[0].Permanent || !strings.Contains(err.Error(), "header") {
			t.Errorf("%s without the token: %v", scheme, err)
		}
	}
	f("grpc", false)
	f("grpcs", true)
	f("http", false)
	f("https", true)
}

// script is a receiver of which each request is answered as the test says.
type script struct {
	coltracepb.UnimplementedTraceServiceServer
	mu     sync.Mutex
	got    []*coltracepb.ExportTraceServiceRequest
	answer func(*coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error)
}

func (s *script) Export(_ context.Context, r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, r)
	if s.answer == nil {
		return &coltracepb.ExportTraceServiceResponse{}, nil
	}
	return s.answer(r)
}

func (s *script) listen(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	coltracepb.RegisterTraceServiceServer(srv, s)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	return "grpc://" + l.Addr().String()
}

// timelines are the ids in a request.
func timelines(r *coltracepb.ExportTraceServiceRequest) (list []string) {
	for _, rs := range r.ResourceSpans {
		for _, s := range rs.ScopeSpans[0].Spans {
			for _, a := range s.Attributes {
				if a.Key == "sennit.timeline_id" {
					list = append(list, a.Value.GetStringValue())
				}
			}
		}
	}
	return list
}

// What a receiver does not like is told apart from what went with it, and from a
// receiver that is away.
func TestRefusals(t *testing.T) {
	f := func(answer func(*coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error), want sinks.Failures, requests int) {
		t.Helper()
		srv := &script{answer: answer}
		err := open(t, otlp.Options{URL: srv.listen(t)}).Write(t.Context(), []sinks.Record{record("a", 1), record("bad", 1), record("c", 1)})
		var failed sinks.Failures
		if err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		for i := range failed {
			failed[i].Err = nil
		}
		if d := cmp.Diff(want, failed); d != "" {
			t.Error(d)
		}
		srv.mu.Lock()
		defer srv.mu.Unlock()
		if len(srv.got) != requests {
			t.Errorf("%d requests, want %d", len(srv.got), requests)
		}
	}
	isBad := func(r *coltracepb.ExportTraceServiceRequest) bool {
		for _, id := range timelines(r) {
			if id == "bad" {
				return true
			}
		}
		return false
	}
	f(nil, nil, 1)
	f(func(r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
		if isBad(r) {
			return nil, status.Error(codes.InvalidArgument, "no")
		}
		return &coltracepb.ExportTraceServiceResponse{}, nil
	}, sinks.Failures{{Index: 1, Permanent: true}}, 4)
	f(func(r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
		if isBad(r) {
			return &coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: 2, ErrorMessage: "two are too old"}}, nil
		}
		return &coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{ErrorMessage: "a warning"}}, nil
	}, sinks.Failures{{Index: 1, Permanent: true}}, 4)
	busy, err := status.New(codes.ResourceExhausted, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	f(func(*coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
		return nil, busy.Err()
	}, sinks.Failures{{Index: 0, After: 7 * time.Second}, {Index: 1, After: 7 * time.Second}, {Index: 2, After: 7 * time.Second}}, 1)
	f(func(*coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
		return nil, status.Error(codes.Unavailable, "closing")
	}, sinks.Failures{{Index: 0}, {Index: 1}, {Index: 2}}, 1)
}

func TestRefusalsOverHTTP(t *testing.T) {
	f := func(code int, head string, answer proto.Message, want sinks.Failures) {
		t.Helper()
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
				t.Errorf("%s %v", r.URL, r.Header)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if head != "" {
				w.Header().Set("Retry-After", head)
			}
			b, err := proto.Marshal(answer)
			if err != nil {
				t.Error(err)
			}
			w.WriteHeader(code)
			_, _ = w.Write(b)
		}))
		defer srv.Close()
		err := open(t, otlp.Options{URL: srv.URL}).Write(t.Context(), []sinks.Record{record("a", 1)})
		var failed sinks.Failures
		if err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		for i := range failed {
			failed[i].Err = nil
		}
		if d := cmp.Diff(want, failed); d != "" {
			t.Errorf("%d: %s", code, d)
		}
	}
	none := &coltracepb.ExportTraceServiceResponse{}
	f(200, "", none, nil)
	f(200, "", &coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: 1}}, sinks.Failures{{Permanent: true}})
	f(400, "", none, sinks.Failures{{Permanent: true}})
	f(413, "", none, sinks.Failures{{Permanent: true}})
	f(401, "", none, sinks.Failures{{}})
	f(404, "", none, sinks.Failures{{}})
	f(302, "", none, sinks.Failures{{}})
	f(429, "3", none, sinks.Failures{{After: 3 * time.Second}})
	f(503, "", none, sinks.Failures{{}})
}

// A receiver that is not there, or says nothing, costs no more than a wait.
func TestAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it takes connections and says nothing
	for _, scheme := range []string{"grpc", "http"} {
		s := open(t, otlp.Options{URL: scheme + "://" + l.Addr().String(), Wait: 100 * time.Millisecond})
		var failed sinks.Failures
		if err := s.Write(t.Context(), []sinks.Record{record("a", 1)}); !errors.As(err, &failed) || failed[0].Permanent {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// A timeline of many steps comes in several requests, none of which is too large for
// a receiver that nobody configured, and no span is missing or there twice.
func TestLargeTimelines(t *testing.T) {
	srv := &script{}
	s := open(t, otlp.Options{URL: srv.listen(t)})
	const steps = 2500
	large := record("a", 1, func(tl *timeline.Timeline) {
		one := tl.Steps[0]
		tl.Steps = nil
		one.Join.Evidence = []string{strings.Repeat("x", 4000)}
		for i := range steps {
			one.ID, one.ParentID = fmt.Sprint("s", i), ""
			tl.Steps = append(tl.Steps, one)
		}
	})
	if err := s.Write(t.Context(), []sinks.Record{record("b", 1), large, record("c", 1)}); err != nil {
		t.Fatal(err)
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	seen := map[string]bool{}
	for _, r := range srv.got {
		if n := proto.Size(r); n > 4<<20 {
			t.Errorf("a request has %d bytes", n)
		}
		for _, rs := range r.ResourceSpans {
			for _, span := range rs.ScopeSpans[0].Spans {
				if id := string(span.TraceId) + string(span.SpanId); seen[id] {
					t.Error("a span came twice")
				} else {
					seen[id] = true
				}
			}
		}
	}
	if want := steps + 1 + 2*4; len(seen) != want {
		t.Errorf("%d spans came, want %d", len(seen), want)
	}
	if len(srv.got) < 4 {
		t.Errorf("it all came in %d requests", len(srv.got))
	}
}

func TestNewRefuses(t *testing.T) {
	f := func(o otlp.Options, want string) {
		t.Helper()
		if _, err := otlp.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", o.URL, err, want)
		}
	}
	f(otlp.Options{URL: "127.0.0.1:4317"}, "names no host")
	f(otlp.Options{URL: "grpc:4317"}, "names no host")
	f(otlp.Options{URL: "ftp://h"}, "want grpc://")
	f(otlp.Options{URL: "grpc://h/path"}, "HOST:PORT alone")
	f(otlp.Options{URL: "http://h", TLS: &tls.Config{MinVersion: tls.VersionTLS13}}, "https://")
	f(otlp.Options{URL: "grpc://h", TLS: &tls.Config{MinVersion: tls.VersionTLS13}}, "grpcs://")
}

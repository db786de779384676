package otlp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
)

// Options say who takes the traces.
type Options struct {
	// URL is grpc://HOST:PORT or grpcs:// (with TLS) for OTLP over gRPC, http:// or
	// https:// for OTLP over HTTP; a URL of HTTP without a path gets /v1/traces.
	URL    string
	Header http.Header   // sent along with each request, as metadata over gRPC
	TLS    *tls.Config   // nil for the system's authorities
	Wait   time.Duration // how long an answer may take, 10 s by default
}

const (
	defaultWait = 10 * time.Second
	// maxRequest is how large a request may be, in bytes: receivers take 4 MiB over
	// gRPC where nobody said otherwise.
	maxRequest = 3 << 20
)

// Sink sends traces.
//
// Guarantee: what Write returned nil for was accepted by the receiver, every span of
// it. A revision that comes again makes the same trace with the same spans, which
// Jaeger and Tempo show once. Revision N+1 is a trace of its own with a link to
// revision N. Alerts are events of their timeline's spans; records of other kinds,
// and timelines that became part of another, are passed over.
type Sink struct {
	to   transport
	wait time.Duration
}

// transport brings one request (TracesData, which is what the request looks like on
// the wire) to the receiver. An error is of type *refusal where the receiver gave
// one.
type transport interface {
	export(ctx context.Context, body []byte) error
	close() error
}

// refusal is what a receiver said instead of yes.
type refusal struct {
	text  string
	data  bool          // it does not like what was sent, and never will
	after time.Duration // it asked to be left alone for so long
}

func (r *refusal) Error() string { return r.text }

// New makes a sink. It does not connect: a receiver that is away now may come.
func New(o Options) (*Sink, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("send traces: %q names no host: want grpc://HOST:PORT, grpcs://, http:// or https://", o.URL)
	}
	s := &Sink{wait: o.Wait}
	if s.wait == 0 {
		s.wait = defaultWait
	}
	switch u.Scheme {
	case "grpc", "grpcs":
		if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
			return nil, fmt.Errorf("send traces: %q: gRPC wants HOST:PORT alone", o.URL)
		}
		s.to, err = newGRPC(u, &o)
	case "http", "https":
		s.to, err = newHTTP(u, &o)
	default:
		return nil, fmt.Errorf("send traces: %q: want grpc://, grpcs://, http:// or https://", o.URL)
	}
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	return s, nil
}

// Write sends a batch.
func (s *Sink) Write(ctx context.Context, batch []sinks.Record) error {
	var failed sinks.Failures
	var now request
	flush := func() error {
		refused, err := s.send(ctx, &now)
		failed = append(failed, refused...)
		now = request{}
		return err
	}
	for i, r := range batch {
		if r.Kind != sinks.Timeline {
			continue
		}
		var t timeline.Timeline
		if err := t.ReadJSON(r.Data); err != nil {
			failed = append(failed, sinks.Failure{Index: i, Err: fmt.Errorf("read timeline: %w", err), Permanent: true})
			continue
		}
		if t.SupersededBy != "" {
			continue
		}
		spans := trace(&t)
		size := 0
		for _, rs := range spans {
			size += proto.Size(rs)
		}
		if now.size+size > maxRequest && len(now.of) > 0 {
			if err := flush(); err != nil {
				return err
			}
		}
		now.add(i, spans, size)
	}
	if err := flush(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// request is what is sent at once: the spans of some records.
type request struct {
	of    []int // records
	spans [][]*tracepb.ResourceSpans
	size  int
}

func (r *request) add(record int, spans []*tracepb.ResourceSpans, size int) {
	r.of, r.spans, r.size = append(r.of, record), append(r.spans, spans), r.size+size
}

// send sends a request. Where the receiver does not like what was sent, and that is
// of several records, each is sent alone: only what it does not like of them fails,
// and the others are there once all the same.
func (s *Sink) send(ctx context.Context, r *request) (failed sinks.Failures, err error) {
	if len(r.of) == 0 {
		return nil, nil
	}
	var all []*tracepb.ResourceSpans
	for _, spans := range r.spans {
		all = append(all, spans...)
	}
	for _, part := range parts(all) {
		if err = s.export(ctx, part); err != nil {
			break
		}
	}
	var said *refusal
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &said):
		return nil, err
	case !said.data: // it goes for all: the receiver is away, busy, or wants other credentials
		for _, i := range r.of {
			failed = append(failed, sinks.Failure{Index: i, Err: err, After: said.after})
		}
		return failed, nil
	case len(r.of) == 1:
		return sinks.Failures{{Index: r.of[0], Err: err, Permanent: true}}, nil
	}
	for k, i := range r.of {
		alone := request{}
		alone.add(i, r.spans[k], 0)
		refused, err := s.send(ctx, &alone)
		if err != nil {
			return nil, err
		}
		failed = append(failed, refused...)
	}
	return failed, nil
}

func (s *Sink) export(ctx context.Context, part []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: part})
	if err != nil {
		return fmt.Errorf("send traces: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	if err := s.to.export(ctx, body); err != nil {
		return fmt.Errorf("send traces: %w", err)
	}
	return nil
}

// parts cuts spans so that each part is small enough, a single span excepted. A
// trace may come in several requests.
func parts(all []*tracepb.ResourceSpans) (list [][]*tracepb.ResourceSpans) {
	var now []*tracepb.ResourceSpans
	size := 0
	for _, rs := range all {
		if n := proto.Size(rs); n <= maxRequest {
			if size+n > maxRequest && len(now) > 0 {
				list, now, size = append(list, now), nil, 0
			}
			now, size = append(now, rs), size+n
			continue
		}
		for spans := rs.ScopeSpans[0].Spans; len(spans) > 0; {
			n, room := 0, maxRequest-proto.Size(rs.Resource)-1024
			for n < len(spans) && (n == 0 || room > 0) {
				if room -= proto.Size(spans[n]) + 8; room < 0 && n > 0 {
					break
				}
				n++
			}
			list = append(list, []*tracepb.ResourceSpans{resourceSpans(rs.Resource, spans[:n])})
			spans = spans[n:]
		}
	}
	if len(now) > 0 {
		list = append(list, now)
	}
	return list
}

// Close disconnects.
func (s *Sink) Close() error { return s.to.close() }

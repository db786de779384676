package receiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	respb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/k8s/pods"
	"github.com/sennit-io/sennit/schemas/event"
)

// store is a sink that keeps spans by their ids.
type store struct {
	mu    sync.Mutex
	spans map[event.SpanID]event.Span
	heads map[event.SpanID]event.Event
	fail  func() error
}

func (s *store) take(_ context.Context, b *event.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(); err != nil {
			return err
		}
	}
	for i := range b.Events {
		if p, ok := b.Events[i].Payload.(*event.Span); ok {
			if s.spans == nil {
				s.spans, s.heads = map[event.SpanID]event.Span{}, map[event.SpanID]event.Event{}
			}
			s.spans[p.SpanID], s.heads[p.SpanID] = *p, b.Events[i]
		}
	}
	return nil
}

// start runs a receiver until the test ends or stop is called.
func start(t *testing.T, cfg Config, sink ingest.Sink) (r *Receiver, stop func()) {
	t.Helper()
	if cfg.GRPC == "" {
		cfg.GRPC, cfg.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	}
	r, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, sink) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return r, stop
}

// exporters are the SDK's own, as an agent has them.
func exporters(t *testing.T, r *Receiver) map[string]*otlptrace.Exporter {
	t.Helper()
	viaGRPC, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(r.GRPCAddr().String()), otlptracegrpc.WithInsecure(),
		otlptracegrpc.WithCompressor("gzip"), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
			Enabled: true, InitialInterval: 50 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: 20 * time.Second,
		}))
	if err != nil {
		t.Fatal(err)
	}
	viaHTTP, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpoint(r.HTTPAddr().String()), otlptracehttp.WithInsecure(),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: 50 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: 20 * time.Second,
		}))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*otlptrace.Exporter{"grpc": viaGRPC, "http": viaHTTP}
}

// emit writes n spans through a provider with this exporter and returns their
// ids once all have been exported.
func emit(t *testing.T, x *otlptrace.Exporter, service string, n int) (ids []trace.SpanID) {
	t.Helper()
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(x), sdktrace.WithResource(resource.NewSchemaless(
		attribute.String("service.name", service), attribute.String("k8s.pod.name", "agent-0"), attribute.String("k8s.namespace.name", "shop"))))
	tracer := p.Tracer("test")
	for i := range n {
		_, span := tracer.Start(t.Context(), fmt.Sprintf("GET /orders?step=%d", i), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("http.request.method", "GET"), attribute.String("url.full", "https://shop.example/orders?secret=hunter2")))
		span.End()
		ids = append(ids, span.SpanContext().SpanID())
	}
	if err := p.ForceFlush(t.Context()); err != nil {
		t.Errorf("%s: flush: %v", service, err)
	}
	return ids
}

// proven knows the pod that all connections of the tests are of.
func proven(peer, local netip.AddrPort) Proof {
	var d pods.Directory
	d.Put(&event.Pod{
		Workload: event.Workload{Cluster: "c1", Namespace: "shop", Pod: "agent-0", PodUID: "u-1", Node: "n1"},
		IPs:      []netip.Addr{netip.MustParseAddr("127.0.0.1")},
	})
	p := pods.NewProver(&d, nil).Prove(peer, local)
	return &p
}

func TestExporters(t *testing.T) {
	var got store
	var peers sync.Map
	r, _ := start(t, Config{Cluster: "c1", Node: "n1", Prove: func(peer, local netip.AddrPort) Proof {
		peers.Store(peer, true)
		peers.Store(local, true)
		return proven(peer, local)
	}}, got.take)
	const each = 300
	var wg sync.WaitGroup
	var mu sync.Mutex
	sent := map[event.SpanID]string{}
	for name, x := range exporters(t, r) {
		wg.Go(func() {
			for _, id := range emit(t, x, name, each) {
				mu.Lock()
				sent[event.SpanID(id)] = name
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(got.spans) != len(sent) || len(sent) != 2*each {
		t.Errorf("%d spans arrived of %d", len(got.spans), len(sent))
	}
	for id, service := range sent {
		s, head := got.spans[id], got.heads[id]
		if s.Service != service || s.Proof != event.ProofSocket || s.Workload.PodUID != "u-1" || head.Node != "n1" || head.Observed == 0 {
			t.Fatalf("span %v of %s: %+v, head %+v", id, service, s, head)
		}
		if text := fmt.Sprintf("%+v", s); strings.Contains(text, "hunter2") || strings.Contains(text, "step=") {
			t.Fatalf("not redacted: %s", text)
		}
	}
	for a := range peers.Range {
		if p := a.(netip.AddrPort); !p.Addr().Is4() || p.Port() == 0 {
			t.Errorf("peer %v", p)
		}
	}
	if c := r.Counts(); c != (Counts{In: 2 * each, Events: 2 * each}) {
		t.Errorf("counts %+v", c)
	}
}

func TestBackPressure(t *testing.T) {
	f := func(refusal error, want func(Counts) uint64) {
		t.Helper()
		var got store
		var calls atomic.Int64
		got.fail = func() error {
			if calls.Add(1) <= 2 {
				return refusal
			}
			return nil
		}
		r, _ := start(t, Config{}, got.take)
		var wg sync.WaitGroup
		for name, x := range exporters(t, r) {
			wg.Go(func() { emit(t, x, name, 10) })
		}
		wg.Wait()
		c := r.Counts()
		if len(got.spans) != 20 || c.In != 20 || c.Events != 20 || want(c) != 2 {
			t.Errorf("after %v: %d spans, counts %+v", refusal, len(got.spans), c)
		}
	}
	f(ingest.ErrBusy, func(c Counts) uint64 { return c.Busy })
	f(errors.New("disk on fire"), func(c Counts) uint64 { return c.Failed })
}

// A sink that hangs sends senders away in time, with word when to come again.
func TestSinkHangs(t *testing.T) {
	r, _ := start(t, Config{Wait: 50 * time.Millisecond}, func(ctx context.Context, _ *event.Batch) error {
		<-ctx.Done()
		return ctx.Err()
	})
	_, err := dial(t, r).Export(t.Context(), request("agent-0", span(1)))
	s := status.Convert(err)
	if s.Code() != codes.ResourceExhausted || len(s.Details()) != 1 {
		t.Fatalf("answer %v, details %v", err, s.Details())
	}
	if info, ok := s.Details()[0].(*errdetails.RetryInfo); !ok || info.RetryDelay.AsDuration() < time.Second/2 {
		t.Errorf("retry info %v", s.Details()[0])
	}
	resp, body := post(t, r, typeProto, "", marshal(t, request("agent-0", span(1))), "")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("answer %s, Retry-After %q: %q", resp.Status, resp.Header.Get("Retry-After"), body)
	}
	if c := r.Counts(); c != (Counts{Busy: 2}) {
		t.Errorf("counts %+v", c)
	}
}

func TestPartialSuccess(t *testing.T) {
	var got store
	r, _ := start(t, Config{}, got.take)
	bad := span(2)
	bad.TraceId = nil
	req := request("agent-0", span(1), bad)

	resp, err := dial(t, r).Export(t.Context(), req)
	if err != nil || resp.GetPartialSuccess().GetRejectedSpans() != 1 || !strings.Contains(resp.GetPartialSuccess().GetErrorMessage(), "trace id") {
		t.Errorf("gRPC: %v, %v", resp, err)
	}
	httpResp, body := post(t, r, typeProto, "", marshal(t, req), "")
	if err := proto.Unmarshal(body, resp); err != nil || httpResp.StatusCode != http.StatusOK || resp.GetPartialSuccess().GetRejectedSpans() != 1 {
		t.Errorf("HTTP, protobuf: %s, %v, %v", httpResp.Status, resp, err)
	}
	text := `{"resourceSpans":[{"scopeSpans":[{"spans":[
		{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0000000000000007","name":"x","startTimeUnixNano":"1795396215176140315","endTimeUnixNano":"1795396215176140316"},
		{"traceId":"","spanId":"0000000000000008","name":"y","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}`
	httpResp, body = post(t, r, typeJSON, "gzip", pack(t, []byte(text)), "")
	if err := protojson.Unmarshal(body, resp); err != nil || httpResp.StatusCode != http.StatusOK || resp.GetPartialSuccess().GetRejectedSpans() != 1 {
		t.Errorf("HTTP, JSON: %s, %s, %v", httpResp.Status, body, err)
	}
	if c := r.Counts(); c != (Counts{In: 6, Events: 3, Bad: 3}) {
		t.Errorf("counts %+v", c)
	}
	if len(got.spans) != 2 {
		t.Errorf("%d spans", len(got.spans))
	}
}

func TestForged(t *testing.T) {
	var got store
	r, _ := start(t, Config{Prove: proven}, got.take)
	c := dial(t, r)
	resp, err := c.Export(t.Context(), request("agent-1", span(1), span(2)))
	if err != nil || resp.GetPartialSuccess().GetRejectedSpans() != 2 {
		t.Errorf("another pod's spans: %v, %v", resp, err)
	}
	if _, err = c.Export(t.Context(), request("", span(3))); err != nil {
		t.Error(err)
	}
	if len(got.spans) != 1 || got.spans[event.SpanID{7: 3}].Workload.Pod != "agent-0" {
		t.Errorf("spans %v", got.spans)
	}
	if c := r.Counts(); c != (Counts{In: 3, Events: 1, Forged: 2}) {
		t.Errorf("counts %+v", c)
	}
}

// A receiver of one node believes no other node.
func TestForgedNode(t *testing.T) {
	var got store
	r, _ := start(t, Config{Node: "n1"}, got.take)
	req := request("agent-1", span(1))
	req.ResourceSpans[0].Resource.Attributes = append(req.ResourceSpans[0].Resource.Attributes, attr("k8s.node.name", "n2"))
	if _, err := dial(t, r).Export(t.Context(), req); err != nil {
		t.Error(err)
	}
	if c := r.Counts(); c != (Counts{In: 1, Forged: 1}) {
		t.Errorf("counts %+v", c)
	}
}

func TestBadRequests(t *testing.T) {
	r, _ := start(t, Config{}, new(store).take)
	f := func(form, encoding string, body []byte, want int) {
		t.Helper()
		if resp, answer := post(t, r, form, encoding, body, ""); resp.StatusCode != want {
			t.Errorf("%s %q %.40q: %s %q, want %d", form, encoding, body, resp.Status, answer, want)
		}
	}
	bomb := pack(t, make([]byte, 64<<20))
	f(typeProto, "gzip", bomb, http.StatusRequestEntityTooLarge)
	f(typeProto, "", make([]byte, maxRequest+1), http.StatusRequestEntityTooLarge)
	f(typeProto, "gzip", []byte("no gzip"), http.StatusBadRequest)
	f(typeProto, "zstd", []byte("x"), http.StatusUnsupportedMediaType)
	f("text/plain", "", []byte("x"), http.StatusUnsupportedMediaType)
	f(typeProto, "", []byte("\xff\xff\xff"), http.StatusBadRequest)
	f(typeJSON, "", []byte(`{"resourceSpans":[`), http.StatusBadRequest)
	f(typeProto, "", nil, http.StatusOK) // an export of nothing

	big := request("agent-0", span(1))
	big.ResourceSpans[0].ScopeSpans[0].Spans[0].Name = strings.Repeat("a", 64<<20)
	_, err := dial(t, r).Export(t.Context(), big, grpc.UseCompressor(grpcgzip.Name))
	if s := status.Convert(err); s.Code() != codes.ResourceExhausted || len(s.Details()) != 0 {
		t.Errorf("bomb over gRPC: %v", err) // without RetryInfo: not to be sent again
	}
	if c := r.Counts(); c.Events != 0 || c.Bad != 2 || c.In != 2 {
		t.Errorf("counts %+v", c)
	}
	if !r.room.bytes.TryAcquire(r.cfg.Bytes) {
		t.Error("room was not given back")
	}
}

func TestToken(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		if r, err := Listen(Config{HTTP: addr}); !errors.Is(err, ErrToken) {
			t.Errorf("listens on %s without a token: %v, %v", addr, r, err)
		}
	}
	var got store
	r, _ := start(t, Config{Token: "s3cret"}, got.take)
	client, req := dial(t, r), request("agent-0", span(1))
	f := func(token string, ok bool) {
		t.Helper()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", token)
		if _, err := client.Export(ctx, req); (err == nil) != ok || !ok && status.Code(err) != codes.Unauthenticated {
			t.Errorf("gRPC with %q: %v", token, err)
		}
		resp, _ := post(t, r, typeProto, "", marshal(t, req), token)
		if (resp.StatusCode == http.StatusOK) != ok || !ok && resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("HTTP with %q: %s", token, resp.Status)
		}
	}
	f("", false)
	f("Bearer wrong", false)
	f("s3cret", false)
	f("Bearer s3cret", true)
}

// What was sent over gRPC while the receiver was away arrives when it is back.
// (The SDK's HTTP exporter does not try again where nobody listens; it goes on when
// somebody does.)
func TestRestart(t *testing.T) {
	var got store
	r, stop := start(t, Config{}, got.take)
	xs := exporters(t, r)
	cfg := Config{GRPC: r.GRPCAddr().String(), HTTP: r.HTTPAddr().String()}
	stop()
	if c, err := net.DialTimeout("tcp", cfg.GRPC, time.Second); err == nil {
		c.Close()
		t.Error("still listens")
	}
	var wg sync.WaitGroup
	wg.Go(func() { emit(t, xs["grpc"], "grpc", 10) })
	start(t, cfg, got.take)
	wg.Go(func() { emit(t, xs["http"], "http", 10) })
	wg.Wait()
	if len(got.spans) != 20 {
		t.Errorf("%d spans arrived of 20", len(got.spans))
	}
}

func dial(t *testing.T, r *Receiver) collector.TraceServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(r.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return collector.NewTraceServiceClient(conn)
}

func post(t *testing.T, r *Receiver, form, encoding string, body []byte, token string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.HTTPAddr().String()+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form)
	req.Header.Set("Content-Encoding", encoding)
	req.Header.Set("Authorization", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, answer
}

func pack(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func attr(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func request(pod string, spans ...*tracepb.Span) *collector.ExportTraceServiceRequest {
	res := &respb.Resource{Attributes: []*common.KeyValue{attr("service.name", "agent")}}
	if pod != "" {
		res.Attributes = append(res.Attributes, attr("k8s.pod.name", pod), attr("k8s.namespace.name", "shop"))
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{Resource: res, ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}}}}}
}

func span(id byte) *tracepb.Span {
	return &tracepb.Span{
		TraceId: bytes.Repeat([]byte{1}, 16), SpanId: []byte{0, 0, 0, 0, 0, 0, 0, id}, Name: "step",
		StartTimeUnixNano: 1795396215176140315, EndTimeUnixNano: 1795396215176140999,
	}
}

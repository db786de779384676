package selftrace

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/ingest/otlp/receiver"
)

// without clears what the machine that runs the test may have set.
func without(t *testing.T) {
	for _, name := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER",
	} {
		t.Setenv(name, "")
	}
}

func TestAsked(t *testing.T) {
	f := func(want bool, variables ...string) {
		t.Helper()
		without(t)
		for _, v := range variables {
			name, value, _ := strings.Cut(v, "=")
			t.Setenv(name, value)
		}
		if got := Asked(); got != want {
			t.Errorf("%v: asked %v", variables, got)
		}
		tracer, end, err := Open(t.Context(), "up", "1", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		_, span := tracer.Start(t.Context(), "x")
		if span.IsRecording() != want {
			t.Errorf("%v: recording %v", variables, span.IsRecording())
		}
		if !want { // nothing is there to send it to
			end()
		}
	}
	f(false)
	f(true, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")
	f(true, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	f(false, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_SDK_DISABLED=true")
	f(false, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_EXPORTER=none")
	f(false, "OTEL_SERVICE_NAME=x")
}

func TestOpenRefuses(t *testing.T) {
	f := func(variable, value, want string) {
		t.Helper()
		without(t)
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
		t.Setenv(variable, value)
		if _, _, err := Open(t.Context(), "up", "1", slog.New(slog.DiscardHandler)); !errors.Is(err, ErrVariable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s=%s: %v, want %q", variable, value, err, want)
		}
	}
	f("OTEL_TRACES_EXPORTER", "zipkin", "only otlp and none")
	f("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "only grpc and http/protobuf")
	f("OTEL_RESOURCE_ATTRIBUTES", "no pair", "resource")
}

// What arrives says who sent it, in the scope that receivers pass over.
func TestSends(t *testing.T) {
	without(t)
	got := make(chan *coltrace.ExportTraceServiceRequest, 8)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m coltrace.ExportTraceServiceRequest
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(b, &m)
		}
		if err != nil {
			t.Error(err)
		}
		got <- &m
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	var log bytes.Buffer
	tracer, end, err := Open(t.Context(), "processor", "1.2", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracer.Start(t.Context(), "commit")
	span.End()
	end()
	m := <-got
	text := m.String()
	scope := m.ResourceSpans[0].ScopeSpans[0]
	if scope.Scope.Name != receiver.OwnScope || scope.Spans[0].Name != "commit" {
		t.Errorf("it sent %s", text)
	}
	for _, want := range []string{"sennit-processor", "1.2", "deployment.environment.name", "service.instance.id"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if log.Len() > 0 {
		t.Errorf("it logs %s", log.String())
	}
}

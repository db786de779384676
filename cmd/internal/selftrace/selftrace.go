// Package selftrace traces Sennit itself, only if the variables of OpenTelemetry say
// where to. What it sends carries the scope receiver.OwnScope, which every receiver of
// Sennit passes over: a service whose traces arrive at itself does not feed itself.
package selftrace

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/sennit-io/sennit/ingest/otlp/receiver"
)

// ErrVariable is wrapped by errors about the variables.
var ErrVariable = errors.New("a variable of OpenTelemetry does not fit")

// flushing is how long what is left may take at the end.
const flushing = 2 * time.Second

// first is the value of the first variable that is set.
func first(names ...string) string {
	for _, n := range names {
		if v := os.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// Asked reports whether the variables ask for traces: OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, and neither OTEL_SDK_DISABLED=true nor
// OTEL_TRACES_EXPORTER=none.
func Asked() bool {
	return first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") != "" &&
		!strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") && os.Getenv("OTEL_TRACES_EXPORTER") != "none"
}

// Open returns a tracer, which does nothing if none is asked for, and how to end it.
// What cannot be sent is logged once a minute at most, and lost: traces are no part
// of what Sennit promises.
func Open(ctx context.Context, verb, version string, log *slog.Logger) (trace.Tracer, func(), error) {
	if !Asked() {
		return noop.Tracer{}, func() {}, nil
	}
	if kind := os.Getenv("OTEL_TRACES_EXPORTER"); kind != "" && kind != "otlp" {
		return nil, nil, fmt.Errorf("trace: %w: OTEL_TRACES_EXPORTER is %q, only otlp and none are there", ErrVariable, kind)
	}
	var client otlptrace.Client
	switch protocol := cmp.Or(first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); protocol {
	case "http/protobuf":
		client = otlptracehttp.NewClient()
	case "grpc":
		client = otlptracegrpc.NewClient()
	default:
		return nil, nil, fmt.Errorf("trace: %w: the protocol is %q, only grpc and http/protobuf are there", ErrVariable, protocol)
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, nil, fmt.Errorf("trace: %w", err)
	}
	var mu sync.Mutex
	var told time.Time
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(told) > time.Minute {
			told = time.Now()
			log.Warn("Sennit's own traces cannot be sent", "error", err)
		}
	}))
	// Where both say something the later one counts: what the environment says.
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "sennit-"+verb), attribute.String("service.version", version), attribute.String("service.instance.id", rand.Text()),
	), resource.WithFromEnv())
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("trace: %w: %w", ErrVariable, err), exporter.Shutdown(ctx))
	}
	// Not the global provider: the libraries of clouds would trace their calls too.
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(res))
	return provider.Tracer(receiver.OwnScope, trace.WithInstrumentationVersion(version)), func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushing)
		defer cancel()
		if err := provider.Shutdown(last); err != nil && last.Err() == nil {
			log.Warn("Sennit's own traces cannot be sent", "error", err)
		}
	}, nil
}

package live

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sennit-io/sennit/sinks"
)

// ended ends a span with what became of it.
func ended(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// traced makes a span of each batch that a sink gets. It is an Idler if the sink is.
func traced(s sinks.Sink, name string, tracer trace.Tracer) sinks.Sink {
	t := tracedSink{s, name, tracer}
	if idler, ok := s.(sinks.Idler); ok {
		return struct {
			tracedSink
			sinks.Idler
		}{t, idler}
	}
	return t
}

type tracedSink struct {
	sinks.Sink
	name   string
	tracer trace.Tracer
}

func (t tracedSink) Write(ctx context.Context, batch []sinks.Record) error {
	ctx, span := t.tracer.Start(ctx, "deliver "+t.name, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attribute.Int("sennit.results", len(batch))))
	err := t.Sink.Write(ctx, batch)
	ended(span, err)
	return err
}

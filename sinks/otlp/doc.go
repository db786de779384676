// Package otlp sends stitched timelines as traces to whatever takes OTLP: Jaeger,
// Tempo, a collector. One revision of a timeline is one trace: a span for the
// request, below it one for every step, whoever saw it, with how it was joined in
// its attributes and a link to the span of the original trace (docs/adr/0024).
package otlp

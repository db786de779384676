package simulate

import (
	"fmt"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// The batch span processor of every SDK: a batch leaves at the latest this long
// after its first span ended, or when it is full.
const (
	sdkDelay = 5 * s1
	sdkBatch = 256
)

// scope is the instrumentation library that made a span.
type scope int

const (
	scopeADK scope = iota
	scopeServer
	scopeClient
	scopeCount
)

// sdk is the OpenTelemetry SDK of one pod.
type sdk struct {
	pod      *pod
	resource []byte
	scopes   [scopeCount][]byte // rendered scope objects
	spans    [scopeCount][]byte // rendered spans, comma separated
	logs     []byte             // rendered log records
	logged   int
	count    int
	batch    uint64 // which batch it is, for its timer
	lost     bool   // the batch will not arrive
	opened   int64
}

func newSDK(p *pod) *sdk {
	svc := p.svc
	s := &sdk{pod: p}
	s.resource = []byte(fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[`+
		`{"key":"k8s.cluster.name","value":{"stringValue":%q}},{"key":"k8s.namespace.name","value":{"stringValue":%q}},`+
		`{"key":"k8s.node.name","value":{"stringValue":%q}},{"key":"k8s.pod.name","value":{"stringValue":%q}},`+
		`{"key":"k8s.pod.uid","value":{"stringValue":%q}},{"key":"process.pid","value":{"intValue":"1"}},`+
		`{"key":"service.name","value":{"stringValue":%q}},{"key":"service.version","value":{"stringValue":"1.4.2"}},`+
		`{"key":"telemetry.sdk.language","value":{"stringValue":%q}}]},"scopeSpans":[`,
		p.node.w.cluster, svc.namespace, p.node.name, p.name, p.uid, svc.name, svc.lang))
	http := [2]string{"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"}
	adk := "2.0.0"
	switch svc.lang {
	case langPython:
		http, adk = [2]string{"opentelemetry.instrumentation.fastapi", "opentelemetry.instrumentation.httpx"}, "1.31.0"
	case langJava:
		http, adk = [2]string{"io.opentelemetry.spring-webmvc-6.0", "io.opentelemetry.okhttp-3.0"}, "1.8.0"
	}
	s.scopes[scopeADK] = []byte(fmt.Sprintf(`{"scope":{"name":"gcp.vertex.agent","version":%q},"spans":[`, adk))
	s.scopes[scopeServer] = []byte(fmt.Sprintf(`{"scope":{"name":%q,"version":"0.69.0"},"spans":[`, http[0]))
	s.scopes[scopeClient] = []byte(fmt.Sprintf(`{"scope":{"name":%q,"version":"0.69.0"},"spans":[`, http[1]))
	return s
}

// span is one span under way.
type span struct {
	pod    *pod
	r      *request
	scope  scope
	trace  event.TraceID
	id     event.SpanID
	parent event.SpanID
	name   string
	kind   event.SpanKind
	start  int64
	attrs  []byte
	failed string // error.type, empty for none
}

// span starts a span below the hop's current one and returns the hop inside it.
func (w *world) span(h *hop, sc scope, name string, kind event.SpanKind) (*span, *hop) {
	sp := &span{pod: h.pod, r: h.r, scope: sc, trace: h.trace, id: w.rng.spanID(), parent: h.span, name: name, kind: kind, start: w.s.now}
	if k := len(w.attrs); k > 0 {
		sp.attrs, w.attrs = w.attrs[k-1][:0], w.attrs[:k-1]
	} else {
		sp.attrs = make([]byte, 0, 768)
	}
	if sp.trace.IsZero() { // a new root
		sp.trace = w.rng.traceID()
	}
	in := *h
	in.trace, in.span = sp.trace, sp.id
	return sp, &in
}

func (s *span) str(key, v string) *span {
	s.key(key)
	s.attrs = append(s.attrs, `{"stringValue":`...)
	s.attrs = appendQuoted(s.attrs, v)
	s.attrs = append(s.attrs, `}}`...)
	return s
}

func (s *span) int(key string, v int64) *span {
	s.key(key)
	s.attrs = append(s.attrs, `{"intValue":"`...)
	s.attrs = strconv.AppendInt(s.attrs, v, 10)
	s.attrs = append(s.attrs, `"}}`...)
	return s
}

func (s *span) list(key, v string) *span {
	s.key(key)
	s.attrs = append(s.attrs, `{"arrayValue":{"values":[{"stringValue":`...)
	s.attrs = appendQuoted(s.attrs, v)
	s.attrs = append(s.attrs, `}]}}}`...)
	return s
}

func (s *span) key(key string) {
	if len(s.attrs) > 0 {
		s.attrs = append(s.attrs, ',')
	}
	s.attrs = append(s.attrs, `{"key":"`...)
	s.attrs = append(s.attrs, key...)
	s.attrs = append(s.attrs, `","value":`...)
}

// end ends a span: it joins its pod's batch. It reports whether it will arrive.
func (w *world) end(sp *span) bool {
	s := sp.pod.sdk
	n := sp.pod.node
	if s.count == 0 {
		s.batch++
		s.opened = w.s.now
		s.lost = w.outRNG.chance(w.o.Loss)
		id := s.batch
		w.s.at(w.s.now+w.outRNG.between(sdkDelay/5, sdkDelay), func() {
			if s.batch == id {
				s.flush()
			}
		})
	}
	b := s.spans[sp.scope]
	if len(b) > 0 {
		b = append(b, ',')
	}
	b = append(b, `{"traceId":"`...)
	b = appendHex(b, sp.trace[:])
	b = append(b, `","spanId":"`...)
	b = appendHex(b, sp.id[:])
	b = append(b, `","parentSpanId":"`...)
	if !sp.parent.IsZero() {
		b = appendHex(b, sp.parent[:])
	}
	b = append(b, `","flags":257,"name":`...)
	b = appendQuoted(b, sp.name)
	b = append(b, `,"kind":`...)
	b = strconv.AppendUint(b, uint64(sp.kind), 10)
	b = append(b, `,"startTimeUnixNano":"`...)
	b = strconv.AppendInt(b, int64(n.clock(sp.start)), 10)
	b = append(b, `","endTimeUnixNano":"`...)
	b = strconv.AppendInt(b, int64(n.clock(w.s.now)), 10)
	b = append(b, `","attributes":[`...)
	b = append(b, sp.attrs...)
	if sp.failed != "" {
		b = append(b, `],"status":{"code":2,"message":`...)
		b = appendQuoted(b, sp.failed)
		b = append(b, `}}`...)
	} else {
		b = append(b, `],"status":{}}`...)
	}
	s.spans[sp.scope] = b
	w.attrs, sp.attrs = append(w.attrs, sp.attrs), nil
	s.count++
	lost := s.lost
	if lost {
		w.sum.Lost++
		if sp.r != nil && sp.r.shared {
			sp.r.fragile = true
		}
	}
	if s.count >= sdkBatch {
		s.flush()
	}
	return !lost
}

// log adds a log record below a span, as ADK writes the model's messages: an
// event with a name, without a time of its own, its content left out. Logs have
// a batch processor too; here they leave with the spans.
func (w *world) log(sp *span, name string) {
	s := sp.pod.sdk
	b := s.logs
	if len(b) > 0 {
		b = append(b, ',')
	}
	b = append(b, `{"observedTimeUnixNano":"`...)
	b = strconv.AppendInt(b, int64(sp.pod.node.clock(w.s.now)), 10)
	b = append(b, `","severityNumber":9,"eventName":"`...)
	b = append(b, name...)
	b = append(b, `","body":{"stringValue":"<elided>"},"traceId":"`...)
	b = appendHex(b, sp.trace[:])
	b = append(b, `","spanId":"`...)
	b = appendHex(b, sp.id[:])
	s.logs = append(b, `","flags":1}`...)
	s.logged++
}

// flushLogs exports the log records, as a line of their own.
func (s *sdk) flushLogs() {
	if s.logged == 0 {
		return
	}
	n := s.pod.node
	b := n.otlp.begin(n.w.outRNG.between(2*ms, 80*ms))
	b = append(b, `{"resourceLogs"`...)
	b = append(b, s.resource[len(`{"resourceSpans"`):len(s.resource)-len(`"scopeSpans":[`)]...)
	b = append(b, `"scopeLogs":[{"scope":{"name":"gcp.vertex.agent"},"logRecords":[`...)
	b = append(b, s.logs...)
	b = append(b, `]}]}]}`...)
	n.otlp.end(b, s.logged, false)
	s.logs, s.logged = s.logs[:0], 0
}

// flush exports the batch, as one line of the collector's file exporter.
func (s *sdk) flush() {
	if s.count == 0 {
		return
	}
	s.flushLogs()
	n := s.pod.node
	count := s.count
	s.count = 0
	s.batch++
	if s.lost {
		n.emitLoss(event.SourceOTLP, s.opened, n.w.s.now, uint64(count), "export failed")
		for i := range s.spans {
			s.spans[i] = s.spans[i][:0]
		}
		return
	}
	b := n.otlp.begin(n.w.outRNG.between(2*ms, 80*ms))
	b = append(b, s.resource...)
	first := true
	for i, spans := range s.spans {
		if len(spans) == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, s.scopes[i]...)
		b = append(b, spans...)
		b = append(b, `]}`...)
		s.spans[i] = spans[:0]
	}
	b = append(b, `]}]}`...)
	n.otlp.end(b, count, false)
}

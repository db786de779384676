package otlp

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// scope is who made the spans. Sennit's receivers pass over it, so that traces which are
// sent to a Sennit do not become requests of which it sends traces.
var scope = "github.com/sennit-io/sennit"

// ids are those of one revision's trace. They follow from it alone, so a revision
// that is sent twice is the same trace.
type ids struct{ trace []byte }

func idsOf(timelineID string, revision uint32) ids {
	sum := sha256.Sum256([]byte("trace\x00" + timelineID + "\x00" + strconv.FormatUint(uint64(revision), 10)))
	return ids{sum[:16]}
}

// span is the id of a step's span; the request's is that of no step.
func (i ids) span(step string) []byte {
	sum := sha256.Sum256([]byte("span\x00" + string(i.trace) + "\x00" + step))
	return sum[:8]
}

// trace makes the spans of a timeline, by who they are of.
func trace(t *timeline.Timeline) []*tracepb.ResourceSpans {
	b := builder{t: t, ids: idsOf(t.ID, t.Revision), at: make(map[string]int, len(t.Steps)), spans: map[resource]*tracepb.ResourceSpans{}}
	for i := range t.Steps {
		b.at[t.Steps[i].ID] = i
	}
	b.parents()
	b.request()
	for i := range t.Steps {
		b.step(i)
	}
	return b.out
}

// builder makes the spans of one timeline.
type builder struct {
	t      *timeline.Timeline
	ids    ids
	at     map[string]int // steps by id
	parent []int          // of each step; -1 for the request
	spans  map[resource]*tracepb.ResourceSpans
	out    []*tracepb.ResourceSpans // in order of appearance
}

// resource is who a span is of.
type resource struct{ service, namespace, pod, node string }

// parents finds the step above each. One that would be above itself is below the
// request.
func (b *builder) parents() {
	b.parent = make([]int, len(b.t.Steps))
	for i := range b.t.Steps {
		p, ok := b.at[b.t.Steps[i].ParentID]
		if !ok {
			p = -1
		}
		b.parent[i] = p
	}
	ends := make([]bool, len(b.parent)) // the way up is known to end
	for i := range b.parent {
		on := map[int]bool{}
		at := i
		for ; at >= 0 && !ends[at]; at = b.parent[at] {
			if on[at] {
				b.parent[at] = -1
				break
			}
			on[at] = true
		}
		for k := range on {
			ends[k] = true
		}
	}
}

// inherited is an attribute of a step, or of the nearest one above that has it.
func (b *builder) inherited(i int, key string) string {
	for ; i >= 0; i = b.parent[i] {
		if a, ok := b.t.Steps[i].Attributes.Get(key); ok && a.Str != "" {
			return a.Str
		}
	}
	return ""
}

// of finds whom a step is of. What the network and the kernel saw is of the service
// whose step they saw it for.
func (b *builder) of(i int) resource {
	w := &b.t.Workload
	s := &b.t.Steps[i]
	if s.Layer == timeline.LayerEdge {
		return resource{service: "edge"}
	}
	r := resource{
		service: b.inherited(i, "service.name"), namespace: b.inherited(i, "k8s.namespace.name"), pod: b.inherited(i, "k8s.pod.name"), node: s.Node,
	}
	r.service = cmp.Or(r.service, r.pod, w.Service, w.Pod, "unknown_service")
	return r
}

func (b *builder) add(r resource, s *tracepb.Span) {
	rs := b.spans[r]
	if rs == nil {
		rs = resourceSpans(&resourcepb.Resource{Attributes: r.attributes(b.t)}, nil)
		b.spans[r] = rs
		b.out = append(b.out, rs)
	}
	rs.ScopeSpans[0].Spans = append(rs.ScopeSpans[0].Spans, s)
}

func resourceSpans(r *resourcepb.Resource, spans []*tracepb.Span) *tracepb.ResourceSpans {
	return &tracepb.ResourceSpans{Resource: r, ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: scope}, Spans: spans}}}
}

func (r resource) attributes(t *timeline.Timeline) []*commonpb.KeyValue {
	var a attributes
	a.text("service.name", r.service)
	a.text("k8s.namespace.name", r.namespace)
	a.text("k8s.pod.name", r.pod)
	a.text("k8s.node.name", r.node)
	a.text("k8s.cluster.name", t.Workload.Cluster)
	return a
}

// request adds the span that all others are below.
func (b *builder) request() {
	t := b.t
	s := &tracepb.Span{
		TraceId: b.ids.trace, SpanId: b.ids.span(""), Name: utf8(requestName(t)), Kind: tracepb.Span_SPAN_KIND_SERVER,
	}
	s.StartTimeUnixNano, s.EndTimeUnixNano = times(t.Start, t.End, t.Start)
	var a attributes
	a.text("sennit.timeline_id", t.ID)
	a.number("sennit.revision", int64(t.Revision))
	a.list("sennit.trace_ids", t.TraceIDs)
	a.list("sennit.related", t.Related)
	a.text("http.request.method", t.Request.Method)
	a.text("url.path", t.Request.Path)
	a.whole("http.response.status_code", int64(t.Request.Status))
	a.text("client.address", t.Request.Client)
	a.text("sennit.workload.proof", t.Workload.Proof)
	a.list("sennit.agents", t.Agents)
	a.list("sennit.models", t.Models)
	a.list("sennit.tools", t.Tools)
	a.whole("gen_ai.usage.input_tokens", int64(t.Tokens.Input))
	a.whole("gen_ai.usage.output_tokens", int64(t.Tokens.Output))
	a.real("sennit.completeness.score", t.Completeness.Score)
	a.list("sennit.completeness.missing", t.Completeness.Missing)
	a.number("sennit.steps", int64(len(t.Steps)))
	a.whole("sennit.truncated", int64(t.Truncated))
	a.whole("sennit.ambiguous", int64(len(t.Ambiguous)))
	s.Attributes = a
	if t.Request.Status >= 500 {
		s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	}
	for _, id := range t.TraceIDs { // the whole of an original trace: no one span of it
		if link := b.link(id, ""); link != nil {
			s.Links = append(s.Links, link)
		}
	}
	if t.Revision > 1 {
		before := idsOf(t.ID, t.Revision-1)
		var l attributes
		l.text("sennit.link", "previous_revision")
		s.Links = append(s.Links, &tracepb.Span_Link{TraceId: before.trace, SpanId: before.span(""), Attributes: l})
	}
	for i := range t.Completeness.Gaps {
		s.Events = append(s.Events, b.gap(&t.Completeness.Gaps[i]))
	}
	for i := range t.Alerts {
		if b.first(&t.Alerts[i]) < 0 {
			s.Events = append(s.Events, b.alert(&t.Alerts[i], t.End))
		}
	}
	b.add(b.entry(), s)
}

// entry is whom the request's span is of: the workload that took it in.
func (b *builder) entry() resource {
	w := &b.t.Workload
	return resource{cmp.Or(w.Service, w.Pod, "unknown_service"), w.Namespace, w.Pod, w.Node}
}

func requestName(t *timeline.Timeline) string {
	switch {
	case t.Request.Method != "" || t.Request.Path != "":
		return cmp.Or(t.Request.Method, "?") + " " + cmp.Or(t.Request.Path, "?")
	case len(t.Agents) > 0:
		return "request to " + t.Agents[0]
	}
	return "request"
}

// first is the first step that an alert names, -1 for none that is there.
func (b *builder) first(a *timeline.AlertRef) int {
	for _, id := range a.StepIDs {
		if i, ok := b.at[id]; ok {
			return i
		}
	}
	return -1
}

// step adds the span of a step.
func (b *builder) step(i int) {
	t, step := b.t, &b.t.Steps[i]
	s := &tracepb.Span{
		TraceId: b.ids.trace, SpanId: b.ids.span(step.ID), Name: utf8(cmp.Or(step.Name, string(step.Layer))),
		Kind: kinds[step.Layer], Attributes: stepAttributes(step),
	}
	if p := b.parent[i]; p >= 0 {
		s.ParentSpanId = b.ids.span(t.Steps[p].ID)
	} else {
		s.ParentSpanId = b.ids.span("")
	}
	s.StartTimeUnixNano, s.EndTimeUnixNano = times(step.Start, step.End, t.Start)
	switch step.Status {
	case timeline.Error, timeline.Denied, timeline.Killed:
		s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: string(step.Status)}
	}
	if step.SpanID != "" {
		if link := b.link(step.TraceID, step.SpanID); link != nil {
			s.Links = []*tracepb.Span_Link{link}
		}
	}
	for k := range t.Alerts {
		if b.first(&t.Alerts[k]) == i {
			s.Events = append(s.Events, b.alert(&t.Alerts[k], step.Start))
		}
	}
	b.add(b.of(i), s)
}

var kinds = map[timeline.Layer]tracepb.Span_SpanKind{
	timeline.LayerEdge: tracepb.Span_SPAN_KIND_SERVER, timeline.LayerServer: tracepb.Span_SPAN_KIND_SERVER,
	timeline.LayerModel: tracepb.Span_SPAN_KIND_CLIENT, timeline.LayerHTTP: tracepb.Span_SPAN_KIND_CLIENT, timeline.LayerDNS: tracepb.Span_SPAN_KIND_CLIENT,
	timeline.LayerNetwork: tracepb.Span_SPAN_KIND_INTERNAL, timeline.LayerPolicy: tracepb.Span_SPAN_KIND_INTERNAL, timeline.LayerAgent: tracepb.Span_SPAN_KIND_INTERNAL,
	timeline.LayerTool: tracepb.Span_SPAN_KIND_INTERNAL, timeline.LayerProcess: tracepb.Span_SPAN_KIND_INTERNAL, timeline.LayerFile: tracepb.Span_SPAN_KIND_INTERNAL,
	timeline.LayerSyscall: tracepb.Span_SPAN_KIND_INTERNAL,
}

// link leads to a span of the original trace, or to no one span of it. Nil: that is
// no trace id.
func (b *builder) link(traceID, spanID string) *tracepb.Span_Link {
	id, err := hex.DecodeString(traceID)
	if err != nil || len(id) != 16 {
		return nil
	}
	span, err := hex.DecodeString(spanID)
	if err != nil || len(span) != 8 {
		span = nil
	}
	var a attributes
	a.text("sennit.link", "original")
	if span == nil { // a link must have one: the first span that is known of the trace
		for i := range b.t.Steps {
			s := &b.t.Steps[i]
			if s.TraceID == traceID && len(s.SpanID) == 16 {
				if span, err = hex.DecodeString(s.SpanID); err == nil {
					break
				}
			}
		}
	}
	if len(span) != 8 {
		return nil
	}
	return &tracepb.Span_Link{TraceId: id, SpanId: span, Attributes: a}
}

func (b *builder) alert(a *timeline.AlertRef, at event.Time) *tracepb.Span_Event {
	var l attributes
	l.text("sennit.alert.id", a.AlertID)
	l.text("sennit.alert.rule_id", a.RuleID)
	l.text("sennit.alert.severity", a.Severity)
	l.text("sennit.alert.title", a.Title)
	l.text("sennit.alert.state", a.State)
	when, _ := times(at, at, b.t.Start)
	return &tracepb.Span_Event{Name: "sennit.alert", TimeUnixNano: when, Attributes: l}
}

func (b *builder) gap(g *timeline.Gap) *tracepb.Span_Event {
	var l attributes
	l.text("sennit.gap.source", g.Source)
	l.text("sennit.gap.node", g.Node)
	l.whole("sennit.gap.lost", int64(g.Lost))
	l.text("sennit.gap.reason", g.Reason)
	when, _ := times(g.Start, g.End, b.t.Start)
	return &tracepb.Span_Event{Name: "sennit.gap", TimeUnixNano: when, Attributes: l}
}

// times are start and end; what is not known is what is known instead, so that
// nobody draws a span since 1970.
func times(start, end, otherwise event.Time) (from, to uint64) {
	start = cmp.Or(start, end, otherwise)
	end = max(end, start)
	return uint64(max(start, 0)), uint64(max(end, 0))
}

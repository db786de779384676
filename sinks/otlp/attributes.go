package otlp

import (
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// attributes of a span. What is empty or zero is unknown and left out.
type attributes []*commonpb.KeyValue

func (a *attributes) add(key string, v *commonpb.AnyValue) {
	*a = append(*a, &commonpb.KeyValue{Key: utf8(key), Value: v})
}

func (a *attributes) text(key, s string) {
	if s != "" {
		a.add(key, textValue(s))
	}
}

// number is one whose zero says something.
func (a *attributes) number(key string, n int64) {
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}})
}

// whole is one whose zero is unknown.
func (a *attributes) whole(key string, n int64) {
	if n != 0 {
		a.number(key, n)
	}
}

func (a *attributes) real(key string, f float64) {
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: f}})
}

func (a *attributes) truth(key string, b bool) {
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: b}})
}

func (a *attributes) list(key string, list []string) {
	if len(list) == 0 {
		return
	}
	values := make([]*commonpb.AnyValue, len(list))
	for i, s := range list {
		values[i] = textValue(s)
	}
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: values}}})
}

func textValue(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: utf8(s)}}
}

// utf8 makes a string one that protobuf takes, whatever a sender wrote.
func utf8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// stepAttributes are a step's own, under their names, and what Sennit knows of it.
func stepAttributes(s *timeline.Step) []*commonpb.KeyValue {
	a := make(attributes, 0, len(s.Attributes)+16)
	for i := range s.Attributes {
		if at := &s.Attributes[i]; at.IsNum {
			a.number(at.Key, at.Num)
		} else {
			a.text(at.Key, at.Str)
		}
	}
	a.text("sennit.step_id", s.ID)
	a.text("sennit.layer", string(s.Layer))
	a.text("sennit.status", string(s.Status))
	a.text("sennit.source", s.Source)
	a.text("sennit.node", s.Node)
	if _, has := s.Attributes.Get("process.pid"); !has {
		a.whole("process.pid", int64(s.PID))
	}
	a.text("sennit.socket_cookie", s.SocketCookie)
	a.list("sennit.event_ids", s.EventIDs)
	if c := s.Connection; c != nil {
		a.text("sennit.connection.socket_cookie", c.SocketCookie)
		a.whole("sennit.connection.shared", int64(c.Shared))
		a.text("sennit.connection.verdict", c.Verdict)
		a.text("sennit.connection.sni", c.SNI)
	}
	j := &s.Join
	a.text("sennit.join.method", j.Method)
	a.truth("sennit.join.exact", j.Exact)
	a.real("sennit.join.confidence", j.Confidence)
	a.number("sennit.join.candidates", int64(j.Candidates))
	a.list("sennit.join.evidence", j.Evidence)
	rejected := make([]string, len(j.Rejected))
	for i, r := range j.Rejected {
		rejected[i] = r.TimelineID + ": " + r.Why
	}
	a.list("sennit.join.rejected", rejected)
	return a
}

package otlp

import (
	"fmt"
	"math"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Decoder reads OTLP requests. The zero value is ready; one that is reused does
// not allocate for names it has met. Not for concurrent use.
//
// A span is one event of kind span, a log record one of kind span_log. A line
// or message that cannot be read as a whole is one bad record and gives no
// events; a single span or log record with an impossible value (no trace or
// span id, an end before its start, too many attributes) is bad by itself and
// the others of its request stand. Metrics and profiles are of an unknown type.
//
// A span without an end has not ended: SDKs export none such, crash handlers
// do. Its start stands for the end, its status is error, its error
// "unfinished", and its id differs from that of the same span when it has
// ended, which must not be dropped as a duplicate.
type Decoder struct {
	// Redact says what may leave the node.
	Redact redact.Policy

	json   scan.JSON
	names  scan.Intern
	recent [256]string
	ids    event.Hasher
	tools  redact.Hasher
	args   scan.JSON
	arena  []byte // texts with escapes, rendered values; of one record
	joined []byte // argument lists joined to one text

	res        resource
	scope      string
	span       spanRecord
	log        logRecord
	other      attrs // of a resource, or of a span's event
	lateScopes []scan.Mark
	lateItems  []scan.Mark

	batch  *event.Batch
	tally  ingest.Tally
	fault  error // of the first bad record
	at     int   // its place in the request, from 1
	binary bool
}

// signal is what a request carries.
type signal uint8

const (
	traces signal = iota
	logs
)

func (s signal) String() string {
	if s == logs {
		return "log record"
	}
	return "span"
}

func (d *Decoder) begin(b *event.Batch, binary bool) {
	d.batch, d.binary = b, binary
	d.tally, d.fault = ingest.Tally{}, nil
	d.res, d.scope = resource{}, ""
	d.tools.Key = d.Redact.Key
}

// whole ends a request that is one bad record, and takes back its events.
func (d *Decoder) whole(from int, err error) (ingest.Tally, error) {
	clear(d.batch.Events[from:])
	d.batch.Events = d.batch.Events[:from]
	d.batch = nil
	return ingest.Tally{In: 1, Bad: 1}, err
}

// end ends a request that could be read.
func (d *Decoder) end(sig signal) (ingest.Tally, error) {
	d.batch = nil
	if d.fault == nil {
		return d.tally, nil
	}
	what := fmt.Errorf("%s %d of the request: %w", sig, d.at, d.fault)
	if d.tally.Bad > 1 {
		what = fmt.Errorf("%w (and %d more bad records)", what, d.tally.Bad-1)
	}
	return d.tally, what
}

func (d *Decoder) bad(err error) {
	d.tally.Bad++
	if d.fault == nil {
		d.fault, d.at = err, d.tally.In
	}
}

// addSpan judges the span in d.span and appends its event.
func (d *Decoder) addSpan() {
	d.tally.In++
	r := &d.span
	var traceID event.TraceID
	var spanID, parentID event.SpanID
	switch {
	case !d.readID(traceID[:], r.traceID) || traceID.IsZero():
		d.bad(errTraceID)
		return
	case !d.readID(spanID[:], r.spanID) || spanID.IsZero():
		d.bad(errSpanID)
		return
	case len(r.parentID) > 0 && !d.readID(parentID[:], r.parentID):
		d.bad(errParentID)
		return
	case r.start == 0 && r.end == 0:
		d.bad(errNoTime)
		return
	case r.start > math.MaxInt64 || r.end > math.MaxInt64:
		d.bad(errTimeRange)
		return
	case r.end != 0 && r.end < r.start:
		d.bad(errBackwards)
		return
	}
	a := &r.attrs
	s := d.batch.NewSpan()
	s.TraceID, s.SpanID, s.ParentID = traceID, spanID, parentID
	if r.kind > 0 && r.kind <= int64(event.SpanKindConsumer) {
		s.Kind = event.SpanKind(r.kind)
	}
	switch r.status {
	case 1:
		s.Status = event.StatusOK
	case 2:
		s.Status = event.StatusError
	}
	s.Scope, s.Service = d.scope, d.res.service
	s.PID, s.Workload = d.res.pid, d.res.workload
	if a.set&(networkSlots|httpSlots) != 0 {
		d.readNetwork(s, a)
	}
	s.Name = d.str(d.redactName(r.name, a.set&httpSlots != 0 || isEnd(s.Kind)))
	d.readStage(s, a)
	switch {
	case a.set.has(slotErrorType):
		s.Error = d.str(a.text(slotErrorType))
		if s.Status == event.StatusUnset && s.Error != "" {
			s.Status = event.StatusError
		}
	case a.set.has(slotException):
		s.Error = d.str(a.text(slotException))
	case len(r.exception) > 0:
		s.Error = d.str(r.exception)
	}
	s.Links = d.batch.CopyLinks(r.links)

	end := event.Time(r.end)
	s.Start = event.Time(r.start)
	if s.Start == 0 {
		s.Start = end
	}
	d.ids.Reset(event.KindSpan).Bytes(s.TraceID[:]).Bytes(s.SpanID[:])
	if end == 0 {
		end = s.Start
		s.Status, s.Error = event.StatusError, "unfinished"
		d.ids.String(s.Error)
	}
	e := d.batch.Add(event.KindSpan, event.SourceOTLP)
	e.ID = d.ids.Sum()
	e.Cluster, e.Node = s.Workload.Cluster, s.Workload.Node
	e.Time = end
	e.Payload = s
}

// addLog judges the log record in d.log and appends its event.
func (d *Decoder) addLog() {
	d.tally.In++
	r := &d.log
	var traceID event.TraceID
	var spanID event.SpanID
	switch {
	case len(r.traceID) > 0 && !d.readID(traceID[:], r.traceID):
		d.bad(errTraceID)
		return
	case len(r.spanID) > 0 && !d.readID(spanID[:], r.spanID):
		d.bad(errSpanID)
		return
	case r.time == 0 && r.observed == 0:
		d.bad(errLogNoTime)
		return
	case r.time > math.MaxInt64 || r.observed > math.MaxInt64:
		d.bad(errTimeRange)
		return
	}
	l := d.batch.NewSpanLog()
	l.TraceID, l.SpanID = traceID, spanID
	l.Name = d.str(r.name)
	if l.Name == "" {
		l.Name = d.str(r.attrs.text(slotEventName))
	}
	l.Severity = severity(r.severity)
	if l.Severity == "" {
		l.Severity = d.names.Lower(r.severityText[:min(len(r.severityText), 32)])
	}
	l.Service, l.Workload = d.res.service, d.res.workload

	e := d.batch.Add(event.KindSpanLog, event.SourceOTLP)
	e.Time, e.Observed = event.Time(r.time), event.Time(r.observed)
	if e.Time == 0 {
		e.Time = e.Observed
	}
	e.Cluster, e.Node = l.Workload.Cluster, l.Workload.Node
	// Records of one instant differ in their content alone, which may be a
	// prompt: the cluster's key keeps the id from giving it away.
	e.ID = d.ids.Reset(event.KindSpanLog).Bytes(d.Redact.Key[:]).
		String(e.Node).String(l.Workload.Namespace).String(l.Workload.Pod).String(l.Service).String(d.scope).
		Uint(r.time).Uint(r.observed).Bytes(l.TraceID[:]).Bytes(l.SpanID[:]).
		String(l.Name).String(l.Severity).Bytes(r.content).Sum()
	e.Payload = l
}

// severity names the ranges of OpenTelemetry's severity numbers.
func severity(n int64) string {
	switch {
	case n < 1 || n > 24:
		return ""
	case n <= 4:
		return "trace"
	case n <= 8:
		return "debug"
	case n <= 12:
		return "info"
	case n <= 16:
		return "warn"
	case n <= 20:
		return "error"
	}
	return "fatal"
}

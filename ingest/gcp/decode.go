package gcp

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Decoder decodes log entries. The zero value is ready and redacts everything; a
// decoder that is reused allocates nothing for what it has met before. Not for
// concurrent use.
//
// One entry gives one event: KindEdgeRequest, KindDNS, KindPolicyVerdict or
// KindFlow. Event.Observed is the time at which Cloud Logging received it.
// Event.Node is empty except for policy verdicts that name the node of the side
// that decided.
//
// Times: a load balancer's timestamp is taken for the moment the request came in,
// so its event, which is timed by its end, is at timestamp + latency. A VPC flow's
// timestamp says when it was logged, minutes later; its event is at end_time.
type Decoder struct {
	Redact redact.Policy

	s     scan.JSON
	names scan.Recent // what repeats
	lower scan.Intern // the same, in lower case
	paths scan.Intern // apart, since paths with ids in them would evict the names
	ids   event.Hasher
	r     record

	// Of the record at hand, and kept for their room.
	answers  []netip.Addr
	insertID []byte
	buf      []byte
}

// route is the kind of log an entry belongs to.
type route uint8

const (
	routeNone route = iota
	routeEdge
	routeDNS
	routePolicy
	routeVPC
)

var (
	errNoEntry    = fmt.Errorf("%w: no LogEntry of Google Cloud", ingest.ErrUnknownType)
	errOtherEntry = fmt.Errorf("%w: LogEntry of a log that Sennit does not read", ingest.ErrUnknownType)
)

// Decode appends the event of one LogEntry, or of one line of policy_action.log,
// to b. The error is nil unless the record is bad or of an unknown type, which
// wraps ingest.ErrUnknownType; b is unchanged then. rec is not kept.
func (d *Decoder) Decode(rec []byte, b *event.Batch) (ingest.Tally, error) {
	err := d.read(rec, false)
	if errors.Is(err, scan.ErrType) {
		// A value of the wrong type in an entry we do not read is none of our
		// business, and the log's name may stand behind it: look for it alone.
		typeErr := err
		if err = d.read(rec, true); err == nil && d.route() != routeNone {
			err = typeErr
		}
	}
	if err != nil {
		return ingest.Tally{In: 1, Bad: 1}, fmt.Errorf("read LogEntry: %w", err)
	}
	switch d.route() {
	case routeEdge:
		d.edgeEvent(b)
	case routeDNS:
		d.dnsEvent(b)
	case routePolicy:
		d.policyEvent(b)
	case routeVPC:
		d.vpcEvent(b)
	default:
		err = errNoEntry
		if d.r.resourceType != "" || d.r.logName != "" {
			err = errOtherEntry
		}
		return ingest.Tally{In: 1, UnknownType: 1}, err
	}
	return ingest.Tally{In: 1}, nil
}

// route tells which log the entry is of.
func (d *Decoder) route() route {
	r := &d.r
	switch r.resourceType {
	case "http_load_balancer", "http_external_regional_lb_rule":
		if r.hasHTTP {
			return routeEdge // and not an audit log about the load balancer
		}
		return routeNone
	}
	switch logID(r.logName) {
	case "dns.googleapis.com%2Fdns_queries", "dns.googleapis.com/dns_queries":
		if r.has&hasQuery != 0 {
			return routeDNS
		}
	case "policy-action":
		if r.has&hasConnection != 0 {
			return routePolicy
		}
	case "compute.googleapis.com%2Fvpc_flows", "compute.googleapis.com/vpc_flows",
		"networkmanagement.googleapis.com%2Fvpc_flows", "networkmanagement.googleapis.com/vpc_flows":
		if r.has&hasConnection != 0 {
			return routeVPC
		}
	case "":
		// A bare line of policy_action.log has no log to be of.
		if r.resourceType == "" && r.has&(hasConnection|hasDisposition) == hasConnection|hasDisposition {
			return routePolicy
		}
	}
	return routeNone
}

// read reads the record. With routeOnly it takes no value of a known member for
// wrong, and keeps only what route needs.
func (d *Decoder) read(rec []byte, routeOnly bool) error {
	d.r = record{}
	d.answers, d.insertID = d.answers[:0], d.insertID[:0]
	s := &d.s
	s.Reset(rec)
	if s.Peek() != '{' {
		s.Skip()
		return s.End()
	}
	if routeOnly {
		for s.Object(); s.Next(); {
			d.routeField()
		}
		return s.End()
	}
	s.Object()
	for i := s.Member(entryNames, 0); i >= 0; i = s.Member(entryNames, i+1) {
		d.entryMember(i)
	}
	return s.End()
}

// The members of a LogEntry that are read, in the order of the alphabet, as gcloud
// and sinks write them, with those that are passed over on the way.
const (
	entryHTTPRequest = iota
	entryInsertID
	entryJSONPayload
	entryLabels
	entryLogName
	entryReceived
	entryResource
	entrySeverity
	entrySpanID
	entryTimestamp
	entryTrace
	entryMembers
)

// entryNames are their names, and behind them those in snake_case.
var entryNames = scan.NewNames("httpRequest", "insertId", "jsonPayload", "labels", "logName", "receiveTimestamp", "resource",
	"severity", "spanId", "timestamp", "trace",
	"http_request", "insert_id", "json_payload", "log_name", "receive_timestamp", "span_id")

var entryAliases = [...]int{entryHTTPRequest, entryInsertID, entryJSONPayload, entryLogName, entryReceived, entrySpanID}

// entryMember reads the value of the member that stands at i in entryNames.
func (d *Decoder) entryMember(i int) {
	s, r := &d.s, &d.r
	switch {
	case i >= entryMembers+len(entryAliases):
		d.policyField()
		return
	case i >= entryMembers:
		i = entryAliases[i-entryMembers]
	}
	switch i {
	case entryInsertID:
		d.insertID = append(d.insertID[:0], s.Text()...)
	case entryLogName:
		r.logName = d.names.String(s.Text())
	case entryTimestamp:
		r.timestamp = s.Time()
	case entryReceived:
		r.received = s.Time()
	case entryTrace:
		if tc, ok := scan.CloudTrace(s.Text()); ok {
			r.trace = tc.TraceID
		}
	case entrySpanID:
		if !scan.Hex(r.span[:], s.Text()) {
			r.span = event.SpanID{}
		}
	case entryResource:
		d.resource()
	case entryHTTPRequest:
		if r.hasHTTP = s.Peek() == '{'; r.hasHTTP {
			d.httpRequest()
		} else {
			s.Skip()
		}
	case entryJSONPayload:
		s.Object()
		for j := s.Member(payloadNames, 0); j >= 0; j = s.Member(payloadNames, j+1) {
			d.payloadMember(j)
		}
	default:
		s.Skip()
	}
}

// routeField reads what route needs and nothing else.
func (d *Decoder) routeField() {
	s, r := &d.s, &d.r
	name := func(to *string) {
		if s.Peek() == '"' {
			*to = d.names.String(s.Bytes())
		} else {
			s.Skip()
		}
	}
	object := func(member func()) {
		if s.Peek() != '{' {
			s.Skip()
			return
		}
		for s.Object(); s.Next(); {
			member()
		}
	}
	switch string(s.Key()) {
	case "logName", "log_name":
		name(&r.logName)
	case "resource":
		object(func() {
			if string(s.Key()) == "type" {
				name(&r.resourceType)
			} else {
				s.Skip()
			}
		})
	case "httpRequest", "http_request":
		r.hasHTTP = s.Peek() == '{'
		s.Skip()
	case "jsonPayload", "json_payload":
		object(func() {
			d.mark()
			s.Skip()
		})
	default:
		d.mark()
		s.Skip()
	}
}

// has tells which tell-tale members a payload has.
type has uint8

const (
	hasConnection has = 1 << iota
	hasDisposition
	hasQuery
)

// mark notes the member at hand if it is a tell-tale one and not null.
func (d *Decoder) mark() {
	var m has
	switch string(d.s.Key()) {
	case "connection":
		m = hasConnection
	case "disposition":
		m = hasDisposition
	case "queryName":
		m = hasQuery
	}
	if m != 0 && d.s.Peek() != 'n' {
		d.r.has |= m
	}
}

// logID returns what follows "/logs/" in a name like
// "projects/p/logs/dns.googleapis.com%2Fdns_queries".
func logID(name string) string {
	const sep = "/logs/"
	i := len(name) - len(sep)
	for ; i >= 0 && name[i:i+len(sep)] != sep; i-- {
	}
	if i < 0 {
		return ""
	}
	return name[i+len(sep):]
}

package hubble

import (
	"fmt"
	"net/netip"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Decoder decodes Hubble records. The zero value is ready and redacts
// everything; a decoder that is reused allocates nothing for what it has met
// before. Not for concurrent use.
//
// A flow gives one event: KindHTTPFlow or KindDNS when it carries that record,
// KindPolicyVerdict when it is one (event type 5), KindFlow otherwise. A
// lost_events message gives one KindLoss. All other messages, and JSON that is
// none of Hubble's, are of unknown type.
//
// Every field is optional, as field masks of the exporter may remove any of
// them; an event without a time has Time 0. Addresses that are none, ports over
// 65535 and times that cannot be are bad. Ids and trace headers that cannot be
// read are left out instead: clients choose them.
type Decoder struct {
	Redact redact.Policy

	s     scan.JSON
	p     scan.Proto
	names scan.Recent // what repeats
	lower scan.Intern // the same, in lower case
	paths scan.Intern // apart, since paths with ids in them would evict the names
	ends  endpoints
	ids   event.Hasher
	r     record

	rec []byte // the record at hand, if it is JSON
	// Of the record at hand, and kept for their room.
	answers  []netip.Addr
	uuidText []byte // a uuid that is none: hashed into the id
	value    []byte // a header's value that came before its key
	buf      []byte // what is put together before it is interned
}

// message is the member of the envelope that says what it carries.
type message uint8

const (
	messageNone message = iota
	messageFlow
	messageLost
	messageNodeStatus
	messageAgentEvent
	messageDebugEvent
)

// Errors of well-formed records without an event, built once: a file may hold
// nothing else.
var unknownErrors = [...]error{
	messageNone:       fmt.Errorf("%w: no Hubble flow or message in it", ingest.ErrUnknownType),
	messageNodeStatus: fmt.Errorf("%w: Hubble node_status", ingest.ErrUnknownType),
	messageAgentEvent: fmt.Errorf("%w: Hubble agent_event", ingest.ErrUnknownType),
	messageDebugEvent: fmt.Errorf("%w: Hubble debug_event", ingest.ErrUnknownType),
}

// Decode appends the event of one JSON record to b. The error is nil unless the
// record is bad or of an unknown type, which wraps ingest.ErrUnknownType; b is
// unchanged then. rec is not kept.
func (d *Decoder) Decode(rec []byte, b *event.Batch) (ingest.Tally, error) {
	d.begin()
	d.rec = rec
	d.s.Reset(rec)
	if c := d.s.Peek(); c != '{' && c != 0 {
		d.s.Skip()
		if err := d.s.End(); err != nil {
			return ingest.Tally{In: 1, Bad: 1}, fmt.Errorf("read Hubble record: %w", err)
		}
		return ingest.Tally{In: 1, UnknownType: 1}, unknownErrors[messageNone]
	}
	d.envelope()
	if err := d.s.End(); err != nil {
		return ingest.Tally{In: 1, Bad: 1}, fmt.Errorf("read Hubble record: %w", err)
	}
	return d.finish(b)
}

// begin forgets the last record.
func (d *Decoder) begin() {
	d.r = record{}
	d.answers, d.uuidText = d.answers[:0], d.uuidText[:0]
}

// finish makes the event of what was read.
func (d *Decoder) finish(b *event.Batch) (ingest.Tally, error) {
	switch d.r.message {
	case messageFlow:
		d.flowEvent(b)
	case messageLost:
		d.lossEvent(b)
	default:
		return ingest.Tally{In: 1, UnknownType: 1}, unknownErrors[d.r.message]
	}
	return ingest.Tally{In: 1}, nil
}

// envelopeNames are the members of ExportEvent and GetFlowsResponse, in
// protojson's order.
var envelopeNames = scan.NewNames("flow", "node_status", "lost_events", "agent_event", "debug_event", "node_name", "time",
	"nodeStatus", "lostEvents", "agentEvent", "debugEvent", "nodeName")

// envelope reads ExportEvent and GetFlowsResponse, or a bare flow, whose members
// stand where the envelope's would.
func (d *Decoder) envelope() {
	s, r := &d.s, &d.r
	s.Object()
	for i := s.Member(envelopeNames, 0); i >= 0; i = s.Member(envelopeNames, i+1) {
		switch i {
		case 0:
			if s.Peek() == 'n' {
				s.Skip()
				continue
			}
			if r.bare { // what looked like a flow's members was not
				*r = record{outerTime: r.outerTime, outerCluster: r.outerCluster, outerNode: r.outerNode}
				d.answers, d.uuidText = d.answers[:0], d.uuidText[:0]
			}
			r.message = messageFlow
			d.readFlow()
		case 5, 11:
			r.outerCluster, r.outerNode = d.node(s.Text())
		case 6:
			r.outerTime = s.Time()
		case 2, 8:
			if d.is(messageLost) {
				d.lostEvents()
			}
		case 1, 7:
			if d.is(messageNodeStatus) {
				s.Skip()
			}
		case 3, 9:
			if d.is(messageAgentEvent) {
				s.Skip()
			}
		case 4, 10:
			if d.is(messageDebugEvent) {
				s.Skip()
			}
		default:
			d.bareMember()
		}
	}
}

// bareMember reads a member that is none of the envelope's, but may be one of a
// flow without envelope.
func (d *Decoder) bareMember() {
	s, r := &d.s, &d.r
	if r.message != messageNone && !r.bare {
		s.Skip()
		return
	}
	i := flowPlace(s.Key())
	if i < 0 {
		s.Skip()
		return
	}
	r.message, r.bare = messageFlow, true
	d.flowMember(i)
}

// is notes the message that comes next, and passes over a null.
func (d *Decoder) is(m message) bool {
	if d.s.Peek() == 'n' {
		d.s.Skip()
		return false
	}
	d.r.message, d.r.bare = m, false
	return true
}

// node splits a node name, which may be "cluster/node".
func (d *Decoder) node(b []byte) (cluster, node string) {
	c, n := scan.Node(b)
	return d.names.String(c), d.names.String(n)
}

// Package recording reads Sennit's own recordings: one event.Event a line, as
// Event.AppendJSON writes it. What record and simulate write, replay reads.
package recording

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Decoder reads recorded events. The zero value is ready. A Decoder that is
// reused does not allocate, except for strings it has not seen before. Not for
// concurrent use.
type Decoder struct {
	// Redact is here because every decoder has one. It changes nothing:
	// recordings are written after redaction.
	Redact redact.Policy

	scan    scan.JSON
	strings scan.Intern
	hash    event.Hasher
	buf     []byte

	// Lists under construction, copied into the batch when they are whole.
	addrs      []netip.Addr
	addrPorts  []netip.AddrPort
	ports      []uint16
	links      []event.SpanLink
	containers []event.Container
}

var (
	errTwice  = errors.New("member occurs twice")
	errNoTime = errors.New("event has no time")
)

// Decode appends the event of one recorded line to b. A line whose kind is
// unknown, absent, or made by the processor alone (peer_trace, alias) is of an
// unknown type; one that is no JSON, has no time, or holds a value that cannot
// be, is bad. Members in any order are read, unknown ones skipped.
func (d *Decoder) Decode(rec []byte, b *event.Batch) (ingest.Tally, error) {
	var e event.Event
	name, err := d.event(rec, &e, b)
	switch {
	case err != nil:
		return ingest.Tally{In: 1, Bad: 1}, err
	case e.Kind == event.KindNone:
		return ingest.Tally{In: 1, UnknownType: 1}, fmt.Errorf("%w: Sennit event of kind %q", ingest.ErrUnknownType, name)
	}
	if e.ID.IsZero() {
		e.ID = d.id(&e)
	}
	*b.Add(e.Kind, e.Source) = e
	return ingest.Tally{In: 1}, nil
}

// event reads the whole record into e. A kind that is not read leaves
// KindNone, and its name is returned.
func (d *Decoder) event(rec []byte, e *event.Event, b *event.Batch) (name string, err error) {
	s := &d.scan
	s.Reset(rec)
	if c := s.Peek(); c != '{' && c != 0 { // well-formed, but no event
		s.Skip()
		return "", s.End()
	}
	var late []byte // a payload that came before its kind
	var lateAt int
	sawKind, sawPayload := false, false
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "id":
			d.hex(e.ID[:])
		case "kind":
			if sawKind {
				s.Fail(errTwice)
			}
			sawKind = true
			text := s.Bytes()
			if e.Kind = kindOf(text); e.Kind == event.KindNone {
				name = d.strings.String(text)
			}
		case "source":
			d.text(&e.Source)
		case "cluster":
			e.Cluster = d.string()
		case "node":
			e.Node = d.string()
		case "boot":
			d.hex(e.Boot[:])
		case "time":
			e.Time = s.Time()
		case "observed":
			e.Observed = s.Time()
		case "payload":
			switch {
			case sawPayload:
				s.Fail(errTwice)
			case e.Kind != event.KindNone:
				e.Payload = d.payload(e.Kind, b)
			case sawKind: // of a kind that is not read
				s.Skip()
			default:
				s.Peek()
				lateAt = s.Pos()
				late = s.Raw()
			}
			sawPayload = true
		default:
			s.Skip()
		}
	}
	if err := s.End(); err != nil {
		return "", d.explain(err, 0)
	}
	if e.Kind == event.KindNone {
		return name, nil
	}
	if e.Payload == nil {
		if late == nil {
			late = emptyPayload
		}
		s.Reset(late)
		e.Payload = d.payload(e.Kind, b)
		if err := s.End(); err != nil {
			return "", d.explain(err, lateAt)
		}
	}
	if e.Time == 0 {
		return "", errNoTime
	}
	return "", nil
}

var emptyPayload = []byte("{}")

// explain adds the member at fault to an error about a value.
func (d *Decoder) explain(err error, offset int) error {
	if key := d.scan.Key(); len(key) > 0 && !errors.Is(err, scan.ErrSyntax) {
		err = fmt.Errorf("member %q: %w", key, err)
	}
	if offset > 0 {
		err = fmt.Errorf("in the payload at byte %d: %w", offset, err)
	}
	return err
}

// id names an event that was recorded without an id. The same line has the same
// id wherever it stands.
func (d *Decoder) id(e *event.Event) event.ID {
	const prefix = len(`{"id":"",`) + 2*len(e.ID)
	d.buf = e.AppendJSON(d.buf[:0])
	return d.hash.Reset(e.Kind).String(e.Node).Bytes(d.buf[prefix:]).Sum()
}

func (d *Decoder) string() string { return d.strings.String(d.scan.Bytes()) }

// hex fills dst from a string of hex digits; null and the empty string leave it
// zero.
func (d *Decoder) hex(dst []byte) {
	if b := d.scan.Bytes(); len(b) > 0 && !scan.Hex(dst, b) {
		d.scan.Fail(fmt.Errorf("%w: %.80q is not %d hex digits", event.ErrBadID, b, 2*len(dst)))
	}
}

// text reads a name or another textual form; null and the empty string leave v
// zero.
func (d *Decoder) text(v encoding.TextUnmarshaler) {
	if b := d.scan.Bytes(); len(b) > 0 {
		if err := v.UnmarshalText(b); err != nil {
			d.scan.Fail(err)
		}
	}
}

// Package recording reads Sennit's own recordings: one event.Event a line, as
// Event.AppendJSON writes it. What record and simulate write, replay reads.
package recording

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

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
	head    event.Event // under construction
	strings scan.Recent
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
	e := &d.head
	*e = event.Event{}
	name, err := d.event(rec, e, b)
	switch {
	case err != nil:
		return ingest.Tally{In: 1, Bad: 1}, err
	case e.Kind == event.KindNone:
		return ingest.Tally{In: 1, UnknownType: 1}, fmt.Errorf("%w: Sennit event of kind %q", ingest.ErrUnknownType, name)
	}
	if e.ID.IsZero() {
		e.ID = d.id(e)
	}
	*b.Add(e.Kind, e.Source) = *e
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
	s.Object()
	for i := s.Member(namesEvent, 0); i >= 0; i = s.Member(namesEvent, i+1) {
		switch i {
		case eventKind:
			if sawKind {
				s.Fail(errTwice)
			}
			sawKind = true
			text := s.Text()
			if e.Kind = kindOf(text); e.Kind == event.KindNone {
				name = d.strings.String(text)
			}
		case eventPayload:
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
			d.readEvent(i, e)
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

func (d *Decoder) string() string { return d.strings.String(d.scan.Text()) }

// uint reads a number that is at most limit.
func (d *Decoder) uint(limit uint64) uint64 {
	v := d.scan.Uint()
	if v > limit {
		d.scan.Fail(scan.Impossible("want a number not over " + strconv.FormatUint(limit, 10)))
		return 0
	}
	return v
}

// The textual values: null and the empty string are zero.

func (d *Decoder) time() event.Time {
	b := d.scan.Text()
	if len(b) == 0 {
		return 0
	}
	t, ok := scan.Time(b)
	if !ok {
		d.scan.Fail(scan.Impossible("want an RFC 3339 time between 1678 and 2261"))
	}
	return t
}

func (d *Decoder) addr() netip.Addr {
	b := d.scan.Text()
	if len(b) == 0 {
		return netip.Addr{}
	}
	a, ok := scan.Addr(b)
	if !ok {
		d.scan.Fail(scan.Impossible("want an IP address"))
	}
	return a
}

func (d *Decoder) addrPort() netip.AddrPort {
	b := d.scan.Text()
	if len(b) == 0 {
		return netip.AddrPort{}
	}
	a, ok := scan.AddrPort(b)
	if !ok {
		d.scan.Fail(scan.Impossible("want an IP address and port"))
	}
	return a
}

func (d *Decoder) hex(dst []byte) {
	if b := d.scan.Text(); len(b) > 0 && !scan.Hex(dst, b) {
		d.scan.Fail(fmt.Errorf("%w: %.80q is not %d hex digits", event.ErrBadID, b, 2*len(dst)))
	}
}

func (d *Decoder) text(v encoding.TextUnmarshaler) {
	if b := d.scan.Text(); len(b) > 0 {
		if err := v.UnmarshalText(b); err != nil {
			d.scan.Fail(err)
		}
	}
}

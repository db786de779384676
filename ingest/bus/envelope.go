package bus

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// SchemaVersion is the version of the envelope's meaning that this package
// writes and the newest that it reads.
const SchemaVersion = 1

// Limits of an envelope. A sender stays below a fourth of what a reader takes.
const (
	fullEvents  = 512
	fullBytes   = 256 << 10
	maxEvents   = 4 * fullEvents
	maxBytes    = 4 * fullBytes
	maxMessages = 1 << 20 // of compressed bytes
)

// ErrPoison is wrapped by every error about an envelope that cannot be read and
// never will be.
var ErrPoison = errors.New("poison envelope")

// Session names one life of one sender: 128 random bits.
type Session [16]byte

// Head is an envelope without its events.
type Head struct {
	Version   uint32
	Session   Session
	Sequence  uint64 // from 1
	Node      string
	Source    event.Source // SourceUnknown: of several
	Partition uint32
	Watermark event.Time // 0: the sender cannot say
}

// MessageID names the envelope for JetStream's own filter of duplicates.
func (h *Head) MessageID() string {
	return hex.EncodeToString(h.Session[:]) + "/" + strconv.FormatUint(h.Sequence, 10)
}

// appendHead appends the fields of the head; event fields follow.
func (h *Head) append(b []byte) []byte {
	number := func(n protowire.Number, v uint64) {
		if v != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
		}
	}
	number(1, uint64(h.Version))
	b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), h.Session[:])
	number(3, h.Sequence)
	if h.Node != "" {
		b = protowire.AppendString(protowire.AppendTag(b, 4, protowire.BytesType), h.Node)
	}
	number(5, uint64(h.Source))
	number(6, uint64(h.Partition))
	if h.Watermark != 0 {
		b = protowire.AppendFixed64(protowire.AppendTag(b, 7, protowire.Fixed64Type), uint64(h.Watermark))
	}
	return b
}

// appendEvent appends one event as a field of the envelope.
func appendEvent(b []byte, e *event.Event, scratch []byte) (_, _ []byte) {
	scratch = e.AppendWire(scratch[:0])
	return protowire.AppendBytes(protowire.AppendTag(b, 8, protowire.BytesType), scratch), scratch
}

// Opener reads envelopes. Not for concurrent use.
type Opener struct {
	strings scan.Intern
	reader  event.WireReader
	buf     []byte
}

// Open reads an envelope and appends its events to the batch. Errors wrap
// ErrPoison; after one the batch is as it was.
func (o *Opener) Open(data []byte, b *event.Batch) (Head, error) {
	o.reader.Strings = &o.strings
	before := len(b.Events)
	h, err := o.open(data, b)
	if err != nil {
		for len(b.Events) > before {
			b.Undo()
		}
		return Head{}, fmt.Errorf("%w: %w", ErrPoison, err)
	}
	return h, nil
}

func (o *Opener) open(data []byte, b *event.Batch) (h Head, err error) {
	switch n, err := s2.DecodedLen(data); { // before anything is unpacked
	case err != nil:
		return h, fmt.Errorf("unpack: %w", err)
	case n > maxBytes || len(data) > maxMessages:
		return h, fmt.Errorf("%d bytes in %d, at most %d are taken", n, len(data), maxBytes)
	}
	if o.buf, err = s2.Decode(o.buf[:cap(o.buf)], data); err != nil {
		return h, fmt.Errorf("unpack: %w", err)
	}
	events := 0
	for p := o.buf; len(p) > 0; {
		number, typ, n := protowire.ConsumeTag(p)
		if n < 0 {
			return h, fmt.Errorf("read envelope: %w", protowire.ParseError(n))
		}
		if number > protowire.MaxValidNumber { // ConsumeTag lets some more pass
			return h, fmt.Errorf("read envelope: field number %d", number)
		}
		p = p[n:]
		size := protowire.ConsumeFieldValue(number, typ, p)
		if size < 0 {
			return h, fmt.Errorf("read field %d: %w", number, protowire.ParseError(size))
		}
		value := p[:size]
		p = p[size:]
		if number == 8 && typ == protowire.BytesType {
			if events++; events > maxEvents {
				return h, fmt.Errorf("more than %d events", maxEvents)
			}
			data, _ := protowire.ConsumeBytes(value)
			if err := o.reader.Read(b, data); err != nil {
				return h, fmt.Errorf("event %d: %w", events, err)
			}
			continue
		}
		if err := h.field(number, typ, value); err != nil {
			return h, err
		}
	}
	switch {
	case h.Version == 0 || h.Version > SchemaVersion:
		return h, fmt.Errorf("schema version %d, this program reads up to %d: update it", h.Version, SchemaVersion)
	case h.Session == Session{} || h.Sequence == 0:
		return h, errors.New("no session or sequence")
	}
	return h, nil
}

// headTypes are the wire types of the fields, by number.
var headTypes = [...]protowire.Type{
	0: -1, // no field has it
	1: protowire.VarintType, 2: protowire.BytesType, 3: protowire.VarintType, 4: protowire.BytesType,
	5: protowire.VarintType, 6: protowire.VarintType, 7: protowire.Fixed64Type, 8: protowire.BytesType,
}

// field reads one field of the head; unknown ones are passed over.
func (h *Head) field(number protowire.Number, typ protowire.Type, value []byte) error {
	var u uint64
	switch typ {
	case protowire.VarintType:
		u, _ = protowire.ConsumeVarint(value)
	case protowire.Fixed64Type:
		u, _ = protowire.ConsumeFixed64(value)
	case protowire.BytesType:
		value, _ = protowire.ConsumeBytes(value)
	}
	if int(number) < len(headTypes) && headTypes[number] != typ {
		return fmt.Errorf("field %d has wire type %d", number, typ)
	}
	switch number {
	case 1:
		h.Version = uint32(min(u, 1<<32-1))
	case 2:
		if len(value) != len(h.Session) {
			return fmt.Errorf("a session of %d bytes", len(value))
		}
		h.Session = Session(value)
	case 3:
		h.Sequence = u
	case 4:
		if !utf8.Valid(value) {
			return errors.New("a node whose name is not UTF-8")
		}
		h.Node = string(value)
	case 5:
		if u >= uint64(event.Sources) {
			return fmt.Errorf("source %d", u)
		}
		h.Source = event.Source(u)
	case 6:
		if u >= Partitions {
			return fmt.Errorf("partition %d", u)
		}
		h.Partition = uint32(u)
	case 7:
		h.Watermark = event.Time(u)
	}
	return nil
}

package tetragon

import (
	"fmt"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Decoder decodes Tetragon's records. The zero value is ready and redacts
// everything; a decoder that is reused allocates nothing for what it has met
// before. Not for concurrent use.
//
// Every field is optional, as field filters of the exporter may remove any of
// them. The time of an event is the record's; without one it is the exit's own
// time or the start of the executed process, else 0. Addresses that are none,
// ports over 65535 and times that cannot be are bad.
//
// The id of an event covers its kind, node, time and process, and for a hook
// the policy, function, action and all arguments, these under the key of the
// redaction policy: the same event exported twice, in whatever spelling, is one
// event; two calls of one thread in the same nanosecond are two.
type Decoder struct {
	Redact redact.Policy

	s     scan.JSON
	p     scan.Proto
	names scan.Recent // what repeats
	procs scan.Recent // exec ids, binaries and working directories
	files scan.Intern // apart, since they would evict the names
	ids   event.Hasher
	hash  redact.Hasher

	pods    memo[pod]
	parents memo[parent]

	text   []byte // the record at hand, if it is JSON
	rec    record
	arena  []byte // strings of the record that had escapes
	digest []byte // of a hook's arguments
	buf    []byte // what is put together before it is interned
	execID [192]byte
}

// record is what is kept of one record while it is read. Its bytes point into
// the record or the arena.
type record struct {
	kind          kind
	node, cluster []byte
	time          event.Time
	unknown       []byte // the first member of the envelope that nobody knows

	proc   process
	parent parent

	function     []byte // a uprobe's symbol, too
	subsys, name []byte // a tracepoint's subsystem and event, a usdt's provider and name
	path         []byte // of a uprobe's, usdt's or loader's file
	policy       []byte
	message      []byte
	action       string
	returnAction string
	ret          int64
	args         arguments

	signal   []byte
	status   uint32
	exitTime event.Time

	throttle throttle
	cgroup   []byte
	dropped  uint64
}

// throttle is Tetragon's ThrottleType.
type throttle uint8

const (
	throttleUnknown throttle = iota
	throttleStart
	throttleStop
)

// Errors of well-formed records without an event. Those that may fill a file
// are built once.
var (
	errNoEvent = fmt.Errorf("%w: no Tetragon event in it", ingest.ErrUnknownType)
	errTest    = unknownEvent("test")
	errConnect = unknownEvent("process_connect")
	errClose   = unknownEvent("process_close")
	errListen  = unknownEvent("process_listen")
)

func unknownEvent(name string) error {
	return fmt.Errorf("%w: Tetragon event %q", ingest.ErrUnknownType, name)
}

// Decode appends the event of one record to b. A record gives one event, or
// none and an error: one that wraps ingest.ErrUnknownType for a well-formed
// record of another kind, otherwise one that says what is wrong with it. rec is
// not kept.
func (d *Decoder) Decode(rec []byte, b *event.Batch) (ingest.Tally, error) {
	d.begin()
	d.text = rec
	d.s.Reset(rec)
	known := d.s.Peek() == '{'
	if known {
		d.readEnvelope()
	} else {
		d.s.Skip()
	}
	if err := d.s.End(); err != nil {
		return ingest.Tally{In: 1, Bad: 1}, fmt.Errorf("read Tetragon event: %w", err)
	}
	return d.finish(known, b)
}

// begin forgets the last record.
func (d *Decoder) begin() {
	d.arena, d.digest = d.arena[:0], d.digest[:0]
	d.rec = record{kind: kindNone}
}

// finish makes the event of what was read; known is false for a record that is
// no object.
func (d *Decoder) finish(known bool, b *event.Batch) (ingest.Tally, error) {
	if !known || d.rec.kind == kindNone || d.rec.kind == kindTest || d.rec.kind == kindThrottle && d.rec.throttle == throttleUnknown {
		return ingest.Tally{In: 1, UnknownType: 1}, d.unknownType(known)
	}
	d.emit(b)
	return ingest.Tally{In: 1}, nil
}

func (d *Decoder) unknownType(object bool) error {
	switch {
	case !object:
		return errNoEvent
	case d.rec.kind == kindTest:
		return errTest
	case d.rec.kind == kindThrottle:
		return unknownEvent("process_throttle without a known type")
	}
	switch name := d.rec.unknown; string(name) {
	case "":
		return errNoEvent
	case "process_connect", "processConnect":
		return errConnect
	case "process_close", "processClose":
		return errClose
	case "process_listen", "processListen":
		return errListen
	default:
		return unknownEvent(redact.Cut(string(name), 64))
	}
}

func (d *Decoder) readEnvelope() {
	s, r := &d.s, &d.rec
	s.Object()
	for i := s.Member(envelopeNames, 0); i >= 0; i = s.Member(envelopeNames, i+1) {
		switch {
		case i < int(kindNone):
			d.readBody(kind(i))
		case i == envNode || i == envNodeC:
			r.node = s.BytesIn(&d.arena)
		case i == envTime:
			r.time = s.Time()
		case i == envCluster || i == envClusterC:
			r.cluster = s.BytesIn(&d.arena)
		case i >= envCamel && i < envNodeC:
			d.readBody(kind(i - envCamel))
		default:
			if i == envUnknown && r.unknown == nil && s.Peek() == '{' {
				n := len(d.arena) // Skip may overwrite the key
				d.arena = append(d.arena, s.Key()...)
				r.unknown = d.arena[n:len(d.arena):len(d.arena)]
			}
			s.Skip()
		}
	}
}

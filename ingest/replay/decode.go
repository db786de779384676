package replay

import (
	"errors"
	"unsafe"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/gcp"
	"github.com/sennit-io/sennit/ingest/hubble"
	"github.com/sennit-io/sennit/ingest/k8s"
	"github.com/sennit-io/sennit/ingest/otlp"
	"github.com/sennit-io/sennit/ingest/recording"
	"github.com/sennit-io/sennit/ingest/replay/frame"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/ingest/tetragon"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// decoder is what every source's Decoder is.
type decoder interface {
	Decode(rec []byte, b *event.Batch) (ingest.Tally, error)
}

// decoded is what became of one block.
type decoded struct {
	events  []event.Event
	index   []entry
	size    int64 // memory of the events, about, in bytes
	sources [event.Sources]SourceCount
	records uint64
	// The first records of the block that gave no event.
	bad, unknown []lineProblem
}

type lineProblem struct {
	line int
	why  string
}

// worker decodes blocks. Its batch is a quarry for payloads: it is given up
// after some thousand events, so that memory can go when the events go.
type worker struct {
	order    Order
	sniffer  sniffer
	values   scan.JSON
	decoders [formats]decoder
	batch    *event.Batch
	quarried int
	out      *decoded
	rec      *frame.Record
}

// quarryEvents is how many events take their payloads from one batch.
const quarryEvents = 8192

func newWorker(order Order, policy redact.Policy) *worker {
	return &worker{order: order, batch: new(event.Batch), decoders: newDecoders(policy)}
}

func newDecoders(policy redact.Policy) [formats]decoder {
	return [formats]decoder{
		formatHubble:    &hubble.Decoder{Redact: policy},
		formatTetragon:  &tetragon.Decoder{Redact: policy},
		formatOTLP:      &otlp.Decoder{Redact: policy},
		formatGCP:       &gcp.Decoder{Redact: policy},
		formatK8s:       &k8s.Decoder{Redact: policy},
		formatRecording: &recording.Decoder{Redact: policy},
	}
}

// block decodes one block.
func (w *worker) block(b *frame.Block) decoded {
	var out decoded
	w.out = &out
	if w.quarried >= quarryEvents {
		w.batch, w.quarried = new(event.Batch), 0
	}
	w.batch.Events = make([]event.Event, 0, len(b.Records))
	for i := range b.Records {
		r := &b.Records[i]
		w.rec = r
		if r.Why != "" {
			w.tally(formatUnknown, ingest.Tally{In: 1, Bad: 1}, r.Why)
			continue
		}
		rec := b.Bytes(r)
		w.record(rec, false)
		out.size += int64(len(rec) / textShare)
	}
	out.events = w.batch.Events
	w.batch.Events = nil
	w.quarried += len(out.events)
	out.size += int64(cap(out.events)) * (int64(unsafe.Sizeof(event.Event{})) + 2*entrySize)
	for i := range out.events {
		out.size += payloadSize[out.events[i].Kind]
	}
	out.index = make([]entry, len(out.events))
	for i := range out.events {
		out.index[i] = entry{key: out.events[i].Time, event: uint32(i)}
	}
	if w.order == OrderEvent {
		sortIndex(out.index, out.events)
	}
	return out
}

// record decodes one record. inner tells that it was cut out of another one.
func (w *worker) record(rec []byte, inner bool) {
	f, err := w.sniffer.sniff(rec)
	before := len(w.batch.Events)
	t := ingest.Tally{In: 1}
	switch {
	case err != nil:
		t.Bad = 1
	case f == formatUnknown:
		t.UnknownType, err = 1, errNoShape
	default:
		t, err = w.decoders[f].Decode(rec, w.batch)
	}
	if err != nil && t.Bad > 0 && !inner && len(w.batch.Events) == before && errors.Is(err, scan.ErrSyntax) && w.split(rec) {
		return
	}
	for i := before; i < len(w.batch.Events); i++ {
		w.event(f, &w.batch.Events[i])
	}
	if f == formatRecording {
		t.In -= len(w.batch.Events) - before // counted with their own sources
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	w.tally(f, t, why)
}

var errNoShape = errors.New("JSON of no known shape")

// event completes an event with what its line says, and counts it.
func (w *worker) event(f format, e *event.Event) {
	if e.Observed == 0 {
		e.Observed = w.rec.Observed
	}
	if f == formatRecording {
		w.out.sources[e.Source].In++
	}
	if loss, ok := e.Payload.(*event.Loss); ok {
		of := loss.Of
		if of == event.SourceUnknown || int(of) >= event.Sources {
			of = e.Source
		}
		w.out.sources[of].LostUpstream += loss.Count
	}
}

func (w *worker) tally(f format, t ingest.Tally, why string) {
	w.out.records++
	w.out.sources[f.source()].Add(t)
	if t.Bad > 0 && len(w.out.bad) < MaxShown {
		w.out.bad = append(w.out.bad, lineProblem{w.rec.Line, why})
	}
	if t.UnknownType > 0 && t.Bad == 0 && len(w.out.unknown) < MaxShown {
		w.out.unknown = append(w.out.unknown, lineProblem{w.rec.Line, why})
	}
}

// split decodes a line on which several objects stand one behind the other. It
// reports false, having done nothing, if the line does not begin with a whole
// object, or is one.
func (w *worker) split(rec []byte) bool {
	first := true
	for len(rec) > 0 {
		w.values.Reset(rec)
		w.values.Skip()
		n := w.values.Pos()
		if rec[0] != '{' || w.values.Err() != nil {
			if first {
				return false
			}
			n = len(rec) // what follows the last object is one bad record
		}
		value := rec[:n]
		rec = trimLeft(rec[n:])
		if first && len(rec) == 0 {
			return false
		}
		first = false
		w.record(value, true)
	}
	return true
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// textShare estimates the memory of an event's strings: most are interned and
// shared, so only a small part of the record stays.
const textShare = 16

// payloadSize is the memory of a payload by kind, in bytes.
var payloadSize = func() (size [256]int64) {
	for k, n := range map[event.Kind]uintptr{
		event.KindEdgeRequest:   unsafe.Sizeof(event.EdgeRequest{}),
		event.KindFlow:          unsafe.Sizeof(event.Flow{}),
		event.KindPolicyVerdict: unsafe.Sizeof(event.Flow{}),
		event.KindHTTPFlow:      unsafe.Sizeof(event.HTTPFlow{}),
		event.KindDNS:           unsafe.Sizeof(event.DNS{}),
		event.KindSocketOpen:    unsafe.Sizeof(event.Socket{}),
		event.KindSocketOwner:   unsafe.Sizeof(event.Socket{}),
		event.KindSocketClose:   unsafe.Sizeof(event.Socket{}),
		event.KindExchange:      unsafe.Sizeof(event.Exchange{}),
		event.KindBurst:         unsafe.Sizeof(event.Exchange{}),
		event.KindHTTPHead:      unsafe.Sizeof(event.Exchange{}),
		event.KindTLSHello:      unsafe.Sizeof(event.TLSHello{}),
		event.KindProcessExec:   unsafe.Sizeof(event.Process{}),
		event.KindProcessExit:   unsafe.Sizeof(event.Process{}),
		event.KindSyscall:       unsafe.Sizeof(event.Syscall{}),
		event.KindEnforcement:   unsafe.Sizeof(event.Syscall{}),
		event.KindSpan:          unsafe.Sizeof(event.Span{}),
		event.KindSpanLog:       unsafe.Sizeof(event.SpanLog{}),
		event.KindPod:           unsafe.Sizeof(event.Pod{}),
		event.KindService:       unsafe.Sizeof(event.Service{}),
		event.KindLoss:          unsafe.Sizeof(event.Loss{}),
		event.KindClock:         unsafe.Sizeof(event.Clock{}),
	} {
		size[k] = int64(n)
	}
	return size
}()

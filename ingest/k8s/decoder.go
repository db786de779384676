package k8s

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Decoder decodes Kubernetes objects. The zero value is ready; a decoder that
// is reused allocates nothing for what it has met before. Not for concurrent
// use.
//
// ValidFrom is a pod's status.startTime, else the object's creation. ValidTo is
// set where the end is known: when the containers of a finished pod stopped,
// else metadata.deletionTimestamp, which the API server sets to the request plus
// the grace period. An object that a watch saw DELETED has ended in any case: if
// nothing says when, at the last moment that the object itself speaks of, since
// an address that is held too long is joined wrongly.
//
// The event time is the "time" member of a watch event, which Sennit's own
// recordings have, else ValidTo on deletion, else ValidFrom.
type Decoder struct {
	// Redact is there for symmetry: nothing that it governs is read.
	Redact redact.Policy

	object  scan.JSON
	outer   scan.JSON
	list    scan.JSON
	names   scan.Intern
	ids     event.Hasher
	meta    metadata
	watch   watch
	pod     pod
	service service
	buf     []byte
	arena   []byte // kinds and types that had escapes
}

// watch is the frame of a watch event.
type watch struct {
	deleted, modified bool
	time              event.Time
}

// service collects a Service's or EndpointSlice's lists.
type service struct {
	addrs     []netip.Addr
	ports     []uint16
	endpoints []netip.AddrPort
}

var errNoObject = fmt.Errorf("%w: no Kubernetes object in it", ingest.ErrUnknownType)

// Decode appends the events of one JSON text to b: an object, a list of them
// or a watch event. Every object is a record of the tally, an empty list has
// none; text that cannot be read is one bad record. The error is that of the
// first bad record, else of the first of unknown type, which wraps
// ingest.ErrUnknownType. rec is not kept.
func (d *Decoder) Decode(rec []byte, b *event.Batch) (ingest.Tally, error) {
	d.watch, d.arena = watch{}, d.arena[:0]
	f, err := d.readFrame(rec)
	if err != nil {
		return ingest.Tally{In: 1, Bad: 1}, fmt.Errorf("read Kubernetes object: %w", err)
	}
	switch {
	case f.items != nil && bytes.HasSuffix(f.kind, []byte("List")):
		return d.decodeList(f, b)
	case f.object != nil && len(f.kind) == 0:
		return d.decodeWatch(f, b)
	}
	return d.decodeObject(rec, f, b)
}

// frame is the outermost object, whatever it is.
type frame struct {
	kind, version []byte
	items         []byte // the text of a list's items
	object, what  []byte // a watch event's object, its type and time
	time          event.Time
}

func (d *Decoder) readFrame(text []byte) (frame, error) {
	s := &d.outer
	s.Reset(text)
	var f frame
	if s.Peek() != '{' {
		s.Skip()
		return f, s.End()
	}
	for s.Object(); s.Next(); {
		key := s.Key()
		switch c := s.Peek(); {
		case c == '"' && string(key) == "kind":
			f.kind = s.BytesIn(&d.arena)
		case c == '"' && string(key) == "apiVersion":
			f.version = s.BytesIn(&d.arena)
		case c == '"' && string(key) == "type":
			f.what = s.BytesIn(&d.arena)
		case c == '"' && string(key) == "time":
			f.time, _ = scan.Time(s.Bytes())
		case c == '[' && string(key) == "items":
			f.items = s.Raw()
		case c == '{' && string(key) == "object":
			f.object = s.Raw()
		default:
			s.Skip()
		}
	}
	return f, s.End()
}

func (d *Decoder) decodeList(f frame, b *event.Batch) (total ingest.Tally, err error) {
	// Items of a typed list have no kind of their own.
	kind := bytes.TrimSuffix(f.kind, []byte("List"))
	s := &d.list
	s.Reset(f.items)
	for s.Array(); s.Next(); {
		item := s.Raw()
		g, itemErr := d.readFrame(item)
		if itemErr == nil && len(g.kind) == 0 {
			g.kind, g.version = kind, f.version
		}
		tally, itemErr := d.decodeObject(item, g, b)
		if itemErr != nil && (err == nil || tally.Bad > 0 && total.Bad == 0) {
			err = itemErr
		}
		total.Add(tally)
	}
	return total, err
}

func (d *Decoder) decodeWatch(f frame, b *event.Batch) (ingest.Tally, error) {
	switch string(f.what) {
	case "ADDED":
	case "MODIFIED":
		d.watch.modified = true
	case "DELETED":
		d.watch.deleted = true
	default: // BOOKMARK has no object to speak of, ERROR a Status
		return ingest.Tally{In: 1, UnknownType: 1}, fmt.Errorf("%w: Kubernetes watch event %q", ingest.ErrUnknownType, redact.Cut(string(f.what), 64))
	}
	d.watch.time = f.time
	g, err := d.readFrame(f.object)
	if err != nil {
		return ingest.Tally{In: 1, Bad: 1}, fmt.Errorf("read Kubernetes object: %w", err)
	}
	return d.decodeObject(f.object, g, b)
}

func (d *Decoder) decodeObject(text []byte, f frame, b *event.Batch) (ingest.Tally, error) {
	var read reader
	core := len(f.version) == 0 || string(f.version) == "v1"
	switch {
	case core && string(f.kind) == "Pod":
		read = pods
	case core && string(f.kind) == "Service":
		read = services
	case string(f.kind) == "EndpointSlice" && (len(f.version) == 0 || bytes.HasPrefix(f.version, []byte("discovery.k8s.io/"))):
		read = endpointSlices
	case len(f.kind) == 0:
		return ingest.Tally{In: 1, UnknownType: 1}, errNoObject
	default:
		return ingest.Tally{In: 1, UnknownType: 1}, fmt.Errorf("%w: Kubernetes kind %q of %q", ingest.ErrUnknownType,
			redact.Cut(string(f.kind), 64), redact.Cut(string(f.version), 64))
	}
	d.meta.reset()
	d.object.Reset(text)
	switch err := d.read(read, b); {
	case err == nil:
		return ingest.Tally{In: 1}, nil
	case errors.Is(err, errNoService):
		return ingest.Tally{In: 1, UnknownType: 1}, err
	default:
		return ingest.Tally{In: 1, Bad: 1}, fmt.Errorf("read Kubernetes %s: %w", redact.Cut(string(f.kind), 64), err)
	}
}

// reader says how an object is read.
type reader uint8

const (
	pods reader = iota
	services
	endpointSlices
)

func (d *Decoder) read(r reader, b *event.Batch) error {
	switch r {
	case services:
		return d.readService(b)
	case endpointSlices:
		return d.readSlice(b)
	}
	return d.readPod(b)
}

// place sets the times of an event, and returns when its object ended, if it
// has. started is where its validity begins; ended is what the object says.
func (d *Decoder) place(e *event.Event, started, ended event.Time) event.Time {
	if seen := d.watch.time; d.watch.deleted {
		switch {
		case seen != 0 && (ended == 0 || ended > seen): // sooner than the grace period
			ended = seen
		case ended == 0:
			ended = d.meta.latest
		}
		ended = max(ended, started)
	}
	switch {
	case d.watch.time != 0:
		e.Time, e.Observed = d.watch.time, d.watch.time
	case d.watch.deleted:
		e.Time = ended
	default:
		e.Time = started
	}
	return ended
}

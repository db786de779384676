package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/ingest/bus"
)

// outbox brings results to their streams, each once, whichever of several processors
// sends it: all decide the same in the same order, one sends, and all follow what
// the streams hold. A message is sent only to the end of its stream that was
// followed to, so that one who has not heard that another leads now is refused.
// Nobody waits for what is under way: that it has arrived is noted later.
type outbox struct {
	js    jetstream.JetStream
	store *disk.Store
	log   *slog.Logger
	ways  map[string]*way // by stream

	bundles []*disk.Bundle       // that wait, oldest first; those before flying are under way
	flying  []flying             // of bundles[0], and so on
	ids     map[string]spot      // of results that wait, by message id
	heard   map[string]time.Time // ids in the streams that were not decided here yet
}

// spot is where a result waits.
type spot struct {
	bundle *disk.Bundle
	place  int
}

// flying is a message under way.
type flying struct {
	way  *way
	ack  jetstream.PubAckFuture
	sent time.Time
}

// way is one stream of results.
type way struct {
	stream string
	place  disk.Place
	end    uint64     // the place, and what is under way behind it
	trail  *bus.Trail // nil: to be opened
	atEnd  bool       // the place is the end of the stream, as far as is known
}

const (
	// sendAtOnce is how many messages are under way at most.
	sendAtOnce = 64
	// mostWaiting is how many may wait before reading waits for them.
	mostWaiting = 4096
	// heardFor is how long a result of others is waited for: this processor began
	// later, or saw less.
	heardFor = time.Hour
	// ahead is how much further than the events the results are followed.
	ahead = 10 * time.Second
	// followAtOnce bounds how many messages are noted at once.
	followAtOnce = 1000
	// sendPatience is how long the bus may take to store a message.
	sendPatience = 10 * time.Second
)

func openOutbox(js jetstream.JetStream, store *disk.Store, log *slog.Logger) (*outbox, error) {
	o := &outbox{js: js, store: store, log: log, ways: map[string]*way{}, ids: map[string]spot{}, heard: map[string]time.Time{}}
	for _, stream := range []string{bus.StreamOut, bus.StreamDead} {
		place, err := store.Place(stream)
		if err != nil {
			return nil, err
		}
		o.ways[stream] = &way{stream: stream, place: place}
	}
	if err := store.Heard(func(id string) { o.heard[id] = time.Now() }); err != nil {
		return nil, err
	}
	return o, store.Outbox(func(b *disk.Bundle) error {
		o.add(b)
		return nil
	})
}

// add takes what was committed. What of it the streams hold already is out.
func (o *outbox) add(b *disk.Bundle) {
	kind := bus.Out(b.Kind)
	w := o.ways[kind.Stream()]
	d := disk.Delivery{Stream: w.stream, Place: w.place}
	for i, id := range b.IDs {
		if b.Out[i] {
			continue
		}
		id := bus.MessageID(kind, id)
		if _, ok := o.heard[id]; ok {
			b.Out[i] = true
			delete(o.heard, id)
			d.Forget = append(d.Forget, id)
		} else {
			o.ids[id] = spot{b, i}
		}
	}
	if len(d.Forget) > 0 {
		d.Seen = append(d.Seen, b)
		o.store.Delivered(d)
	}
	if !b.Sent() {
		o.bundles = append(o.bundles, b)
	}
}

// follow notes what the streams hold, up to a little after the events were stored
// that were read last; decided is when those were that were decided last, and committed.
func (o *outbox) follow(ctx context.Context, read, decided time.Time) error {
	for _, w := range o.ways {
		if err := o.followOne(ctx, w, read.Add(ahead), decided); err != nil {
			w.reopen()
			return err
		}
	}
	o.prune()
	return nil
}

func (w *way) reopen() {
	w.atEnd = false
	if w.trail != nil {
		w.trail.Close()
		w.trail = nil
	}
}

func (o *outbox) followOne(ctx context.Context, w *way, by, decided time.Time) error {
	if w.trail == nil {
		t, err := bus.NewTrail(ctx, o.js, w.stream, w.place.Sequence, w.place.Created)
		if err != nil {
			return err
		}
		if w.place.Created != t.Created {
			w.place = disk.Place{Created: t.Created}
		}
		w.trail = t
	}
	first, end, err := w.trail.Ends(ctx)
	if err != nil {
		return err
	}
	if first > w.place.Sequence+1 { // what was before has left the stream
		w.place.Sequence = first - 1
	}
	if end < w.place.Sequence { // else nothing would ever be sent to its end again
		o.log.Error("the server lost results that it had acknowledged", "stream", w.stream, "messages", w.place.Sequence-end)
		w.place.Sequence = end
		w.reopen()
		return nil
	}
	for w.place.Sequence < end {
		d := disk.Delivery{Stream: w.stream, Place: w.place}
		late := false
		for range followAtOnce {
			m, ok, err := w.trail.Next(by, time.Second)
			if err != nil {
				return err
			}
			if !ok {
				late = true
				break
			}
			d.Place.Sequence = m.Sequence
			for _, id := range m.IDs {
				if s, ok := o.ids[id]; ok {
					o.out(&d, s.bundle, s.place)
				} else {
					o.heard[id] = m.Stored
					d.Heard = append(d.Heard, id)
				}
			}
			if d.Place.Sequence >= end {
				break
			}
		}
		d.Forget = o.forget(decided)
		o.store.Delivered(d)
		w.place = d.Place
		if late {
			break
		}
	}
	w.end = w.place.Sequence
	if w.atEnd = w.place.Sequence >= end; !w.atEnd && !w.trail.Waits() {
		w.reopen() // it should have come: asked for anew next time
	}
	return nil
}

// out notes that a result is in its stream.
func (o *outbox) out(d *disk.Delivery, b *disk.Bundle, place int) {
	b.Out[place] = true
	delete(o.ids, bus.MessageID(bus.Out(b.Kind), b.IDs[place]))
	if n := len(d.Seen); n == 0 || d.Seen[n-1] != b {
		d.Seen = append(d.Seen, b)
	}
}

// prune forgets the bundles of which nothing waits any more.
func (o *outbox) prune() {
	left := o.bundles[:0]
	for _, b := range o.bundles {
		if !b.Sent() {
			left = append(left, b)
		}
	}
	clear(o.bundles[len(left):])
	o.bundles = left
}

// forget drops what others have sent long before what was decided last, and what this
// processor did not decide by then.
func (o *outbox) forget(now time.Time) (ids []string) {
	for id, stored := range o.heard {
		if now.Sub(stored) > heardFor {
			ids = append(ids, id)
			delete(o.heard, id)
		}
	}
	return ids
}

// errState is wrapped by errors of the state, which waiting does not mend.
var errState = errors.New("the state cannot be used")

// behind reports whether the streams have to be followed before anything is sent.
func (o *outbox) behind() bool {
	for _, w := range o.ways {
		if !w.atEnd {
			return true
		}
	}
	return false
}

// busy reports whether anything waits.
func (o *outbox) busy() bool { return len(o.bundles) > 0 }

// send sends what waits, if the streams have been followed to their ends, and notes
// what has arrived. It waits only if too much waits, or for all of it. When another
// sends too, it follows again.
func (o *outbox) send(ctx context.Context, all bool) error {
	for {
		err := o.arrived(ctx, all && len(o.flying) > 0 || len(o.bundles) > mostWaiting && len(o.flying) >= sendAtOnce)
		if err == nil && !o.behind() {
			err = o.fill(ctx)
		}
		if err != nil {
			o.ground()
			if bus.Overtaken(err) {
				o.log.Info("another processor sends results; followed again", "error", err)
				return nil
			}
			return err
		}
		if len(o.flying) == 0 || !all && len(o.bundles) <= mostWaiting {
			return nil
		}
	}
}

// ground gives up what is under way. Some of it may arrive: the streams have to say.
func (o *outbox) ground() {
	o.flying = nil
	for _, w := range o.ways {
		w.atEnd = false
	}
}

// fill sends the oldest bundles that are not under way.
func (o *outbox) fill(ctx context.Context) error {
	for len(o.flying) < min(sendAtOnce, len(o.bundles)) {
		b := o.bundles[len(o.flying)]
		kind := bus.Out(b.Kind)
		w := o.ways[kind.Stream()]
		if w.trail != nil { // it has got to where this processor goes on
			w.trail.Close()
			w.trail = nil
		}
		body, err := o.store.Body(b)
		if err != nil {
			return fmt.Errorf("%w: %w", errState, err)
		}
		ids, body, err := rest(b, body)
		if err != nil {
			return fmt.Errorf("%w: %w", errState, err)
		}
		ack, at, err := bus.Publish(ctx, o.js, kind, ids, body, w.end)
		if err != nil {
			return err
		}
		w.end = at
		o.flying = append(o.flying, flying{w, ack, time.Now()})
	}
	return nil
}

// rest is what is to be sent of a bundle: of one that others have sent a part of, what
// they have not.
func rest(b *disk.Bundle, body []byte) (ids []string, _ []byte, err error) {
	for i, out := range b.Out {
		if !out {
			ids = append(ids, b.IDs[i])
		}
	}
	if len(ids) == len(b.IDs) {
		return ids, body, nil
	}
	lines, err := bus.Unpack(body, len(b.IDs))
	if err != nil {
		return nil, nil, err
	}
	left := lines[:0]
	for i, l := range lines {
		if !b.Out[i] {
			left = append(left, l)
		}
	}
	return ids, bus.Pack(left...), nil
}

// arrived notes what the streams have taken, in the order in which it was sent. With
// wait it waits for the first.
func (o *outbox) arrived(ctx context.Context, wait bool) (err error) {
	done := map[*way]*disk.Delivery{}
	for len(o.flying) > 0 {
		f, b := &o.flying[0], o.bundles[0]
		a, ok, failed := f.answer(ctx, wait)
		if !ok {
			break
		}
		wait = false
		if failed != nil {
			err = fmt.Errorf("send results: %w", failed)
			break
		}
		d := done[f.way]
		if d == nil {
			d = &disk.Delivery{Stream: f.way.stream, Place: f.way.place}
			done[f.way] = d
		}
		if !a.Duplicate { // else it was stored before, and what follows is refused
			d.Place.Sequence = a.Sequence
		}
		for i := range b.Out {
			if !b.Out[i] {
				o.out(d, b, i)
			}
		}
		o.flying, o.bundles[0], o.bundles = o.flying[1:], nil, o.bundles[1:]
	}
	for w, d := range done {
		o.store.Delivered(*d)
		w.place = d.Place
	}
	return err
}

// answer is what the server says of a message; ok is false if it has said nothing yet.
func (f *flying) answer(ctx context.Context, wait bool) (a *jetstream.PubAck, ok bool, err error) {
	select {
	case a = <-f.ack.Ok():
		return a, true, nil
	case err = <-f.ack.Err():
		return nil, true, err
	default:
	}
	left := time.Until(f.sent.Add(sendPatience))
	if left <= 0 {
		return nil, true, errors.New("no answer")
	}
	if !wait {
		return nil, false, nil
	}
	late := time.NewTimer(left)
	defer late.Stop()
	select {
	case a = <-f.ack.Ok():
		return a, true, nil
	case err = <-f.ack.Err():
		return nil, true, err
	case <-late.C:
		return nil, true, errors.New("no answer")
	case <-ctx.Done():
		return nil, true, ctx.Err()
	}
}

// close ends following.
func (o *outbox) close() {
	for _, w := range o.ways {
		w.reopen()
	}
}

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
type outbox struct {
	js    jetstream.JetStream
	store *disk.Store
	log   *slog.Logger
	ways  map[string]*way // by stream

	keys  map[string][]byte    // of rows that wait, by message id
	from  []byte               // none of them is before it
	heard map[string]time.Time // ids in the streams that were not decided here yet
}

// way is one stream of results.
type way struct {
	stream string
	place  disk.Place
	trail  *bus.Trail // nil: to be opened
	atEnd  bool       // the place is the end of the stream, as far as is known
}

const (
	sendAtOnce = 256
	// heardFor is how long a result of others is waited for: this processor began
	// later, or saw less.
	heardFor = time.Hour
	// ahead is how much further than the events the results are followed.
	ahead = 10 * time.Second
	// followAtOnce bounds what is noted at once.
	followAtOnce = 1000
)

func openOutbox(js jetstream.JetStream, store *disk.Store, log *slog.Logger) (*outbox, error) {
	o := &outbox{js: js, store: store, log: log, ways: map[string]*way{}, keys: map[string][]byte{}, heard: map[string]time.Time{}}
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
	return o, store.Outbox(nil, 1<<62, func(k []byte, m disk.Message) error {
		o.keys[bus.MessageID(bus.Out(m.Kind), m.ID)] = k
		return nil
	})
}

// fresh takes out of what was decided what the streams hold already, and returns
// the ids of that.
func (o *outbox) fresh(list []disk.Message) (fresh []disk.Message, known []string) {
	for _, m := range list {
		id := bus.MessageID(bus.Out(m.Kind), m.ID)
		if _, ok := o.heard[id]; ok {
			known = append(known, id)
			continue
		}
		fresh = append(fresh, m)
	}
	return fresh, known
}

// committed notes what a turn has added.
func (o *outbox) committed(turn uint64, fresh []disk.Message, known []string) {
	for i, m := range fresh {
		o.keys[bus.MessageID(bus.Out(m.Kind), m.ID)] = disk.OutboxKey(turn, i)
	}
	for _, id := range known {
		delete(o.heard, id)
	}
}

// follow notes what the streams hold, up to a little after the events were stored
// that were read last.
func (o *outbox) follow(ctx context.Context, by time.Time) error {
	for _, w := range o.ways {
		if err := o.followOne(ctx, w, by.Add(ahead)); err != nil {
			w.reopen()
			return err
		}
	}
	return nil
}

func (w *way) reopen() {
	w.atEnd = false
	if w.trail != nil {
		w.trail.Close()
		w.trail = nil
	}
}

func (o *outbox) followOne(ctx context.Context, w *way, by time.Time) error {
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
		var marks []bus.Mark // noted in memory when they are on the disk
		late := false
		for len(d.Sent)+len(d.Heard) < followAtOnce && d.Place.Sequence < end {
			m, ok, err := w.trail.Next(by, time.Second)
			if err != nil {
				return err
			}
			if !ok {
				late = true
				break
			}
			d.Place.Sequence = m.Sequence
			marks = append(marks, m)
			if key, ok := o.keys[m.ID]; ok {
				d.Sent = append(d.Sent, key)
			} else if m.ID != "" {
				d.Heard = append(d.Heard, m.ID)
			}
		}
		d.Forget = o.forget(by)
		if err := o.store.Delivered(d); err != nil {
			return fmt.Errorf("%w: %w", errState, err)
		}
		for _, m := range marks {
			if _, ok := o.keys[m.ID]; ok {
				delete(o.keys, m.ID)
			} else if m.ID != "" {
				o.heard[m.ID] = m.Stored
			}
		}
		w.place = d.Place
		if late {
			break
		}
	}
	if w.atEnd = w.place.Sequence >= end; !w.atEnd && !w.trail.Waits() {
		w.reopen() // it should have come: asked for anew in the next turn
	}
	return nil
}

// forget drops what others have sent long ago and this processor never decided.
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
var errState = errors.New("the state cannot be written")

// behind reports whether the streams have to be followed before anything is sent.
func (o *outbox) behind() bool {
	for _, w := range o.ways {
		if !w.atEnd {
			return true
		}
	}
	return false
}

// send sends what waits, if the streams have been followed to their ends. When
// another sends too it follows again.
func (o *outbox) send(ctx context.Context) error {
	for len(o.keys) > 0 && !o.behind() {
		if err := o.some(ctx); err != nil {
			for _, w := range o.ways {
				w.atEnd = false
			}
			if bus.Overtaken(err) {
				o.log.Info("another processor sends results; followed again", "error", err)
				return nil
			}
			return err
		}
	}
	return nil
}

// some sends the oldest rows.
func (o *outbox) some(ctx context.Context) error {
	type sent struct {
		way *way
		key []byte
		id  string
		ack jetstream.PubAckFuture
	}
	var list []sent
	end := map[*way]uint64{}
	for _, w := range o.ways {
		end[w] = w.place.Sequence
		if w.trail != nil { // it has got to where this processor goes on
			w.trail.Close()
			w.trail = nil
		}
	}
	err := o.store.Outbox(o.from, sendAtOnce, func(k []byte, m disk.Message) error {
		kind := bus.Out(m.Kind)
		w := o.ways[kind.Stream()]
		ack, err := bus.Publish(o.js, kind, m.ID, m.Data, end[w])
		end[w]++
		list = append(list, sent{w, k, bus.MessageID(kind, m.ID), ack})
		return err
	})
	if err != nil {
		return err
	}
	late := time.NewTimer(sendPatience)
	defer late.Stop()
	done := map[*way]*disk.Delivery{}
	for _, one := range list {
		d := done[one.way]
		if d == nil {
			d = &disk.Delivery{Stream: one.way.stream, Place: one.way.place}
			done[one.way] = d
		}
		select {
		case a := <-one.ack.Ok():
			if !a.Duplicate { // else it was stored before, and what follows is refused
				d.Place.Sequence = a.Sequence
			}
			d.Sent = append(d.Sent, one.key)
			delete(o.keys, one.id)
		case err = <-one.ack.Err():
		case <-late.C:
			err = errors.New("no answer")
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			err = fmt.Errorf("send results: %w", err)
			break
		}
	}
	for w, d := range done {
		if stored := o.store.Delivered(*d); stored != nil {
			return fmt.Errorf("%w: %w", errState, stored)
		}
		w.place = d.Place
	}
	if len(o.keys) == 0 && len(list) > 0 {
		o.from = list[len(list)-1].key
	}
	return err
}

// sendPatience is how long the bus may take to store what is sent at once.
const sendPatience = 10 * time.Second

// close ends following.
func (o *outbox) close() {
	for _, w := range o.ways {
		w.reopen()
	}
}

package socket

import (
	"bytes"
	"slices"
	"time"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// Frames and flags of HTTP/2 (RFC 9113, 6).
const (
	frameData, frameHeaders, frameReset, framePromise, frameContinuation = 0, 1, 3, 5, 9

	flagEndStream, flagEndHeaders, flagPadded, flagPriority = 0x1, 0x4, 0x8, 0x20
)

const (
	// maxHTTP2 bounds the connections whose tables are kept, maxStreams the
	// streams of one, maxBlock the bytes of a header block, maxHeld the records
	// that wait for what they have overtaken.
	maxHTTP2   = 1 << 12
	maxStreams = 1 << 10
	maxBlock   = 1 << 16
	maxHeld    = 256

	// patience is how long they wait: longer than TCP does before it sends again.
	patience = uint64(500 * time.Millisecond)
)

// http2 is a connection of HTTP/2.
type http2 struct {
	halves  [2]half
	streams map[uint32]*stream
}

// half is one direction of it. A header block is put together from the pieces of
// its frames.
type half struct {
	table  table
	known  bool   // next is
	next   uint32 // up to where everything was seen
	held   []held // came before what is at next, in the order of the stream
	block  []byte
	open   bool // the block's end is to come
	pushed bool // it is a request that the server invented
	stream uint32
	flags  uint8 // of the frame that began the block
	begun  uint64

	goroutine, parent uint64
	tid               uint32
}

// held is a record that waits.
type held struct {
	frame bpf.Frame
	data  []byte
}

// lose is called where something was missed: what later blocks refer to may be
// in it.
func (h *half) lose() {
	h.table.forget()
	h.wipe()
	h.open = false
}

// wipe forgets the block: it has all headers, not only those that are read.
func (h *half) wipe() {
	clear(h.block)
	h.block = h.block[:0]
}

// add takes in a piece of a frame with headers and reports whether it ended a
// block.
func (h *half) add(f *bpf.Frame, data []byte) (whole bool) {
	first := int(f.Passed) == len(data)
	if first && f.Type != frameContinuation {
		h.wipe()
		h.open, h.stream, h.flags, h.begun = true, f.Stream, f.Flags, f.Time
		h.pushed, h.goroutine, h.parent, h.tid = f.Type == framePromise, f.Goroutine, f.Parent, f.Tid
	}
	if !h.open || f.Stream != h.stream {
		h.open = false
		return false // its begin was missed
	}
	if len(h.block)+len(data) > maxBlock {
		h.lose()
		return false
	}
	h.block = append(h.block, data...)
	if f.Passed < f.Length {
		return false
	}
	if f.Type != frameContinuation && !h.unwrap(f) {
		h.lose()
		return false
	}
	h.open = f.Flags&flagEndHeaders == 0
	return !h.open
}

// unwrap takes off what is around the headers within the first frame.
func (h *half) unwrap(f *bpf.Frame) bool {
	from, pad := 0, 0
	if f.Flags&flagPadded != 0 {
		if len(h.block) == 0 {
			return false
		}
		from, pad = 1, int(h.block[0])
	}
	switch {
	case f.Type == framePromise:
		from += 4
	case f.Flags&flagPriority != 0:
		from += 5
	}
	n := len(h.block) - pad - from
	if n < 0 {
		return false
	}
	copy(h.block, h.block[from:from+n])
	clear(h.block[n:])
	h.block = h.block[:n]
	return true
}

// frame takes in a record of HTTP/2, in the order of the stream: packets may
// overtake each other.
func (d *Decoder) frame(r *bpf.Record, b *event.Batch) {
	f := r.Frame
	c := d.conn(f.Cookie)
	if c.unread(f.Plain != 0) {
		return
	}
	x := d.http2Of(f.Cookie)
	h := &x.halves[f.Direction]
	if f.First&bpf.FirstOfAll != 0 && !h.known {
		h.known, h.next = true, f.From
	}
	switch {
	case h.known && f.From == h.next:
		d.piece(c, x, f, r.Data, b)
		d.release(c, x, h, b)
	case h.known && before(f.From, h.next): // it was given up
	default: // the start may be overtaken too
		at := len(h.held)
		for at > 0 && before(f.From, h.held[at-1].frame.From) { // they overtake each other too
			at--
		}
		h.held = slices.Insert(h.held, at, held{*f, bytes.Clone(r.Data)})
		if len(h.held) > maxHeld {
			d.giveUp(c, x, h, b)
			return
		}
		if d.waiting == nil {
			d.waiting = make(map[uint64]struct{})
		}
		d.waiting[f.Cookie] = struct{}{}
	}
}

// release takes in what was held and is due.
func (d *Decoder) release(c *conn, x *http2, h *half, b *event.Batch) {
	n := 0
	for n < len(h.held) && h.held[n].frame.From == h.next {
		d.piece(c, x, &h.held[n].frame, h.held[n].data, b)
		clear(h.held[n].data)
		n++
	}
	h.held = slices.Delete(h.held, 0, n)
}

// giveUp goes on behind a hole.
func (d *Decoder) giveUp(c *conn, x *http2, h *half, b *event.Batch) {
	for len(h.held) > 0 {
		h.lose()
		for _, s := range x.streams {
			s.degraded = true
			if s.answer != nil {
				s.answer.lose(&d.answers)
			}
		}
		h.known, h.next = true, h.held[0].frame.From
		d.release(c, x, h, b)
	}
}

// Overdue gives up what was waited for too long. Now is since boot.
func (d *Decoder) Overdue(now uint64, b *event.Batch) {
	for cookie := range d.waiting {
		c, x := d.conns[cookie], d.http2[cookie]
		if c == nil || x == nil {
			delete(d.waiting, cookie)
			continue
		}
		waits := false
		for i := range x.halves {
			h := &x.halves[i]
			if len(h.held) > 0 && h.held[0].frame.Time+patience < now {
				d.giveUp(c, x, h, b)
			}
			waits = waits || len(h.held) > 0
		}
		if !waits {
			delete(d.waiting, cookie)
		}
	}
}

// piece takes in the next piece of a direction.
func (d *Decoder) piece(c *conn, x *http2, f *bpf.Frame, data []byte, b *event.Batch) {
	h := &x.halves[f.Direction]
	h.next = f.To
	switch f.Type {
	case frameData:
		d.data(c, x, f, data, b)
	case frameReset:
		d.reset(c, x, f, b)
	case frameHeaders, framePromise, frameContinuation:
		if !h.add(f, data) {
			return
		}
		var fs fields
		size := len(h.block)
		if !d.block(&h.table, h.block, &fs) {
			d.Unreadable++
			h.lose()
		}
		h.wipe()
		if fs.unknown {
			d.Unknown++
		}
		if !h.pushed {
			d.headers(c, x, f, &fs, size, b)
		}
	}
}

// forget lets go what is known of a connection of HTTP/2.
func (d *Decoder) forget(cookie uint64) {
	if x := d.http2[cookie]; x != nil {
		for _, s := range x.streams {
			d.answers.put(&s.answer)
		}
		delete(d.http2, cookie)
	}
}

// http2Of returns what is known of a connection of HTTP/2.
func (d *Decoder) http2Of(cookie uint64) *http2 {
	x := d.http2[cookie]
	if x != nil {
		return x
	}
	if d.http2 == nil {
		d.http2 = make(map[uint64]*http2)
	}
	for old := range d.http2 {
		if len(d.http2) < maxHTTP2 {
			break
		}
		d.forget(old) // it goes on as after a gap
		d.Forgotten++
	}
	x = &http2{streams: make(map[uint32]*stream)}
	d.http2[cookie] = x
	return x
}

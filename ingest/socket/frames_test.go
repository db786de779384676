package socket

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// frames plays a connection of HTTP/2 to a decoder, as the programs in the kernel
// report it.
type frames struct {
	d       Decoder
	batch   event.Batch
	now     uint64
	seq     [2]uint32
	started [2]bool
	encoder [2]*hpack.Encoder
	block   [2]bytes.Buffer
	delayed []bpf.Record
	delay   int  // how many records the next one is late
	lose    bool // the next one
	lost    int
}

func newFrames() *frames {
	w := &frames{now: 1000, seq: [2]uint32{1<<32 - 50, 70}}
	for i := range w.encoder {
		w.encoder[i] = hpack.NewEncoder(&w.block[i])
	}
	w.d.Decode(&bpf.Record{Kind: bpf.KindOpen, Socket: &bpf.Socket{Role: bpf.RoleClient, Cookie: cookie, Family: 2, LocalPort: 40000, PeerPort: 80}}, &w.batch)
	return w
}

func (w *frames) record(f bpf.Frame, data []byte) {
	w.now += 10
	f.Kind, f.Role, f.Cookie, f.Time, f.Captured = uint32(bpf.KindFrame), bpf.RoleClient, cookie, w.now, uint16(len(data))
	if !w.started[f.Direction] {
		w.started[f.Direction] = true
		f.First |= bpf.FirstOfAll
	}
	r := bpf.Record{Kind: bpf.KindFrame, Frame: &f, Data: data}
	if w.lose {
		w.lose = false
		w.lost++
		return
	}
	if w.delay > 0 {
		w.delayed = append(w.delayed, r)
		w.delay--
		return
	}
	w.d.Decode(&r, &w.batch)
	for i := range w.delayed {
		w.d.Decode(&w.delayed[i], &w.batch)
	}
	w.delayed = w.delayed[:0]
}

// send puts a frame on the wire, whose payload comes in pieces of at most size.
func (w *frames) send(direction, kind, flags int, stream uint32, payload []byte, size int) {
	f := bpf.Frame{Direction: uint8(direction), Type: uint8(kind), Flags: uint8(flags), Stream: stream, Length: uint32(len(payload))}
	if kind != frameHeaders && kind != frameContinuation {
		f.Passed, f.From, f.First = f.Length, w.seq[direction], bpf.FirstOfFrame
		w.seq[direction] += 9 + f.Length
		f.To = w.seq[direction]
		w.record(f, nil)
		return
	}
	from := w.seq[direction]
	w.seq[direction] += 9
	for len(payload) > 0 {
		n := min(size, len(payload))
		w.seq[direction] += uint32(n)
		f.Passed += uint32(n)
		f.From, f.To = from, w.seq[direction]
		w.record(f, payload[:n])
		from, payload = f.To, payload[n:]
	}
}

func (w *frames) headers(direction, flags int, stream uint32, size int, pairs ...string) {
	w.block[direction].Reset()
	for i := 0; i < len(pairs); i += 2 {
		if err := w.encoder[direction].WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}); err != nil {
			panic(err)
		}
	}
	b := bytes.Clone(w.block[direction].Bytes())
	if size%3 == 0 { // padded, with a priority, and in two frames
		half := len(b) / 2
		first := append([]byte{3, 0, 0, 0, 0, 16}, b[:half]...)
		w.send(direction, frameHeaders, flags|flagPadded|flagPriority, stream, append(first, 0, 0, 0), size)
		w.send(direction, frameContinuation, flagEndHeaders, stream, b[half:], size)
		return
	}
	w.send(direction, frameHeaders, flags|flagEndHeaders, stream, b, size)
}

func (w *frames) request(stream uint32, flags, size int) {
	var span [8]byte
	binary.BigEndian.PutUint64(span[:], uint64(stream))
	w.headers(bpf.Out, flags, stream, size, ":method", "PATCH", ":path", fmt.Sprintf("/%d?key=secret", stream%8), ":authority", "h",
		"authorization", "hush", "traceparent", fmt.Sprintf("00-%032x-%x-01", stream, span))
}

func (w *frames) close() {
	for w.delay = 0; len(w.delayed) > 0; w.delayed = w.delayed[1:] {
		w.d.Decode(&w.delayed[0], &w.batch)
	}
	w.now += 10
	w.d.Decode(&bpf.Record{Kind: bpf.KindClose, Socket: &bpf.Socket{Role: bpf.RoleClient, Cookie: cookie, Time: w.now, Established: 1}}, &w.batch)
}

// A stream ends with the last byte of its response, is reset, or with the
// connection.
func TestStreams(t *testing.T) {
	w := newFrames()
	w.request(1, 0, 9)
	w.request(3, flagEndStream, 1000)
	w.send(bpf.Out, frameData, flagEndStream, 1, make([]byte, 500), 0)
	w.headers(bpf.In, 0, 3, 1000, ":status", "103")
	w.headers(bpf.In, 0, 3, 1000, ":status", "200")
	w.request(5, flagEndStream, 1000)
	w.request(7, flagEndStream, 1000)
	w.request(9, flagEndStream, 1000)
	w.headers(bpf.In, flagEndStream, 1, 9, ":status", "404")
	w.send(bpf.In, frameReset, 0, 5, make([]byte, 4), 0)
	w.send(bpf.In, frameData, 0, 3, make([]byte, 100), 0)
	w.headers(bpf.In, flagEndStream, 3, 1000, "grpc-status", "0")
	w.headers(bpf.In, 0, 7, 1000, ":status", "200")
	w.send(bpf.In, frameData, 0, 7, make([]byte, 100), 0)
	w.close()
	var got strings.Builder
	for i := range w.batch.Events {
		if p, ok := w.batch.Events[i].Payload.(*event.Exchange); ok {
			fmt.Fprintf(&got, "%s %d %s %s %d out=%v in=%v %d-%d-%d %x\n", w.batch.Events[i].Kind, p.StreamID, p.HTTP.Method, p.HTTP.Path, p.HTTP.Status,
				p.BytesOut > 500, p.BytesIn > 100, p.Start, p.FirstByte, w.batch.Events[i].Time, p.Trace.SpanID[7])
		}
	}
	const want = `exchange 1 PATCH /1 404 out=true in=false 1010-1180-1190 1
http_head 5 PATCH /5 0 out=false in=false 1150-0-1150 5
exchange 3 PATCH /3 200 out=false in=true 1110-1140-1220 3
exchange 7 PATCH /7 200 out=false in=true 1160-1230-1240 7
http_head 9 PATCH /1 0 out=false in=false 1170-0-1170 9
`
	if got.String() != want {
		t.Errorf("got:\n%swant:\n%s", got.String(), want)
	}
}

// FuzzStreams plays connections whose packets are split, overtake each other and
// are lost. What is told of a stream is right or missing, and nothing is missing
// where nothing was lost.
func FuzzStreams(f *testing.F) {
	f.Add([]byte("qqaabbqcdcqqaabb"))
	f.Add([]byte("q2q3qaxbqlqab4q0ab"))
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newFrames()
		type sent struct{ answered, over, reset bool }
		var streams []*sent
		size := 1000
		late := 0
		for _, op := range script[:min(len(script), 400)] {
			if late--; late < 0 {
				late = 0
			}
			var s *sent
			var id uint32
			for i, old := range streams {
				if !old.over && (s == nil || op&0x10 != 0) {
					s, id = old, uint32(2*i+1)
				}
			}
			switch {
			case op&15 < 5 || s == nil:
				id = uint32(2*len(streams) + 1)
				streams = append(streams, &sent{})
				w.request(id, flagEndStream, size)
			case op&15 < 8 && !s.answered:
				s.answered = true
				w.headers(bpf.In, 0, id, size, ":status", fmt.Sprint(200+id%8))
			case op&15 < 11 && s.answered:
				s.over = true
				w.send(bpf.In, frameData, flagEndStream, id, make([]byte, op), size)
			case op&15 == 11:
				s.over, s.reset = true, true
				w.send(bpf.In, frameReset, 0, id, make([]byte, 4), size)
			case op&15 == 12:
				w.lose = op&0x40 != 0
			case op&15 == 13:
				if len(w.delayed) == 0 && w.delay == 0 {
					w.delay = 1
				}
			case op&15 == 14:
				size = 1 + int(op>>4)*7
			case op&15 == 15:
				w.d.Overdue(w.now+uint64(op>>4)*patience/8, &w.batch)
				if op>>4 >= 8 && len(w.d.waiting) == 0 {
					w.lost += len(w.delayed)
				}
			}
		}
		w.close()
		seen := make(map[uint32]bool)
		for i := range w.batch.Events {
			e := &w.batch.Events[i]
			p, ok := e.Payload.(*event.Exchange)
			if !ok {
				continue
			}
			if seen[p.StreamID] || p.StreamID%2 == 0 || int(p.StreamID) > 2*len(streams) {
				t.Fatalf("stream %d was told twice, or there was none", p.StreamID)
			}
			seen[p.StreamID] = true
			s := streams[p.StreamID/2]
			path, trace := fmt.Sprintf("/%d", p.StreamID%8), fmt.Sprintf("%032x", p.StreamID)
			whole := p.HTTP.Method == http.MethodPatch && p.HTTP.Path == path && p.Trace.TraceID.String() == trace
			if p.HTTP.Method != http.MethodPatch || p.HTTP.Path != "" && p.HTTP.Path != path || !p.Trace.TraceID.IsZero() && p.Trace.TraceID.String() != trace ||
				p.HTTP.Status != 0 && p.HTTP.Status != uint16(200+p.StreamID%8) || w.lost == 0 && !whole ||
				(e.Kind == event.KindExchange) != (p.HTTP.Status != 0) || w.lost == 0 && s.answered != (p.HTTP.Status != 0) {
				t.Fatalf("%s of stream %d, %d lost: %+v, sent %+v", e.Kind, p.StreamID, w.lost, p, s)
			}
		}
		if w.lost == 0 && (len(seen) != len(streams) || w.d.Unknown != 0 || w.d.Unreadable != 0) {
			t.Fatalf("%d streams of %d, %d blocks unknown, %d unreadable", len(seen), len(streams), w.d.Unknown, w.d.Unreadable)
		}
		if len(w.d.http2) != 0 || len(w.d.waiting) != 0 {
			t.Fatal("something of the connection is left")
		}
	})
}

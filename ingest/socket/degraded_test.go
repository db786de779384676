package socket

import (
	"testing"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// An exchange of which a part was not seen says so, and no other.
func TestDegraded(t *testing.T) {
	degraded := func(b *event.Batch) (out []bool) {
		for i := range b.Events {
			if x, ok := b.Events[i].Payload.(*event.Exchange); ok && b.Events[i].Kind == event.KindExchange {
				out = append(out, x.Degraded)
			}
		}
		return out
	}
	want := func(got []bool, want ...bool) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%d exchanges, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("exchange %d: degraded is %v", i, got[i])
			}
		}
	}
	w := newWire(bpf.RoleClient)
	for _, lost := range []int{0, 7, 0} {
		w.packet(bpf.Out, "GET /a HTTP/1.1\r\n\r\n", 0)
		w.packet(bpf.In, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello", 0)
		w.packet(bpf.In, "1234567"[lost:], lost)
		w.socket(bpf.KindQuiet)
	}
	want(degraded(&w.batch), false, true, false)

	// Of HTTP/2 a request in whose time something was lost, and those whose headers
	// refer to it.
	f := newFrames()
	ask := func(stream uint32) {
		f.request(stream, flagEndStream, 200)
	}
	answer := func(stream uint32) {
		f.headers(bpf.In, flagEndStream, stream, 200, ":status", "200", "x-request-id", "r")
	}
	ask(1)
	answer(1)
	ask(3)
	f.lose = true
	ask(5)
	f.headers(bpf.Out, flagEndStream, 7, 200, ":method", "GET", ":path", "/x", ":authority", "h") // the host refers to it
	f.d.Overdue(f.now+2*patience, &f.batch)
	answer(3)
	answer(7)
	got := degraded(&f.batch)
	want(got, false, true, true)
}

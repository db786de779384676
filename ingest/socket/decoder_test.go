package socket

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// wire plays the packets of one connection to a decoder, as the programs in the
// kernel report them.
type wire struct {
	d        Decoder
	batch    event.Batch
	role     uint8
	now      uint64
	progress bpf.Progress
}

const cookie = 7

func newWire(role uint8) *wire {
	w := &wire{role: role, now: 1000}
	w.d.Node = "n1"
	w.progress.Next = [2]uint32{1<<32 - 20, 5000} // the first one wraps
	w.socket(bpf.KindOpen)
	return w
}

func (w *wire) socket(k bpf.Kind) {
	w.now += 10
	w.d.Decode(&bpf.Record{Kind: k, Socket: &bpf.Socket{
		Kind: uint32(k), Role: w.role, Family: 2, Established: 1, Time: w.now, Cookie: cookie, Progress: w.progress,
		LocalPort: 40000, PeerPort: 80, Local: [16]uint8{10, 0, 0, 1}, Peer: [16]uint8{10, 0, 0, 2},
		Owner: bpf.Identity{Pid: 9, Tid: 9, Start: 77},
	}}, &w.batch)
}

// packet passes data in a direction; shift moves its sequence number.
func (w *wire) packet(direction int, data string, shift int) {
	w.now += 10
	p := &w.progress
	seq := p.Next[direction] + uint32(shift)
	before := *p
	if shift >= 0 {
		p.Next[direction], p.Known[direction], p.Last[direction] = seq+uint32(len(data)), 1, w.now
		p.Ended[direction] = 0
		if strings.HasSuffix(data, "\r\n0\r\n\r\n") {
			p.Ended[direction] = 1
		}
		if shift > 0 {
			p.Gaps++
		}
	}
	kind := bpf.KindRequest
	switch {
	case strings.HasPrefix(data, "HTTP/1"):
		kind = bpf.KindResponse
	case !strings.HasPrefix(data, "GET ") && !strings.HasPrefix(data, "POST") && !strings.HasPrefix(data, "CONN"):
		return
	}
	w.d.Decode(&bpf.Record{Kind: kind, Data: []byte(data), Head: &bpf.Head{
		Kind: uint32(kind), Role: w.role, Direction: uint8(direction), Captured: uint16(len(data)), Time: w.now, Cookie: cookie,
		Before: before, Seq: seq, Length: uint32(len(data)),
	}}, &w.batch)
}

func (w *wire) exchanges() []string {
	var out []string
	for _, e := range w.batch.Events {
		if p, ok := e.Payload.(*event.Exchange); ok {
			out = append(out, fmt.Sprintf("%s %s %s %s #%d %s %d %d-%d-%d out=%d in=%d", e.Kind, p.Role, p.Tuple.Dst, p.HTTP.Method, p.Ordinal,
				p.HTTP.Path, p.HTTP.Status, p.Start, p.FirstByte, e.Time, p.BytesOut, p.BytesIn))
		}
	}
	return out
}

// Each script is a line of packets: > out, < in, + what is lost before the
// packet, ~ sent again, ? silence, $ the end. The boundaries must be right or
// there must be no exchange.
func TestExchanges(t *testing.T) {
	f := func(role uint8, script string, want ...string) {
		t.Helper()
		w := newWire(role)
		for step := range strings.SplitSeq(script, "|") {
			step = strings.NewReplacer(`\r`, "\r", `\n`, "\n", "EOH", "\r\n\r\n").Replace(step)
			shift := 0
			if step[0] == '+' {
				shift, step = 100, step[1:]
			}
			if step[0] == '~' {
				step = step[1:]
				shift = -len(step) + 1
			}
			switch step[0] {
			case '>':
				w.packet(bpf.Out, step[1:], shift)
			case '<':
				w.packet(bpf.In, step[1:], shift)
			case '?':
				w.socket(bpf.KindQuiet)
			case '$':
				w.socket(bpf.KindClose)
			}
		}
		if diff := cmp.Diff(want, w.exchanges()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", script, diff)
		}
	}
	const (
		get = ">GET /a HTTP/1.1EOH"
		ok  = "<HTTP/1.1 200 OK\\r\\nContent-Length: 5EOHhello"
	)
	x := func(kind, method string, n int, path string, status, start, first, end, out, in int) string {
		return fmt.Sprintf("%s client 10.0.0.2:80 %s #%d %s %d %d-%d-%d out=%d in=%d", kind, method, n, path, status, start, first, end, out, in)
	}
	// Kept alive: ended by silence, by the next request, by the close.
	f(bpf.RoleClient, get+"|"+ok+"|?|?", x("exchange", "GET", 1, "/a", 200, 1020, 1030, 1030, 19, 43))
	f(bpf.RoleClient, get+"|"+ok+"|"+get+"|"+ok+"|$",
		x("exchange", "GET", 1, "/a", 200, 1020, 1030, 1030, 19, 43), x("exchange", "GET", 2, "/a", 200, 1040, 1050, 1050, 19, 43))
	// The body comes in packets of its own; a silence within it is no end.
	f(bpf.RoleClient, get+"|<HTTP/1.1 200 OK\\r\\nContent-Length: 9EOH|<hell|?|<o you|?",
		x("exchange", "GET", 1, "/a", 200, 1020, 1030, 1060, 19, 47))
	f(bpf.RoleClient, get+"|<HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunkedEOH|<4\\r\\nhell|?|<\\r\\n0EOH|?",
		x("exchange", "GET", 1, "/a", 200, 1020, 1030, 1060, 19, 61))
	// Until the close.
	f(bpf.RoleClient, get+"|<HTTP/1.0 200 OKEOH|<hello|?|$", x("exchange", "GET", 1, "/a", 200, 1020, 1030, 1040, 19, 24))
	// An interim response.
	f(bpf.RoleClient, ">POST /p HTTP/1.1\\r\\nContent-Length: 3EOH|<HTTP/1.1 100 ContinueEOH|>abc|"+ok+"|?",
		x("exchange", "POST", 1, "/p", 200, 1020, 1050, 1050, 42, 43))
	// Bodies that begin like heads, in both directions.
	f(bpf.RoleClient, ">POST /p HTTP/1.1\\r\\nContent-Length: 19EOH|"+get+"|<HTTP/1.1 200 OK\\r\\nContent-Length: 24EOH|<HTTP/1.1 500 NoEOH12345|?",
		x("exchange", "POST", 1, "/p", 200, 1020, 1040, 1050, 59, 63))
	f(bpf.RoleClient, get+"|<HTTP/1.1 200 OKEOH|<GET /evil HTTP/1.1EOH|$", x("exchange", "GET", 1, "/a", 200, 1020, 1030, 1040, 19, 41))
	// Sent again.
	f(bpf.RoleClient, get+"|~"+get+"|"+ok+"|?", x("exchange", "GET", 1, "/a", 200, 1020, 1040, 1040, 19, 43))
	// A request that nobody answered.
	f(bpf.RoleClient, get+"|$", x("http_head", "GET", 1, "/a", 0, 1020, 0, 1020, 0, 0))
	// Pipelined, in packets and in one: heads, but no exchanges from then on.
	f(bpf.RoleClient, get+"|"+get+"|"+ok+"|"+ok+"|$",
		x("http_head", "GET", 1, "/a", 0, 1020, 0, 1020, 0, 0), x("http_head", "GET", 2, "/a", 0, 1030, 0, 1030, 0, 0))
	f(bpf.RoleClient, get+get[1:]+"|"+ok+"|"+ok+"|$", x("http_head", "GET", 1, "/a", 0, 1020, 0, 1020, 0, 0))
	// A response that was lost is no pipelining: the next exchange is whole.
	f(bpf.RoleClient, get+"|+<body|"+get+"|"+ok+"|?",
		x("http_head", "GET", 1, "/a", 0, 1020, 0, 1020, 0, 0), x("exchange", "GET", 2, "/a", 200, 1040, 1050, 1050, 19, 43))
	// After an upgrade nothing is HTTP.
	f(bpf.RoleClient, get+"|<HTTP/1.1 101 Switching ProtocolsEOH|"+get+"|"+ok+"|$",
		x("exchange", "GET", 1, "/a", 101, 1020, 1030, 1030, 19, 36))
	// A server sees the same, the other way round.
	f(bpf.RoleServer, "<GET /a?key=secret HTTP/1.1EOH|>HTTP/1.1 200 OK\\r\\nContent-Length: 5EOHhello|?",
		"exchange server 10.0.0.2:80 GET #1 /a 200 1020-1030-1030 out=43 in=30")
	// Older than the shim: who asks is the client.
	f(bpf.RoleUnknown, get+"|"+ok+"|?", x("exchange", "GET", 1, "/a", 200, 1020, 1030, 1030, 19, 43))
}

func TestProcess(t *testing.T) {
	f := func(args string, length int, wantHashes bool, want string) {
		t.Helper()
		var d Decoder
		d.Redact.CommandLines = true
		var b event.Batch
		p := bpf.Process{Kind: uint32(bpf.KindExec), Time: 5, ArgsLength: uint32(length), Self: bpf.Identity{Pid: 3, Start: 2}}
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&p.Binary)), 256), "/bin/sh")
		d.Decode(&bpf.Record{Kind: bpf.KindExec, Process: &p, Data: []byte(args)}, &b)
		got := b.Events[0].Payload.(*event.Process)
		if got.Args != want || got.Binary != "/bin/sh" || (got.Hashes != event.Hashes{}) != wantHashes {
			t.Errorf("%q: got %q %q %v", args, got.Binary, got.Args, got.Hashes)
		}
		var redacted Decoder
		b.Reset()
		redacted.Decode(&bpf.Record{Kind: bpf.KindExec, Process: &p, Data: []byte(args)}, &b)
		if line := b.Events[0].AppendJSON(nil); want != "" && strings.Contains(string(line), want) {
			t.Errorf("arguments are not redacted: %s", line)
		}
	}
	f("sh\x00-c\x00echo hi\x00", 14, true, "-c echo hi")
	f("sh\x00", 3, true, "")
	f("sh\x00-c\x00echo h", 400, false, "-c echo h") // cut
	f("", 0, true, "")
}

func TestExitOfProcess(t *testing.T) {
	f := func(status, code uint32, signal string) {
		t.Helper()
		var d Decoder
		var b event.Batch
		d.Decode(&bpf.Record{Kind: bpf.KindExit, Process: &bpf.Process{ExitCode: status}}, &b)
		if got := b.Events[0].Payload.(*event.Process); got.ExitCode != code || got.Signal != signal {
			t.Errorf("status %#x: code %d, signal %q", status, got.ExitCode, got.Signal)
		}
	}
	f(0, 0, "")
	f(0x300, 3, "")
	f(9, 0, "SIGKILL")
	f(0x8b, 0, "SIGSEGV") // with a core
}

// What is remembered is bounded, whatever is lost.
func TestForgets(t *testing.T) {
	var d Decoder
	var b event.Batch
	for i := range uint64(maxConns + 10) {
		d.Decode(&bpf.Record{Kind: bpf.KindOpen, Socket: &bpf.Socket{Cookie: i + 1}}, &b)
		b.Reset()
	}
	if len(d.conns) > maxConns || d.Forgotten != 10 {
		t.Errorf("%d connections are remembered, %d forgotten", len(d.conns), d.Forgotten)
	}
}

// FuzzRecords feeds the decoder a ring of anything: it must not fail, and what
// it says must keep to the rules of exchanges.
func FuzzRecords(f *testing.F) {
	head := bpf.Head{Kind: uint32(bpf.KindRequest), Time: 5, Cookie: 1, Seq: 9, Length: 19, Captured: 19}
	rec := append(slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&head)), unsafe.Sizeof(head))), "GET /a HTTP/1.1\r\n\r\n"...)
	f.Add(rec, uint16(len(rec)))
	sock := bpf.Socket{Kind: uint32(bpf.KindOpen), Cookie: 1, Role: 1, Family: 2}
	both := append(slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&sock)), unsafe.Sizeof(sock))), rec...)
	f.Add(both, uint16(unsafe.Sizeof(sock)))
	late := bpf.Socket{Kind: uint32(bpf.KindOpen), Time: 1 << 63, Cookie: 1, Role: 1, Family: 2} // no time since boot
	f.Add(slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&late)), unsafe.Sizeof(late))), uint16(unsafe.Sizeof(late)))
	f.Fuzz(func(t *testing.T, ring []byte, size uint16) {
		d := Decoder{Offset: time.Hour}
		var b event.Batch
		for step := max(int(size), 8); len(ring) > 0; {
			n := min(step, len(ring))
			words := make([]uint64, n/8+1) // aligned as in the ring
			rec := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
			copy(rec, ring)
			ring = ring[n:]
			r, err := bpf.Parse(rec)
			if err != nil {
				continue
			}
			d.Decode(&r, &b)
		}
		for i := range b.Events {
			e := &b.Events[i]
			var again event.Event
			if err := again.UnmarshalJSON(e.AppendJSON(nil)); err != nil {
				t.Errorf("%s cannot be read again: %v", e.Kind, err)
			}
			if p, ok := e.Payload.(*event.Exchange); ok && e.Kind == event.KindExchange && (p.HTTP.Status == 0 || p.HTTP.Method == "") {
				t.Errorf("an exchange without its ends: %+v", p)
			}
		}
	})
}

package socket

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// BenchmarkShim compares the CPU time (user and system) of one HTTP exchange over
// loopback, client and server in this process, without and with the shim, in
// interleaved rounds; its reader is another process. Both ends are watched, so what
// is added counts twice: hooks-us/end is half of what this process takes more,
// reader-us/end half of what the reader takes, with its waking every 50 ms, and
// added-us/end is both. Medians of the rounds. What the parts are of hooks-us/end is
// in BenchmarkShimParts.
func BenchmarkShim(b *testing.B) { benchmarkShim(b, false) }

// BenchmarkShimHTTP2 is the same over HTTP/2.
func BenchmarkShimHTTP2(b *testing.B) { benchmarkShim(b, true) }

func benchmarkShim(b *testing.B, http2 bool) {
	const rounds, requests = 12, 10000
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetUnencryptedHTTP2(http2)
	server.Config.Protocols = p
	server.Start()
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{Protocols: p}}
	serve := func() float64 {
		before := processTime()
		for range requests {
			r, err := client.Get(server.URL + "/bench")
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
		return float64((processTime() - before).Nanoseconds()) / 1e3 / requests
	}
	for b.Loop() {
		var off, on, hooks, reading, added []float64
		var lost, events uint64
		serve() // warm
		for range rounds {
			o := serve()
			reader := startReader(b)
			serve() // once round the ring: its memory is used then, as on a node
			before := reader.time()
			w := serve()
			read := float64((reader.time() - before).Nanoseconds()) / 1e3 / requests / 2
			e, l := reader.stop()
			lost, events = lost+l, events+e
			off, on = append(off, o), append(on, w)
			hooks, reading, added = append(hooks, (w-o)/2), append(reading, read), append(added, (w-o)/2+read)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(off), "off-us/exchange")
		b.ReportMetric(median(on), "on-us/exchange")
		b.ReportMetric(median(hooks), "hooks-us/end")
		b.ReportMetric(median(reading), "reader-us/end")
		b.ReportMetric(median(added), "added-us/end")
		b.ReportMetric(float64(lost), "lost")
		b.ReportMetric(float64(events)/rounds, "events/round")
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkDecode is the reader's share: one exchange of a kept-alive connection,
// from the records of its two heads.
func BenchmarkDecode(b *testing.B) {
	w := newWire(bpf.RoleServer)
	request := []byte("GET /bench HTTP/1.1\r\nHost: 127.0.0.1:40000\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n")
	response := []byte("HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 23:02:00 GMT\r\nContent-Length: 5\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello")
	ask := bpf.Record{Kind: bpf.KindRequest, Data: request, Head: &bpf.Head{Direction: bpf.In, Cookie: cookie, Length: uint32(len(request))}}
	answer := bpf.Record{Kind: bpf.KindResponse, Data: response, Head: &bpf.Head{Direction: bpf.Out, Cookie: cookie, Length: uint32(len(response))}}
	now, p := uint64(1), bpf.Progress{Known: [2]uint8{1, 1}}
	exchange := func() {
		now += 1000
		ask.Head.Time, ask.Head.Before, ask.Head.Seq = now, p, p.Next[bpf.In]
		w.d.Decode(&ask, &w.batch)
		p.Next[bpf.In] += uint32(len(request))
		p.Last[bpf.In] = now
		answer.Head.Time, answer.Head.Before, answer.Head.Seq = now+1, p, p.Next[bpf.Out]
		w.d.Decode(&answer, &w.batch)
		p.Next[bpf.Out] += uint32(len(response))
		p.Last[bpf.Out] = now + 1
	}
	exchange()
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		exchange()
		if len(w.batch.Events) >= 512 {
			events += len(w.batch.Events)
			w.batch.Reset()
		}
	}
	if events += len(w.batch.Events); events < b.N {
		b.Errorf("%d exchanges of %d", events, b.N)
	}
	if got := testing.AllocsPerRun(1000, func() {
		exchange()
		w.batch.Reset()
	}); got != 0 {
		b.Errorf("%v allocations an exchange, want none", got)
	}
}

// BenchmarkDecodeHTTP2 is the same of HTTP/2: the header blocks of request and
// response, and the end of its data.
func BenchmarkDecodeHTTP2(b *testing.B) {
	w := newFrames()
	block := func(direction int, pairs ...string) []byte {
		w.block[direction].Reset()
		for i := 0; i < len(pairs); i += 2 {
			if err := w.encoder[direction].WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}); err != nil {
				b.Fatal(err)
			}
		}
		return bytes.Clone(w.block[direction].Bytes())
	}
	ask := func(trace string) []byte {
		return block(bpf.Out, ":authority", "127.0.0.1:40000", ":method", "POST", ":path", "/bench", ":scheme", "http", "traceparent", trace, "accept-encoding", "gzip")
	}
	answer := func() []byte {
		return block(bpf.In, ":status", "200", "content-type", "text/plain", "content-length", "5", "date", "Thu, 26 Nov 2026 23:02:00 GMT")
	}
	f := bpf.Frame{Kind: uint32(bpf.KindFrame), Role: bpf.RoleClient, Cookie: cookie}
	r := bpf.Record{Kind: bpf.KindFrame, Frame: &f}
	stream := uint32(1)
	frame := func(direction, kind uint8, flags uint8, block []byte, length int) {
		f.Direction, f.Type, f.Flags, f.Stream, f.Time = direction, kind, flags, stream, f.Time+1
		f.Length, f.Passed, f.Captured, f.First = uint32(length), uint32(length), uint16(len(block)), bpf.FirstOfFrame
		f.From, f.To = w.seq[direction], w.seq[direction]+uint32(length)
		w.seq[direction] = f.To
		r.Data = block
		w.d.Decode(&r, &w.batch)
	}
	exchange := func(request, response []byte) {
		frame(bpf.Out, frameHeaders, flagEndHeaders|flagEndStream, request, len(request))
		frame(bpf.In, frameHeaders, flagEndHeaders, response, len(response))
		frame(bpf.In, frameData, flagEndStream, nil, 5)
		stream += 2
	}
	exchange(ask(traceparent), answer())
	request, response := ask("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01"), answer()
	exchange(request, response)
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		exchange(request, response)
		if len(w.batch.Events) >= 512 {
			events += len(w.batch.Events)
			w.batch.Reset()
		}
	}
	if events += len(w.batch.Events); events < b.N {
		b.Errorf("%d exchanges of %d", events, b.N)
	}
	if got := testing.AllocsPerRun(1000, func() {
		exchange(request, response)
		w.batch.Reset()
	}); got != 0 {
		b.Errorf("%v allocations an exchange, want none", got)
	}
}

// BenchmarkShimFlood sends requests as fast as two connections can, four heads
// each, with the reader running: how many records a second, and how many lost.
func BenchmarkShimFlood(b *testing.B) {
	const conns, requests = 2, 40000
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
						return
					}
				}
			}()
		}
	}()
	shim, err := bpf.Open()
	if err != nil {
		b.Skipf("SKIPPED: the shim under load: %v", err)
	}
	defer shim.Close()
	s := NewSource(shim)
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func(context.Context, *event.Batch) error { return nil }) }()
	var took time.Duration
	sent := 0
	for b.Loop() {
		begin := time.Now()
		var g sync.WaitGroup
		for range conns {
			g.Go(func() {
				c, err := net.Dial("tcp", server.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				defer c.Close()
				buf := make([]byte, 4096)
				for range requests {
					if _, err := io.WriteString(c, "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
						b.Error(err)
						return
					}
					if _, err := c.Read(buf); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		g.Wait()
		took += time.Since(begin)
		sent += conns * requests
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(4*sent)/took.Seconds(), "records/s")
	b.ReportMetric(float64(s.Lost), "lost")
	b.ReportMetric(float64(s.Events)/float64(2*sent), "exchanges/end")
}
